//! Joining consecutive segments of one flow into a superpacket for the device.
//!
//! The inverse of [`crate::segment`]: what that cuts, this joins to the same octets. Anything
//! else passes as it is. A segment is joined only after its checksum has been verified, because
//! the superpacket's will be taken for good by whoever gets it.

use crate::ip::{self, IpPacket};
use crate::open_frame::{Candidate, Open, field, flags_at, has_push};
use crate::transport::{get, length_field, put, tcp, udp};
use crate::virtio_net_hdr::{self, VirtioNetHdr};

/// Least room a coalescer has: a packet of any size with its virtio header.
const MIN_OCTETS: usize = 66_000;
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

    /// Octets of the largest packet that fits.
    #[inline]
    pub fn room(&self) -> usize {
        let free = self.buffer.len().saturating_sub(self.used);
        free.saturating_sub(virtio_net_hdr::OCTETS)
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
            && self.join(packet, ip, &candidate)
        {
            return true;
        }
        self.close();
        self.begin(packet, ip, candidate);
        true
    }

    /// What of a packet matters when it is part of a superpacket, if it can be.
    #[inline]
    fn candidate(&self, packet: &[u8], ip: &IpPacket) -> Option<Candidate> {
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
        Some(Candidate {
            headers,
            size,
            sequence,
        })
    }

    /// Begin a frame.
    #[inline]
    fn begin(&mut self, packet: &[u8], ip: &IpPacket, candidate: Option<Candidate>) {
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
        self.open = candidate
            .filter(|_| !has_push(packet, ip))
            .map(|candidate| Open::new(start, ip, candidate));
    }

    /// Join a packet to the open frame, if it is the next of its flow and intact.
    #[inline]
    fn join(&mut self, packet: &[u8], ip: &IpPacket, new: &Candidate) -> bool {
        let Some(open) = &mut self.open else {
            return false;
        };
        let Some((frames, free)) = self.buffer.split_at_mut_checked(self.used) else {
            return false;
        };
        let body = open.start.saturating_add(virtio_net_hdr::OCTETS);
        let (Some(first), Some(place)) = (frames.get_mut(body..), free.get_mut(..new.size)) else {
            return false;
        };
        if !open.is_continued_by(first, packet, ip, new) || !open.copy(packet, new, place) {
            return false;
        }
        self.used = self.used.saturating_add(new.size);
        if let Some(last) = self.ends.last_mut() {
            *last = self.used;
        }
        open.segments = open.segments.saturating_add(1);
        open.next_sequence = new.next_sequence();
        let is_pushed = has_push(packet, ip);
        if is_pushed && let Some(flags) = first.get_mut(flags_at(ip)) {
            // Segmenting the superpacket puts the flag on the last segment.
            *flags |= tcp::PSH;
        }
        if is_pushed || new.size < open.size || open.is_full() {
            self.close();
        }
        true
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
        let pseudo = open.pseudo.with_field(field(transport_octets)).folded();
        put(packet, open.ip.transport.saturating_add(checksum), pseudo);
        put(
            &mut self.buffer,
            open.start,
            open.header(is_tcp, checksum).to_octets(),
        );
    }
}
