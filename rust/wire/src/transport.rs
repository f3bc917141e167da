//! Where the fields are that change from one segment to the next.

/// Offsets in a TCP header (RFC 9293, section 3.1).
pub(crate) mod tcp {
    pub(crate) const SEQUENCE: usize = 4;
    pub(crate) const ACKNOWLEDGEMENT: usize = 8;
    pub(crate) const DATA_OFFSET: usize = 12;
    pub(crate) const FLAGS: usize = 13;
    pub(crate) const WINDOW: usize = 14;
    pub(crate) const CHECKSUM: usize = 16;
    pub(crate) const URGENT: usize = 18;
    pub(crate) const MIN_OCTETS: usize = 20;

    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const PSH: u8 = 0x08;
    pub(crate) const ACK: u8 = 0x10;
    pub(crate) const CWR: u8 = 0x80;

    /// Length of the header that `segment` begins with, if it is sound.
    #[inline]
    pub(crate) fn header_octets(segment: &[u8]) -> Option<usize> {
        let octets = usize::from(segment.get(DATA_OFFSET)? >> 4).saturating_mul(4);
        (octets >= MIN_OCTETS && octets <= segment.len()).then_some(octets)
    }
}

/// Offsets in a UDP header (RFC 768).
pub(crate) mod udp {
    pub(crate) const LENGTH: usize = 4;
    pub(crate) const CHECKSUM: usize = 6;
    pub(crate) const OCTETS: usize = 8;
}

/// Write a field if it is inside; the caller has checked that it is.
#[inline]
pub(crate) fn put<const N: usize>(packet: &mut [u8], at: usize, field: [u8; N]) {
    if let Some(place) = packet.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *place = field;
    }
}

/// Read a field if it is inside.
#[inline]
pub(crate) fn get<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..)?.first_chunk().copied()
}

/// A length as a 16-bit field; what is longer has been refused before.
#[inline]
pub(crate) fn length_field(octets: usize) -> [u8; 2] {
    u16::try_from(octets).unwrap_or(u16::MAX).to_be_bytes()
}
