//! Joining consecutive segments of one flow into a superpacket for the device.
//!
//! The inverse of [`crate::segment`]: what that cuts, this joins to the same octets. Anything
//! else passes as it is. A segment is joined only after its checksum has been verified, because
//! the superpacket's will be taken for good by whoever gets it.

use crate::ip::{self, IpPacket};
use crate::transport::{get, length_field, put, tcp, udp};
use crate::virtio_net_hdr::{self, Gso, NEEDS_CSUM, VirtioNetHdr};

/// Least room a coalescer has: a packet of any size with its virtio header.
const MIN_OCTETS: usize = 66_000;
const MAX_PACKET: usize = 65_535;
/// Most datagrams of UDP in one frame: the kernel refuses superpackets of more than its
/// `UDP_MAX_SEGMENTS`, which was 64 before Linux 6.9 and is 128 since.
pub const MAX_UDP_SEGMENTS: usize = 64;

/// Frames for a TUN device, built up packet by packet.
pub struct Coalescer {
    buffer: Box<[u8]>,
    used: usize,
    ends: Vec<usize>,
    open: Option<Open>,
    join_udp: bool,
}

/// The last frame, as long as more may be joined to it.
#[derive(Clone, Copy)]
struct Open {
    start: usize,
    ip: IpPacket,
    headers: usize,
    size: usize,
    segments: usize,
    next_sequence: u32,
}

impl Coalescer {
    /// Allocate room for so many octets; at least one packet of any size fits.
    pub fn with_capacity(octets: usize) -> Self {
        Self {
            buffer: vec![0; octets.max(MIN_OCTETS)].into_boxed_slice(),
            used: 0,
            ends: Vec::with_capacity(256),
            open: None,
            join_udp: false,
        }
    }

    /// Whether to join UDP datagrams too: only for a device that was given USO.
    pub fn join_udp(&mut self, yes: bool) {
        self.join_udp = yes;
    }

    /// The frames, each a virtio header and a packet. Nothing is joined to them any more.
    pub fn frames(&mut self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.close();
        let (buffer, ends) = (&self.buffer, &self.ends);
        (0..ends.len()).map(move |index| {
            let start = index
                .checked_sub(1)
                .and_then(|before| ends.get(before))
                .copied()
                .unwrap_or(0);
            let end = ends.get(index).copied().unwrap_or(start);
            buffer.get(start..end).unwrap_or_default()
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forget everything; keeps the memory.
    pub fn clear(&mut self) {
        self.used = 0;
        self.ends.clear();
        self.open = None;
    }

    /// Whether a packet of so many octets fits.
    #[inline]
    pub fn has_room_for(&self, octets: usize) -> bool {
        let free = self.buffer.len().saturating_sub(self.used);
        free >= octets.saturating_add(virtio_net_hdr::OCTETS)
    }

    /// Add a packet whose outline is `ip`; what is behind its end is left out.
    ///
    /// Returns:
    /// `false` when it does not fit.
    #[inline]
    pub fn push(&mut self, packet: &[u8], ip: &IpPacket) -> bool {
        let Some(packet) = packet.get(..ip.total) else {
            return false;
        };
        if !self.has_room_for(packet.len()) {
            return false;
        }
        let candidate = self.candidate(packet, ip);
        if let Some(candidate) = candidate
            && self.join(packet, &candidate)
        {
            return true;
        }
        self.close();
        self.begin(packet, candidate);
        true
    }

    /// What the packet would be as the first of a superpacket, if it can be part of one.
    #[inline]
    fn candidate(&self, packet: &[u8], ip: &IpPacket) -> Option<Open> {
        if ip.is_fragment || !ip.is_plain {
            return None;
        }
        let next = packet.get(ip.transport..)?;
        let (octets, sequence) = match ip.flow.protocol() {
            ip::TCP if next.get(tcp::FLAGS)? & !tcp::PSH == tcp::ACK => (
                tcp::header_octets(next)?,
                u32::from_be_bytes(get(next, tcp::SEQUENCE)?),
            ),
            ip::UDP if self.join_udp && get(next, udp::CHECKSUM)? != [0, 0] => {
                (get(next, udp::LENGTH)? == length_field(next.len())).then_some((udp::OCTETS, 0))?
            }
            _ => return None,
        };
        let headers = ip.transport.checked_add(octets)?;
        let size = packet.len().checked_sub(headers).filter(|size| *size > 0)?;
        let next_sequence = sequence.wrapping_add(u32::try_from(size).ok()?);
        Some(Open {
            start: 0,
            ip: *ip,
            headers,
            size,
            segments: 1,
            next_sequence,
        })
    }

    /// Begin a frame.
    #[inline]
    fn begin(&mut self, packet: &[u8], candidate: Option<Open>) {
        let start = self.used;
        let body = start.saturating_add(virtio_net_hdr::OCTETS);
        let end = body.saturating_add(packet.len());
        let Some(place) = self.buffer.get_mut(body..end) else {
            return;
        };
        place.copy_from_slice(packet);
        put(&mut self.buffer, start, VirtioNetHdr::PLAIN.to_octets());
        self.used = end;
        self.ends.push(end);
        let is_pushed = |open: &Open| has_push(packet, open);
        self.open = candidate
            .filter(|open| !is_pushed(open))
            .map(|open| Open { start, ..open });
    }

    /// Join a packet to the open frame, if it is the next of its flow and intact.
    #[inline]
    fn join(&mut self, packet: &[u8], new: &Open) -> bool {
        let Some(mut open) = self.open else {
            return false;
        };
        if !self.continues(packet, &open, new) {
            return false;
        }
        let (Some((headers, payload)), Some(end)) = (
            packet.split_at_checked(new.headers),
            self.used.checked_add(new.size),
        ) else {
            return false;
        };
        let Some(place) = self.buffer.get_mut(self.used..end) else {
            return false;
        };
        let transport = headers.get(new.ip.transport..).unwrap_or_default();
        let pseudo = new
            .ip
            .pseudo_header(packet.len().saturating_sub(new.ip.transport));
        if !pseudo.with(transport).copy(payload, place).is_valid() {
            return false;
        }
        self.used = end;
        if let Some(last) = self.ends.last_mut() {
            *last = end;
        }
        open.segments = open.segments.saturating_add(1);
        open.next_sequence = new.next_sequence;
        self.open = Some(open);
        let is_pushed = has_push(packet, new);
        if is_pushed {
            self.mark_pushed(&open);
        }
        if is_pushed || new.size < open.size || open.is_full() {
            self.close();
        }
        true
    }

    /// Whether the packet is what [`crate::segment`] would have cut next from the open frame.
    #[inline]
    fn continues(&self, packet: &[u8], open: &Open, new: &Open) -> bool {
        let total = self
            .used
            .saturating_sub(open.start)
            .saturating_add(new.size);
        let Some(first) = self
            .buffer
            .get(open.start.saturating_add(virtio_net_hdr::OCTETS)..self.used)
        else {
            return false;
        };
        open.ip.flow == new.ip.flow
            && open.headers == new.headers
            && new.size <= open.size
            && total <= MAX_PACKET.saturating_add(virtio_net_hdr::OCTETS)
            && same_ip_header(first, packet, open)
            && (new.ip.flow.protocol() == ip::UDP || same_tcp_header(first, packet, open, new))
            && (open.segments > 1 || is_intact(first, open))
    }

    /// Set PSH on the open superpacket; segmenting it puts the flag on the last segment.
    fn mark_pushed(&mut self, open: &Open) {
        let flags = open
            .start
            .saturating_add(virtio_net_hdr::OCTETS + tcp::FLAGS)
            .saturating_add(open.ip.transport);
        if let Some(flags) = self.buffer.get_mut(flags) {
            *flags |= tcp::PSH;
        }
    }

    /// Give the open frame the headers of a superpacket, if it has become one.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        if open.segments < 2 {
            return;
        }
        let body = open.start.saturating_add(virtio_net_hdr::OCTETS);
        let Some(packet) = self.buffer.get_mut(body..self.used) else {
            return;
        };
        let is_tcp = open.ip.flow.protocol() == ip::TCP;
        let transport_octets = packet.len().saturating_sub(open.ip.transport);
        if open.ip.flow.is_ipv6() {
            put(packet, 4, length_field(transport_octets));
        } else {
            put(packet, 2, length_field(packet.len()));
            ip::set_ipv4_checksum(packet, open.ip.transport);
        }
        let checksum = if is_tcp { tcp::CHECKSUM } else { udp::CHECKSUM };
        if !is_tcp {
            put(
                packet,
                open.ip.transport.saturating_add(udp::LENGTH),
                length_field(transport_octets),
            );
        }
        let pseudo = open.ip.pseudo_header(transport_octets).folded();
        put(packet, open.ip.transport.saturating_add(checksum), pseudo);
        put(
            &mut self.buffer,
            open.start,
            open.header(is_tcp, checksum).to_octets(),
        );
    }
}

impl Open {
    /// Whether the kernel would refuse one with more segments.
    fn is_full(&self) -> bool {
        self.ip.flow.protocol() == ip::UDP && self.segments >= MAX_UDP_SEGMENTS
    }

    fn header(&self, is_tcp: bool, checksum: usize) -> VirtioNetHdr {
        let field = |octets: usize| u16::try_from(octets).unwrap_or(u16::MAX);
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
}

#[inline]
fn has_push(packet: &[u8], open: &Open) -> bool {
    let flags = packet
        .get(open.ip.transport.saturating_add(tcp::FLAGS))
        .copied()
        .unwrap_or(0);
    open.ip.flow.protocol() == ip::TCP && flags & tcp::PSH != 0
}

/// Same TOS, TTL and DF; the identification counts up, unless DF makes it mean nothing
/// (RFC 6864, section 4.1). For IPv6: same traffic class, flow label and hop limit.
#[inline]
fn same_ip_header(first: &[u8], packet: &[u8], open: &Open) -> bool {
    if open.ip.flow.is_ipv6() {
        return get::<4>(first, 0) == get(packet, 0) && get::<2>(first, 6) == get(packet, 6);
    }
    let identification = |packet: &[u8]| get(packet, 4).map(u16::from_be_bytes);
    let step = u16::try_from(open.segments).unwrap_or(0);
    let expected = identification(first).map(|first| first.wrapping_add(step));
    let fragment = get::<2>(first, 6);
    let may_differ = fragment.is_some_and(|[flags, _]| flags & 0x40 != 0);
    get::<2>(first, 0) == get(packet, 0)
        && fragment == get(packet, 6)
        && get::<1>(first, 8) == get(packet, 8)
        && (may_differ || expected == identification(packet))
}

/// The next sequence number; same acknowledgement, window, urgent pointer and options.
#[inline]
fn same_tcp_header(first: &[u8], packet: &[u8], open: &Open, new: &Open) -> bool {
    let at = open.ip.transport;
    let field = |offset: usize| at.saturating_add(offset);
    let size = u32::try_from(new.size).unwrap_or(0);
    new.next_sequence.wrapping_sub(size) == open.next_sequence
        && get::<4>(first, field(8)) == get(packet, field(8))
        && get::<2>(first, field(14)) == get(packet, field(14))
        && get::<2>(first, field(18)) == get(packet, field(18))
        && first.get(field(tcp::MIN_OCTETS)..open.headers)
            == packet.get(field(tcp::MIN_OCTETS)..open.headers)
}

/// Whether the checksum of a single packet is right.
#[inline]
fn is_intact(packet: &[u8], open: &Open) -> bool {
    let transport = packet.get(open.ip.transport..).unwrap_or_default();
    open.ip
        .pseudo_header(transport.len())
        .with(transport)
        .is_valid()
}
