//! Ethernet frames (IEEE 802.3) with up to two VLAN tags (IEEE 802.1Q).
//!
//! ```text
//! | destination 48 | source 48 | (TPID 16 | TCI 16) * | type 16 | payload
//! ```

use std::fmt;
use std::net::IpAddr;

use crate::transport::get;

/// Type of IPv4.
pub const IPV4: u16 = 0x0800;
/// Type of ARP (RFC 826).
pub const ARP: u16 = 0x0806;
/// Type of IPv6 (RFC 2464).
pub const IPV6: u16 = 0x86dd;

/// Tag protocol identifiers of a customer's and of a provider's tag, and the older of the latter.
const TAG_TYPES: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const TAG_OCTETS: usize = 4;
const ADDRESSES_OCTETS: usize = 12;
/// Octets of the longest header: two addresses, two tags, a type.
pub const MAX_HEADER_OCTETS: usize = 22;

/// The address of a station.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// All stations.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether it names a group of stations, or all.
    pub fn is_group(self) -> bool {
        self.0.first().is_some_and(|octet| octet & 1 != 0)
    }

    /// The group that an IP group is sent to (RFC 1112, section 6.4; RFC 2464, section 7);
    /// `None` for the address of one host.
    pub fn of_group(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) if address.is_broadcast() => Some(Self::BROADCAST),
            IpAddr::V4(address) if address.is_multicast() => {
                let [_, b, c, d] = address.octets();
                Some(Self([0x01, 0x00, 0x5e, b & 0x7f, c, d]))
            }
            IpAddr::V6(address) if address.is_multicast() => {
                let [.., a, b, c, d] = address.octets();
                Some(Self([0x33, 0x33, a, b, c, d]))
            }
            _ => None,
        }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(f, "{first:02x}")?;
        rest.iter().try_for_each(|octet| write!(f, ":{octet:02x}"))
    }
}

impl fmt::Debug for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The VLAN tags of a frame as they stand in it; none, one or two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tags {
    octets: [u8; 2 * TAG_OCTETS],
    length: usize,
}

impl Tags {
    /// The tags in octets.
    pub fn as_octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or_default()
    }

    /// The VLANs alone: no priority, and no tag that carries nothing but one (IEEE 802.1Q,
    /// clause 9.6).
    #[must_use]
    pub fn without_priority(&self) -> Self {
        let (tags, _) = self.as_octets().as_chunks::<TAG_OCTETS>();
        let mut vlans = Self::default();
        for [p0, p1, high, low] in tags {
            let high = high & 0x0f;
            if (high, *low) != (0, 0) {
                vlans = vlans.with([*p0, *p1, high, *low]).unwrap_or(vlans);
            }
        }
        vlans
    }

    /// Add one behind the others; `None` when there are two already.
    fn with(mut self, tag: [u8; TAG_OCTETS]) -> Option<Self> {
        let end = self.length.checked_add(TAG_OCTETS)?;
        self.octets.get_mut(self.length..end)?.copy_from_slice(&tag);
        self.length = end;
        Some(self)
    }
}

/// What stands before the payload of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EthernetHeader {
    /// Whom it is for.
    pub destination: MacAddress,
    /// Who sent it.
    pub source: MacAddress,
    /// Its VLANs.
    pub tags: Tags,
    /// Type of the payload; below 1536 its length (IEEE 802.3, clause 3.2.6).
    pub ether_type: u16,
}

impl EthernetHeader {
    /// Read the header that a frame begins with.
    ///
    /// `None` when the frame ends before it does, or has more than two tags: what is behind them
    /// could not be looked at.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let mut header = Self {
            destination: MacAddress(get(frame, 0)?),
            source: MacAddress(get(frame, 6)?),
            tags: Tags::default(),
            ether_type: 0,
        };
        loop {
            let at = ADDRESSES_OCTETS.checked_add(header.tags.length)?;
            header.ether_type = u16::from_be_bytes(get(frame, at)?);
            if !TAG_TYPES.contains(&header.ether_type) {
                return Some(header);
            }
            header.tags = header.tags.with(get(frame, at)?)?;
        }
    }

    /// Its length.
    pub fn octets(&self) -> usize {
        self.tags.length.saturating_add(ADDRESSES_OCTETS + 2)
    }

    /// Whether the payload is an IP packet.
    pub fn is_ip(&self) -> bool {
        matches!(self.ether_type, IPV4 | IPV6)
    }

    /// Write it to the beginning of `to`.
    ///
    /// Returns:
    /// What was written.
    pub fn write<'a>(&self, to: &'a mut [u8; MAX_HEADER_OCTETS]) -> &'a [u8] {
        let tags = self.tags.as_octets().iter();
        let octets = (self.destination.0.iter())
            .chain(&self.source.0)
            .chain(tags)
            .copied()
            .chain(self.ether_type.to_be_bytes());
        for (place, octet) in to.iter_mut().zip(octets) {
            *place = octet;
        }
        to.get(..self.octets()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const B: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);

    fn frame(behind_addresses: &[u8]) -> Vec<u8> {
        [&A.0[..], &B.0, behind_addresses].concat()
    }

    #[test]
    fn tags_are_part_of_the_header() {
        let plain = EthernetHeader::parse(&frame(&[8, 0, 0x45])).unwrap();
        assert_eq!((plain.destination, plain.source), (A, B));
        assert_eq!((plain.ether_type, plain.octets()), (IPV4, 14));
        let tagged =
            EthernetHeader::parse(&frame(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9, 0x86, 0xdd])).unwrap();
        assert_eq!((tagged.ether_type, tagged.octets()), (IPV6, 22));
        assert_eq!(tagged.tags.as_octets(), [0x88, 0xa8, 0, 7, 0x81, 0, 0, 9]);
    }

    #[test]
    fn a_priority_is_no_vlan() {
        let tags = |behind: &[u8]| EthernetHeader::parse(&frame(behind)).unwrap().tags;
        let with = tags(&[0x88, 0xa8, 0xe0, 0, 0x81, 0, 0x70, 9, 8, 0]);
        assert_eq!(with.without_priority(), tags(&[0x81, 0, 0, 9, 8, 0]));
    }

    #[test]
    fn what_cannot_be_looked_into_is_refused() {
        assert_eq!(EthernetHeader::parse(&frame(&[8])), None);
        assert_eq!(EthernetHeader::parse(&frame(&[0x81, 0, 0, 1, 8])), None);
        let three = [0x81, 0, 0, 1].repeat(3);
        assert_eq!(
            EthernetHeader::parse(&frame(&[&three[..], &[8, 0]].concat())),
            None
        );
    }

    #[test]
    fn groups_have_addresses_of_their_own() {
        let of = |text: &str| MacAddress::of_group(text.parse().unwrap()).map(|a| a.to_string());
        // RFC 1112, section 6.4: the low 23 bits; RFC 2464, section 7: the low 32.
        assert_eq!(of("224.129.2.3").as_deref(), Some("01:00:5e:01:02:03"));
        assert_eq!(
            of("ff02::1:ff00:1234").as_deref(),
            Some("33:33:ff:00:12:34")
        );
        assert_eq!(of("255.255.255.255").as_deref(), Some("ff:ff:ff:ff:ff:ff"));
        assert_eq!((of("192.0.2.1"), of("fe80::1")), (None, None));
        assert!(MacAddress::BROADCAST.is_group() && !A.is_group());
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_written_again(octets in prop::collection::vec(any::<u8>(), 0..40), tags in 0usize..4) {
            let mut octets = octets;
            for tag in 0..tags {
                if let Some(place) = octets.get_mut(12 + 4 * tag..14 + 4 * tag) {
                    place.copy_from_slice(&[0x81, 0]);
                }
            }
            if let Some(header) = EthernetHeader::parse(&octets) {
                let mut written = [0; MAX_HEADER_OCTETS];
                prop_assert_eq!(header.write(&mut written), &octets[..header.octets()]);
            }
        }
    }
}
