//! The ESP header (RFC 4303, section 2).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |               Security Parameters Index (SPI)                 |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                      Sequence Number                          |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  IV, payload, padding (0-255), pad length, next header, ICV   |
//! ```

/// Octets of the ESP header: SPI and the sequence number's low half.
pub const HEADER_OCTETS: usize = 8;
/// Octets of the trailer's fixed part: pad length and next header.
pub const TRAILER_OCTETS: usize = 2;
/// Next header of an IPv4 packet in tunnel mode.
pub const NEXT_HEADER_IPV4: u8 = 4;
/// Next header of an IPv6 packet in tunnel mode.
pub const NEXT_HEADER_IPV6: u8 = 41;
/// Next header of a dummy packet (section 2.6).
pub const NEXT_HEADER_DUMMY: u8 = 59;

/// The two fields in front of every ESP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EspHeader {
    /// Security Parameters Index.
    pub spi: u32,
    /// Low 32 bits of the sequence number.
    pub sequence: u32,
}

impl EspHeader {
    /// Read the header; `None` when there are fewer than eight octets.
    #[inline]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (spi, rest) = packet.split_first_chunk::<4>()?;
        let (sequence, _) = rest.split_first_chunk::<4>()?;
        Some(Self {
            spi: u32::from_be_bytes(*spi),
            sequence: u32::from_be_bytes(*sequence),
        })
    }

    /// The header as it stands on the wire.
    #[inline]
    pub fn to_octets(self) -> [u8; HEADER_OCTETS] {
        ((u64::from(self.spi) << 32) | u64::from(self.sequence)).to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trips_and_short_ones_are_refused() {
        let header = EspHeader {
            spi: 0x0102_0304,
            sequence: 5,
        };
        assert_eq!(header.to_octets(), [1, 2, 3, 4, 0, 0, 0, 5]);
        assert_eq!(EspHeader::parse(&header.to_octets()), Some(header));
        assert_eq!(EspHeader::parse(&[0; 7]), None);
    }
}
