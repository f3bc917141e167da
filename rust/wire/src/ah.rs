//! The Authentication Header (RFC 4302, section 2).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | Next Header   |  Payload Len  |          RESERVED             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                 Security Parameters Index (SPI)               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                    Sequence Number Field                      |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                Integrity Check Value-ICV (variable)           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

/// Octets in front of the ICV.
pub const FIXED_OCTETS: usize = 12;

const WORD_OCTETS: usize = 4;

/// The header without its ICV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AhHeader {
    /// What follows the header.
    pub next_header: u8,
    /// Length of the whole header in octets: a multiple of four, at least [`FIXED_OCTETS`].
    pub octets: usize,
    /// Security Parameters Index.
    pub spi: u32,
    /// Low 32 bits of the sequence number.
    pub sequence: u32,
}

impl AhHeader {
    /// Read the header that `octets` begin with.
    ///
    /// What is reserved is not looked at; the ICV covers it (section 2.3).
    ///
    /// Returns:
    /// `None` when the length is less than the fixed fields or more than there is.
    #[inline]
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let (fixed, _) = octets.split_first_chunk::<FIXED_OCTETS>()?;
        let [
            next_header,
            payload_len,
            _,
            _,
            s0,
            s1,
            s2,
            s3,
            sequence @ ..,
        ] = *fixed;
        let length = usize::from(payload_len)
            .saturating_add(2)
            .saturating_mul(WORD_OCTETS);
        (length >= FIXED_OCTETS && length <= octets.len()).then_some(Self {
            next_header,
            octets: length,
            spi: u32::from_be_bytes([s0, s1, s2, s3]),
            sequence: u32::from_be_bytes(sequence),
        })
    }

    /// Write the header with an ICV and padding of zeros, as the ICV is computed over.
    ///
    /// Returns:
    /// `None`, with nothing written, when there is less room than `self.octets` or when that is no
    /// length of this header.
    #[inline]
    pub fn write(&self, to: &mut [u8]) -> Option<()> {
        let words = self.octets.checked_div(WORD_OCTETS)?.checked_sub(2)?;
        let payload_len = u8::try_from(words).ok()?;
        if !self.octets.is_multiple_of(WORD_OCTETS) {
            return None;
        }
        let place = to.get_mut(..self.octets)?;
        let (fixed, icv) = place.split_first_chunk_mut::<FIXED_OCTETS>()?;
        let [s0, s1, s2, s3] = self.spi.to_be_bytes();
        let [n0, n1, n2, n3] = self.sequence.to_be_bytes();
        //= https://www.rfc-editor.org/rfc/rfc4302#section-2.3
        //# It MUST be set to
        //# "zero" by the sender, and it SHOULD be ignored by the recipient.
        *fixed = [
            self.next_header,
            payload_len,
            0,
            0,
            s0,
            s1,
            s2,
            s3,
            n0,
            n1,
            n2,
            n3,
        ];
        icv.fill(0);
        Some(())
    }
}

/// Length of a header whose ICV is so many octets long: as much padding as makes it a multiple of
/// 32 bits in IPv4 and of 64 bits in IPv6, and no more (section 3.3.3.2.1).
///
/// A receiver that computes it too refuses any other length.
#[inline]
pub fn header_octets(icv_octets: usize, is_ipv6: bool) -> usize {
    let unit = if is_ipv6 { 8 } else { WORD_OCTETS };
    FIXED_OCTETS
        .saturating_add(icv_octets)
        .checked_next_multiple_of(unit)
        .unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The AH of the first packet of tcpdump's `OSPFv3_with_AH.pcap`: OSPF over IPv6.
    const PUBLISHED: [u8; 24] = [
        0x59, 0x04, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x13, 0x21, 0xd3, 0xa9,
        0x5c, 0x5f, 0xfd, 0x4d, 0x18, 0x46, 0x22, 0xb9, 0xf8,
    ];

    // covers R4302-2.2-1
    #[test]
    fn length_counts_words_less_two() {
        let header = AhHeader::parse(&PUBLISHED).unwrap();
        assert_eq!(
            header,
            AhHeader {
                next_header: 89,
                octets: 24,
                spi: 256,
                sequence: 19
            }
        );
        assert_eq!(header.octets, header_octets(12, true));
    }

    // covers R4302-2.6-1
    #[test]
    fn padding_is_what_alignment_needs() {
        // ICVs of 96 bits need none; 128 and 256 bits need it in IPv6 only.
        for (icv, v4, v6) in [
            (12, 24, 24),
            (16, 28, 32),
            (24, 36, 40),
            (32, 44, 48),
            (0, 12, 16),
        ] {
            assert_eq!(
                (header_octets(icv, false), header_octets(icv, true)),
                (v4, v6)
            );
        }
    }

    // covers R4302-2.3-1
    #[test]
    fn reserved_is_written_as_zero_and_ignored_when_read() {
        let mut octets = PUBLISHED;
        octets[2] = 0xff;
        let header = AhHeader::parse(&octets).unwrap();
        assert_eq!(header.write(&mut octets), Some(()));
        assert_eq!(octets[..12], PUBLISHED[..12]);
        assert_eq!(octets[12..], [0; 12], "room for the ICV");
    }

    #[test]
    fn impossible_lengths_are_refused() {
        let mut octets = PUBLISHED;
        assert_eq!(AhHeader::parse(&octets[..23]), None);
        octets[1] = 0;
        assert_eq!(AhHeader::parse(&octets), None, "shorter than its fields");
        let header = AhHeader::parse(&PUBLISHED).unwrap();
        for octets in [0, 8, 11, 13, 4 * 257 + 4, usize::MAX] {
            assert_eq!(AhHeader { octets, ..header }.write(&mut [0; 2000]), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(next_header: u8, icv in 0usize..64, spi: u32, sequence: u32, is_ipv6: bool) {
            let octets = header_octets(icv, is_ipv6);
            let header = AhHeader { next_header, octets, spi, sequence };
            let mut place = [0xee; 80];
            prop_assert_eq!(header.write(&mut place), Some(()));
            prop_assert_eq!(AhHeader::parse(&place), Some(header));
            prop_assert!(place[octets..].iter().all(|octet| *octet == 0xee));
        }

        #[test]
        fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..1100)) {
            if let Some(header) = AhHeader::parse(&octets) {
                prop_assert!(header.octets <= octets.len());
            }
        }
    }
}
