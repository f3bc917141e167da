//! Cutting a superpacket of the device into packets that fit the path.
//!
//! A TUN device with TSO or USO hands over up to 64 KiB with one set of headers and no checksum.
//! Each segment is written straight to where it will be encrypted, its headers set right and its
//! checksum computed during the copy.

use std::cmp::Ordering;
use std::ops::Range;

use crate::checksum::Sum;
use crate::headers::{Headers, Segment};
use crate::ip::{self, IpPacket};
use crate::transport::{put, tcp, udp};
use crate::virtio_net_hdr::{Gso, NEEDS_CSUM, VirtioNetHdr};

/// One frame of the device, checked, with its plan of how to cut it.
#[derive(Debug, Clone, Copy)]
pub struct Superpacket<'a> {
    packet: &'a [u8],
    ip: IpPacket,
    cut: Cut<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Cut<'a> {
    /// One packet, as it is.
    Whole,
    /// One packet whose checksum, from the first offset on, belongs at the second.
    Checksum { start: usize, field: usize },
    /// Many packets, each with headers of its own.
    Segments(Segments<'a>),
}

/// How the payload is cut.
#[derive(Debug, Clone, Copy)]
struct Segments<'a> {
    headers: Headers<'a>,
    payload: &'a [u8],
    /// Octets of payload in each but the last.
    size: usize,
    /// How many there are, at least one.
    count: usize,
    /// Octets of payload in the last.
    last: usize,
}

impl<'a> Superpacket<'a> {
    /// Read a frame: a virtio header and a packet.
    ///
    /// Returns:
    /// `None` when there is no sound IP packet or when header and packet contradict each other.
    pub fn parse(frame: &'a [u8]) -> Option<Self> {
        let (header, packet) = VirtioNetHdr::split(frame)?;
        Self::of_parts(header, packet)
    }

    /// The same of a header and a packet that do not lie one behind the other.
    pub fn of_parts(header: VirtioNetHdr, packet: &'a [u8]) -> Option<Self> {
        let ip = ip::parse(packet)?;
        let packet = packet.get(..ip.total)?;
        let cut = match header.gso {
            Gso::None if header.flags & NEEDS_CSUM == 0 => Cut::Whole,
            Gso::None => {
                let start = usize::from(header.csum_start);
                let field = start.checked_add(usize::from(header.csum_offset))?;
                packet.get(field..field.checked_add(2)?)?;
                // Or the packet that is sent is another one than policies were asked about.
                (field >= end_of_selectors(&ip)?).then_some(Cut::Checksum { start, field })?
            }
            gso => {
                let size = usize::from(header.gso_size);
                Cut::Segments(Segments::plan(packet, &ip, gso, size)?)
            }
        };
        Some(Self { packet, ip, cut })
    }

    /// The same as a packet of a local user, if known whose it is.
    #[must_use]
    #[inline]
    pub fn with_user(mut self, user: Option<u32>) -> Self {
        self.ip.flow = self.ip.flow.with_user(user);
        self
    }

    /// Outline of the whole.
    #[inline]
    pub fn ip(&self) -> &IpPacket {
        &self.ip
    }

    /// How many packets it makes, at least one.
    #[inline]
    pub fn count(&self) -> usize {
        match &self.cut {
            Cut::Segments(segments) => segments.count,
            _ => 1,
        }
    }

    /// Length of one of them in octets; the first is never shorter than another.
    #[inline]
    pub fn octets(&self, index: usize) -> usize {
        match &self.cut {
            Cut::Segments(segments) => segments.octets(index),
            _ => self.packet.len(),
        }
    }

    /// Length of all of them together.
    #[inline]
    pub fn total_octets(&self) -> usize {
        self.octets_of(0..self.count())
    }

    /// Length of some of them together.
    #[inline]
    pub fn octets_of(&self, indices: Range<usize>) -> usize {
        let Some(last) = indices.clone().last() else {
            return 0;
        };
        let others = indices.len().saturating_sub(1);
        let each = self.octets(indices.start);
        others
            .saturating_mul(each)
            .saturating_add(self.octets(last))
    }

    /// Write one of them, complete with checksums, to a place of exactly [`Self::octets`].
    #[inline]
    pub fn write(&self, index: usize, to: &mut [u8]) {
        match &self.cut {
            Cut::Whole => copy(self.packet, to),
            Cut::Checksum { start, field } => self.write_with_checksum(*start, *field, to),
            Cut::Segments(segments) => segments.write(index, to),
        }
    }

    /// The field holds the pseudo header's sum already, so it is part of what is summed.
    fn write_with_checksum(&self, start: usize, field: usize, to: &mut [u8]) {
        let (Some((before, rest)), Some((to_before, to_rest))) = (
            self.packet.split_at_checked(start),
            to.split_at_mut_checked(start),
        ) else {
            return;
        };
        copy(before, to_before);
        let checksum = Sum::default().copy(rest, to_rest).checksum_not_zero();
        put(to, field, checksum);
    }
}

impl<'a> Segments<'a> {
    fn plan(packet: &'a [u8], ip: &IpPacket, gso: Gso, size: usize) -> Option<Self> {
        let next = packet.get(ip.transport..)?;
        let (is_tcp, octets) = match (gso, ip.flow.protocol(), ip.flow.is_ipv6()) {
            (Gso::TcpV4, ip::TCP, false) | (Gso::TcpV6, ip::TCP, true) => {
                (true, tcp::header_octets(next)?)
            }
            (Gso::UdpL4, ip::UDP, _) => (false, udp::OCTETS),
            _ => return None,
        };
        let headers = ip.transport.checked_add(octets)?;
        let (headers, payload) = packet.split_at_checked(headers)?;
        if ip.is_fragment {
            return None;
        }
        let (whole, rest) = (
            payload.len().checked_div(size)?,
            payload.len().checked_rem(size)?,
        );
        let (count, last) = match (whole, rest) {
            (0, rest) => (1, rest),
            (whole, 0) => (whole, size),
            (whole, rest) => (whole.saturating_add(1), rest),
        };
        Some(Self {
            headers: Headers::new(headers, ip, is_tcp)?,
            payload,
            size,
            count,
            last,
        })
    }

    #[inline]
    fn octets(&self, index: usize) -> usize {
        let behind = index.saturating_add(1);
        let payload = match behind.cmp(&self.count) {
            Ordering::Less => self.size,
            Ordering::Equal => self.last,
            Ordering::Greater => 0,
        };
        self.headers.len().saturating_add(payload)
    }

    #[inline]
    fn write(&self, index: usize, to: &mut [u8]) {
        let begin = index.saturating_mul(self.size);
        let Some((to_headers, to_payload)) = to.split_at_mut_checked(self.headers.len()) else {
            return;
        };
        let payload = begin..begin.saturating_add(to_payload.len());
        let payload = self.payload.get(payload).unwrap_or_default();
        let segment = Segment {
            index,
            is_last: index.saturating_add(1) >= self.count,
            begin,
            payload: to_payload.len(),
            sum: Sum::default().copy(payload, to_payload),
        };
        self.headers.write(&segment, to_headers);
    }
}

/// Where a packet's addresses, protocol and ports, or type and code, are all in front of.
fn end_of_selectors(ip: &IpPacket) -> Option<usize> {
    let octets = match ip.flow.protocol() {
        ip::ICMP | ip::ICMPV6 => 2,
        _ => 4,
    };
    ip.transport.checked_add(octets)
}

/// Copy as much as fits.
#[inline]
fn copy(from: &[u8], to: &mut [u8]) {
    let octets = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..octets), to.get_mut(..octets)) {
        to.copy_from_slice(from);
    }
}
