//! The Internet checksum (RFC 1071), fast enough to ride along with a copy.

/// A running one's complement sum.
///
/// It is kept in the machine's byte order, which the arithmetic does not mind (RFC 1071, section
/// 2(B)), and folded only at the end. Each piece that is added has to begin at an even offset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum(u64);

const STRIDE: usize = 32;

impl Sum {
    /// Add a piece of the packet. Only the last piece may have an odd length.
    #[inline]
    #[must_use]
    pub fn with(self, octets: &[u8]) -> Self {
        let (strides, rest) = octets.as_chunks::<STRIDE>();
        let bulk = if strides.is_empty() {
            0
        } else {
            sum_strides(strides)
        };
        Self(self.0.wrapping_add(bulk)).add_rest(rest)
    }

    /// Add one 16-bit field, given as a number.
    #[inline]
    #[must_use]
    pub fn with_field(self, value: u16) -> Self {
        Self(
            self.0
                .wrapping_add(u64::from(u16::from_ne_bytes(value.to_be_bytes()))),
        )
    }

    /// Add one 32-bit field, given as a number.
    #[inline]
    #[must_use]
    pub fn with_long_field(self, value: u32) -> Self {
        Self(
            self.0
                .wrapping_add(u64::from(u32::from_ne_bytes(value.to_be_bytes()))),
        )
    }

    /// Add what was summed elsewhere.
    #[inline]
    #[must_use]
    pub fn with_sum(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// Copy a piece of the packet and add it; both slices have the same length.
    #[inline]
    #[must_use]
    pub fn copy(self, from: &[u8], to: &mut [u8]) -> Self {
        let (strides, rest) = from.as_chunks::<STRIDE>();
        let (to_strides, to_rest) = to.as_chunks_mut::<STRIDE>();
        let bulk = copy_strides(strides, to_strides);
        Self(self.0.wrapping_add(bulk)).copy_rest(rest, to_rest)
    }

    /// Fold to 16 bits without complementing, as octets of a packet.
    #[inline]
    pub fn folded(self) -> [u8; 2] {
        let mut sum = (self.0 & 0xffff_ffff).wrapping_add(self.0 >> 32);
        for _ in 0..3 {
            sum = (sum & 0xffff).wrapping_add(sum >> 16);
        }
        let [low, high, ..] = sum.to_le_bytes();
        u16::from_le_bytes([low, high]).to_ne_bytes()
    }

    /// The checksum to put into a packet.
    #[inline]
    pub fn checksum(self) -> [u8; 2] {
        let [high, low] = self.folded();
        [!high, !low]
    }

    /// The checksum to put where zero would mean that there is none (UDP, RFC 768).
    #[inline]
    pub fn checksum_not_zero(self) -> [u8; 2] {
        match self.checksum() {
            [0, 0] => [0xff, 0xff],
            checksum => checksum,
        }
    }

    /// Whether this sum, the checksum field included, says that the packet is intact.
    #[inline]
    pub fn is_valid(self) -> bool {
        self.folded() == [0xff, 0xff]
    }

    #[inline]
    fn copy_rest(self, rest: &[u8], to: &mut [u8]) -> Self {
        let (words, rest) = rest.as_chunks::<4>();
        let (to_words, to) = to.as_chunks_mut::<4>();
        let mut sum = self.0;
        for (word, to) in words.iter().zip(to_words) {
            *to = *word;
            sum = sum.wrapping_add(u64::from(u32::from_ne_bytes(*word)));
        }
        for (octet, to) in rest.iter().zip(to) {
            *to = *octet;
        }
        Self(sum).add_rest(rest)
    }

    #[inline]
    fn add_rest(self, rest: &[u8]) -> Self {
        let (words, rest) = rest.as_chunks::<4>();
        let sum = words.iter().fold(self.0, |sum, word| {
            sum.wrapping_add(u64::from(u32::from_ne_bytes(*word)))
        });
        let (pairs, odd) = rest.as_chunks::<2>();
        let sum = pairs.iter().fold(sum, |sum, pair| {
            sum.wrapping_add(u64::from(u16::from_ne_bytes(*pair)))
        });
        match odd {
            [last] => Self(sum.wrapping_add(u64::from(u16::from_ne_bytes([*last, 0])))),
            _ => Self(sum),
        }
    }
}

/// Kept out of line, as is [`copy_strides`]: in the middle of a caller's code the sums would not
/// stay in registers.
#[inline(never)]
fn sum_strides(strides: &[[u8; STRIDE]]) -> u64 {
    let bulk = strides.iter().fold([0; STRIDE / 4], add_stride);
    bulk.iter().fold(0, |sum, part| sum.wrapping_add(*part))
}

#[inline(never)]
fn copy_strides(strides: &[[u8; STRIDE]], to: &mut [[u8; STRIDE]]) -> u64 {
    let mut bulk = [0; STRIDE / 4];
    for (stride, to) in strides.iter().zip(to) {
        *to = *stride;
        bulk = add_stride(bulk, stride);
    }
    bulk.iter().fold(0, |sum, part| sum.wrapping_add(*part))
}

#[inline]
fn add_stride(mut bulk: [u64; STRIDE / 4], stride: &[u8; STRIDE]) -> [u64; STRIDE / 4] {
    let (words, _) = stride.as_chunks::<4>();
    for (part, word) in bulk.iter_mut().zip(words) {
        *part = part.wrapping_add(u64::from(u32::from_ne_bytes(*word)));
    }
    bulk
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sum as RFC 1071 writes it: 16 bits at a time, end-around carry.
    fn plain(octets: &[u8]) -> [u8; 2] {
        let sum = octets.chunks(2).fold(0u32, |sum, pair| {
            let sum = sum + u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0));
            (sum & 0xffff) + (sum >> 16)
        });
        u16::try_from(sum).unwrap().to_be_bytes()
    }

    #[test]
    fn example_of_rfc_1071() {
        // RFC 1071, section 3.
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().with(&octets).folded(), [0xdd, 0xf2]);
    }

    proptest! {
        #[test]
        fn fast_sum_is_the_plain_one(octets in prop::collection::vec(any::<u8>(), 0..3000), split in 0usize..1500) {
            let mut copied = vec![0; octets.len()];
            let whole = Sum::default().copy(&octets, &mut copied);
            prop_assert_eq!(whole.folded(), plain(&octets));
            prop_assert_eq!(&copied, &octets);
            let (head, tail) = octets.split_at((split * 2).min(octets.len() / 2 * 2));
            prop_assert_eq!(Sum::default().with(head).with(tail).folded(), whole.folded());
        }
    }
}
