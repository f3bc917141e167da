//! The header a TUN device with `IFF_VNET_HDR` puts in front of each packet (virtio 1.2, section 5.1.6).
//!
//! Ten octets, in the byte order of the machine, which is what Linux uses unless told otherwise.
//!
//! ```text
//! | flags 8 | gso_type 8 | hdr_len 16 | gso_size 16 | csum_start 16 | csum_offset 16 |
//! ```

/// Octets of the header (`TUNSETVNETHDRSZ`'s default).
pub const OCTETS: usize = 10;
/// Flag: the transport checksum from `csum_start` on is still to be computed.
pub const NEEDS_CSUM: u8 = 1;
/// Flag: the transport checksum has been verified.
pub const DATA_VALID: u8 = 2;

const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// How the packet is to be cut, if at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gso {
    /// One packet.
    None,
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP datagrams of equal size, either IP version.
    UdpL4,
}

/// The fields of `struct virtio_net_hdr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtioNetHdr {
    /// [`NEEDS_CSUM`], [`DATA_VALID`].
    pub flags: u8,
    /// How the packet is to be cut.
    pub gso: Gso,
    /// TCP's CWR flag belongs on the first segment only (always done; kept to answer in kind).
    pub ecn: bool,
    /// Octets of the headers that each segment repeats; a hint.
    pub hdr_len: u16,
    /// Octets of payload in each segment.
    pub gso_size: u16,
    /// Where the checksummed part begins, in octets from the packet's start.
    pub csum_start: u16,
    /// Where the checksum is, in octets from `csum_start`.
    pub csum_offset: u16,
}

impl VirtioNetHdr {
    /// The header of a packet that needs nothing done.
    pub const PLAIN: Self = Self {
        flags: 0,
        gso: Gso::None,
        ecn: false,
        hdr_len: 0,
        gso_size: 0,
        csum_start: 0,
        csum_offset: 0,
    };

    /// Split a frame read from the device into header and packet.
    ///
    /// `None` when the frame is shorter than the header or asks for a kind of segmentation
    /// that the device was never allowed to ask for.
    pub fn split(frame: &[u8]) -> Option<(Self, &[u8])> {
        let (octets, packet) = frame.split_first_chunk::<OCTETS>()?;
        let [flags, gso_type, h0, h1, g0, g1, s0, s1, o0, o1] = *octets;
        let gso = match gso_type & !GSO_ECN {
            0 => Gso::None,
            GSO_TCPV4 => Gso::TcpV4,
            GSO_TCPV6 => Gso::TcpV6,
            GSO_UDP_L4 => Gso::UdpL4,
            _ => return None,
        };
        let header = Self {
            flags,
            gso,
            ecn: gso_type & GSO_ECN != 0,
            hdr_len: u16::from_ne_bytes([h0, h1]),
            gso_size: u16::from_ne_bytes([g0, g1]),
            csum_start: u16::from_ne_bytes([s0, s1]),
            csum_offset: u16::from_ne_bytes([o0, o1]),
        };
        Some((header, packet))
    }

    /// The header of what is left when so many octets are taken off the packet's front.
    ///
    /// `None` when the checksummed part would begin before that.
    pub fn without_front(self, octets: usize) -> Option<Self> {
        let octets = u16::try_from(octets).ok()?;
        let has_checksum = self.flags & NEEDS_CSUM != 0;
        Some(Self {
            hdr_len: self.hdr_len.saturating_sub(octets),
            csum_start: match self.csum_start.checked_sub(octets) {
                None if has_checksum => return None,
                start => start.unwrap_or(0),
            },
            ..self
        })
    }

    /// The header of the packet with so many octets put in front of it.
    #[must_use]
    pub fn with_front(self, octets: usize) -> Self {
        let octets = u16::try_from(octets).unwrap_or(u16::MAX);
        let shifted = |field: u16| {
            if field == 0 {
                0
            } else {
                field.saturating_add(octets)
            }
        };
        Self {
            hdr_len: shifted(self.hdr_len),
            csum_start: shifted(self.csum_start),
            ..self
        }
    }

    /// The header as the device expects it.
    pub fn to_octets(self) -> [u8; OCTETS] {
        let kind = match self.gso {
            Gso::None => 0,
            Gso::TcpV4 => GSO_TCPV4,
            Gso::TcpV6 => GSO_TCPV6,
            Gso::UdpL4 => GSO_UDP_L4,
        };
        let [h0, h1] = self.hdr_len.to_ne_bytes();
        let [g0, g1] = self.gso_size.to_ne_bytes();
        let [s0, s1] = self.csum_start.to_ne_bytes();
        let [o0, o1] = self.csum_offset.to_ne_bytes();
        let ecn = if self.ecn { GSO_ECN } else { 0 };
        [self.flags, kind | ecn, h0, h1, g0, g1, s0, s1, o0, o1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trips() {
        let header = VirtioNetHdr {
            flags: NEEDS_CSUM,
            gso: Gso::TcpV6,
            ecn: true,
            hdr_len: 60,
            gso_size: 1380,
            csum_start: 40,
            csum_offset: 16,
        };
        let mut frame = header.to_octets().to_vec();
        frame.push(0x60);
        assert_eq!(VirtioNetHdr::split(&frame), Some((header, &[0x60][..])));
    }

    #[test]
    fn offsets_follow_what_stands_in_front() {
        let header = VirtioNetHdr {
            flags: NEEDS_CSUM,
            hdr_len: 54,
            csum_start: 34,
            ..VirtioNetHdr::PLAIN
        };
        let bare = header.without_front(14).unwrap();
        assert_eq!((bare.hdr_len, bare.csum_start), (40, 20));
        assert_eq!(bare.with_front(14), header);
        assert_eq!(bare.without_front(21), None);
        assert_eq!(
            VirtioNetHdr::PLAIN.without_front(14),
            Some(VirtioNetHdr::PLAIN)
        );
        assert_eq!(VirtioNetHdr::PLAIN.with_front(14), VirtioNetHdr::PLAIN);
    }

    #[test]
    fn short_and_unknown_headers_are_refused() {
        assert_eq!(VirtioNetHdr::split(&[0; 9]), None);
        assert_eq!(
            VirtioNetHdr::split(&[0, 3, 0, 0, 0, 0, 0, 0, 0, 0]),
            None,
            "UFO is never offered"
        );
    }
}
