//! The frame that segments of one flow are being joined to, and which of them go on.

use crate::checksum::Sum;
use crate::coalesce::MAX_UDP_SEGMENTS;
use crate::ip::{self, IpPacket};
use crate::transport::{get, tcp};
use crate::virtio_net_hdr::{Gso, NEEDS_CSUM, VirtioNetHdr};

const MAX_PACKET: usize = 65_535;

/// The last frame, as long as more may be joined to it.
#[derive(Clone, Copy)]
pub(crate) struct Open {
    pub(crate) start: usize,
    pub(crate) ip: IpPacket,
    pub(crate) headers: usize,
    pub(crate) size: usize,
    pub(crate) segments: usize,
    pub(crate) next_sequence: u32,
    /// Sum of the pseudo header without a length.
    pub(crate) pseudo: Sum,
}

/// A packet that may be part of a superpacket.
#[derive(Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) headers: usize,
    /// Octets of payload, at least one.
    pub(crate) size: usize,
    /// TCP's sequence number.
    pub(crate) sequence: u32,
}

impl Candidate {
    #[inline]
    pub(crate) fn next_sequence(&self) -> u32 {
        let size = u32::try_from(self.size).unwrap_or(0);
        self.sequence.wrapping_add(size)
    }
}

impl Open {
    #[inline]
    pub(crate) fn new(start: usize, ip: &IpPacket, first: Candidate) -> Self {
        Self {
            start,
            ip: *ip,
            headers: first.headers,
            size: first.size,
            segments: 1,
            next_sequence: first.next_sequence(),
            pseudo: ip.pseudo_header(0),
        }
    }

    /// Whether the kernel would refuse one with more segments.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.ip.flow.protocol() == ip::UDP && self.segments >= MAX_UDP_SEGMENTS
    }

    pub(crate) fn header(&self, is_tcp: bool, checksum: usize) -> VirtioNetHdr {
        VirtioNetHdr {
            flags: NEEDS_CSUM,
            gso: match (is_tcp, self.ip.flow.is_ipv6()) {
                (true, false) => Gso::TcpV4,
                (true, true) => Gso::TcpV6,
                (false, _) => Gso::UdpL4,
            },
            ecn: false,
            hdr_len: field(self.headers),
            gso_size: field(self.size),
            csum_start: field(self.ip.transport),
            csum_offset: field(checksum),
        }
    }

    /// Whether the packet is what [`crate::segment`] would have cut next from this frame, of which
    /// `first` is the packet up to now.
    #[inline]
    pub(crate) fn is_continued_by(
        &self,
        first: &[u8],
        packet: &[u8],
        ip: &IpPacket,
        new: &Candidate,
    ) -> bool {
        self.ip.flow == ip.flow
            && self.headers == new.headers
            && new.size <= self.size
            && first.len().saturating_add(new.size) <= MAX_PACKET
            && self.has_ip_header_of(first, packet).unwrap_or(false)
            && (ip.flow.protocol() == ip::UDP
                || self.has_tcp_header_of(first, packet, new).unwrap_or(false))
            && (self.segments > 1 || self.is_intact(first))
    }

    /// Same TOS, TTL and DF; the identification counts up, unless DF makes it mean nothing
    /// (RFC 6864, section 4.1). For IPv6: same traffic class, flow label and hop limit.
    #[inline]
    fn has_ip_header_of(&self, first: &[u8], packet: &[u8]) -> Option<bool> {
        if self.ip.flow.is_ipv6() {
            let [word, lengths] = [first, packet].map(|packet| get::<8>(packet, 0));
            let differ = u64::from_be_bytes(word?) ^ u64::from_be_bytes(lengths?);
            return Some(differ & 0xffff_ffff_0000_ffff == 0);
        }
        let ([v, t, _, _, i0, i1, f0, f1, ttl, _], other) =
            (*first.first_chunk::<10>()?, *packet.first_chunk::<10>()?);
        let [
            other_v,
            other_t,
            _,
            _,
            j0,
            j1,
            other_f0,
            other_f1,
            other_ttl,
            _,
        ] = other;
        let step = u16::try_from(self.segments).unwrap_or(0);
        let expected = u16::from_be_bytes([i0, i1]).wrapping_add(step);
        let may_differ = f0 & 0x40 != 0;
        Some(
            [v, t, f0, f1] == [other_v, other_t, other_f0, other_f1]
                && ttl == other_ttl
                && (may_differ || expected == u16::from_be_bytes([j0, j1])),
        )
    }

    /// The next sequence number; same acknowledgement, reserved bits, window, urgent pointer and options.
    #[inline]
    fn has_tcp_header_of(&self, first: &[u8], packet: &[u8], new: &Candidate) -> Option<bool> {
        const MIN: usize = tcp::MIN_OCTETS;
        let header = self.ip.transport..self.headers;
        let (first, options) = first.get(header.clone())?.split_first_chunk::<MIN>()?;
        let (packet, other_options) = packet.get(header)?.split_first_chunk::<MIN>()?;
        let fields = |header: &[u8; MIN]| {
            let [.., a0, a1, a2, a3, offset, _, w0, w1, _, _, u0, u1] = *header;
            [a0, a1, a2, a3, offset, w0, w1, u0, u1]
        };
        Some(
            new.sequence == self.next_sequence
                && fields(first) == fields(packet)
                && options == other_options,
        )
    }

    /// Whether the checksum of a single packet is right.
    #[inline]
    fn is_intact(&self, packet: &[u8]) -> bool {
        let transport = packet.get(self.ip.transport..).unwrap_or_default();
        let octets = field(transport.len());
        self.pseudo.with_field(octets).with(transport).is_valid()
    }

    /// Copy the payload of a packet of this flow.
    ///
    /// Returns:
    /// Whether its checksum is right.
    #[inline]
    pub(crate) fn copy(&self, packet: &[u8], new: &Candidate, to: &mut [u8]) -> bool {
        let Some((headers, payload)) = packet.split_at_checked(new.headers) else {
            return false;
        };
        let header = headers.get(self.ip.transport..).unwrap_or_default();
        let octets = field(header.len().saturating_add(payload.len()));
        let sum = self.pseudo.with_field(octets).with(header);
        sum.copy(payload, to).is_valid()
    }
}

/// Where the flags of TCP are.
#[inline]
pub(crate) fn flags_at(ip: &IpPacket) -> usize {
    ip.transport.saturating_add(tcp::FLAGS)
}

#[inline]
pub(crate) fn has_push(packet: &[u8], ip: &IpPacket) -> bool {
    let is_set = |flags: &u8| flags & tcp::PSH != 0;
    ip.flow.protocol() == ip::TCP && packet.get(flags_at(ip)).is_some_and(is_set)
}

/// A length as a number of 16 bits; no packet is longer.
#[inline]
pub(crate) fn field(octets: usize) -> u16 {
    u16::try_from(octets).unwrap_or(u16::MAX)
}
