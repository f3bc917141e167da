//! Sensitivity levels in packets' labels: CIPSO in the options of IPv4 (draft-ietf-cipso-ipsecurity-01,
//! sections 3 and 3.4) and CALIPSO in IPv6's hop-by-hop options (RFC 5570).
//!
//! ```text
//! CIPSO    134  length  domain of interpretation (4)  tag  length  0  level  categories ...
//! CALIPSO    7  length  domain of interpretation (4)  length  level  checksum (2)  compartments ...
//! ```
//!
//! Only the level is read. What a level means is up to the domain of interpretation, and a label
//! that is not well formed is none.

const CIPSO: u8 = 134;
const CALIPSO: u8 = 7;

/// The level in the options of an IPv4 header, those behind its first 20 octets.
pub fn ipv4_level(options: &[u8]) -> Option<u8> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    let mut rest = options;
    loop {
        let (kind, behind) = rest.split_first()?;
        rest = match *kind {
            END => return None,
            NO_OPERATION => behind,
            kind => {
                let length = usize::from(*behind.first()?);
                let (option, next) = rest.split_at_checked(length)?;
                if kind == CIPSO {
                    return cipso_level(option);
                }
                if length < 2 {
                    return None;
                }
                next
            }
        };
    }
}

/// The level in the hop-by-hop options header that octets begin with, its next header first.
pub fn ipv6_level(header: &[u8]) -> Option<u8> {
    const PAD_1: u8 = 0;
    let [_, units] = *header.first_chunk()?;
    let octets = usize::from(units).saturating_add(1).saturating_mul(8);
    let mut rest = header.get(2..octets)?;
    loop {
        let (kind, behind) = rest.split_first()?;
        if *kind == PAD_1 {
            rest = behind;
            continue;
        }
        let (length, data) = behind.split_first()?;
        let (data, next) = data.split_at_checked(usize::from(*length))?;
        if *kind == CALIPSO {
            let [_, _, _, _, _, level, _, _] = *data.first_chunk()?;
            return Some(level);
        }
        rest = next;
    }
}

/// The level of the first tag of a CIPSO option; tags 1, 2 and 5 have it in the same place.
fn cipso_level(option: &[u8]) -> Option<u8> {
    let [_, _, _, _, _, _, tag, length, _, level] = *option.first_chunk()?;
    (matches!(tag, 1 | 2 | 5) && length >= 4).then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cipso_has_its_level_in_a_tag() {
        let label = [134, 10, 0, 0, 0, 3, 1, 4, 0, 77];
        assert_eq!(ipv4_level(&label), Some(77));
        let behind = [&[1, 148, 4, 0, 0], label.as_slice(), &[0]].concat();
        assert_eq!(ipv4_level(&behind), Some(77));
        let mut other_tag = label;
        other_tag[6] = 128;
        assert_eq!(ipv4_level(&other_tag), None, "a tag of the domain's own");
        assert_eq!(ipv4_level(&label[..9]), None);
        assert_eq!(ipv4_level(&[0, 134, 10, 0, 0, 0, 3, 1, 4, 0, 77]), None);
        assert_eq!(ipv4_level(&[148, 0, 134]), None);
    }

    #[test]
    fn calipso_has_its_level_behind_a_length() {
        let label = [7, 8, 0, 0, 0, 3, 0, 77, 0, 0];
        let header = [&[17, 1], label.as_slice(), &[1, 2, 0, 0]].concat();
        assert_eq!(ipv6_level(&header), Some(77));
        let padding = [1, 5, 0, 0, 0, 0, 0];
        let behind = [&[17, 2, 0, 5, 2, 0, 0], label.as_slice(), &padding].concat();
        assert_eq!(ipv6_level(&behind), Some(77));
        let in_the_next_header = [&[60, 0, 1, 4, 0, 0, 0, 0, 17, 1], label.as_slice()].concat();
        assert_eq!(ipv6_level(&in_the_next_header), None);
        assert_eq!(ipv6_level(&header[..9]), None);
        assert_eq!(
            ipv6_level(&[17, 0, 7, 4, 0, 0, 0, 3]),
            None,
            "too short for one"
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(octets in prop::collection::vec(any::<u8>(), 0..60)) {
            ipv4_level(&octets);
            ipv6_level(&octets);
        }
    }
}
