//! Cutting a superpacket of the device into packets that fit the path.
//!
//! A TUN device with TSO or USO hands over up to 64 KiB with one set of headers and no checksum.
//! Each segment is written straight to where it will be encrypted, its headers set right and its
//! checksum computed during the copy.

use crate::checksum::Sum;
use crate::ip::{self, IpPacket};
use crate::transport::{get, length_field, put, tcp, udp};
use crate::virtio_net_hdr::{Gso, NEEDS_CSUM, VirtioNetHdr};

/// One frame of the device, checked, with its plan of how to cut it.
#[derive(Debug, Clone, Copy)]
pub struct Superpacket<'a> {
    packet: &'a [u8],
    ip: IpPacket,
    cut: Cut,
}

#[derive(Debug, Clone, Copy)]
enum Cut {
    /// One packet, as it is.
    Whole,
    /// One packet whose checksum, from the first offset on, belongs at the second.
    Checksum { start: usize, field: usize },
    /// Many packets, each with a copy of the headers.
    Segments {
        headers: usize,
        size: usize,
        is_tcp: bool,
    },
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
            gso => Self::plan_segments(packet, &ip, gso, usize::from(header.gso_size))?,
        };
        Some(Self { packet, ip, cut })
    }

    fn plan_segments(packet: &[u8], ip: &IpPacket, gso: Gso, size: usize) -> Option<Cut> {
        let next = packet.get(ip.transport..)?;
        let (is_tcp, octets) = match (gso, ip.flow.protocol(), ip.flow.is_ipv6()) {
            (Gso::TcpV4, ip::TCP, false) | (Gso::TcpV6, ip::TCP, true) => {
                (true, tcp::header_octets(next)?)
            }
            (Gso::UdpL4, ip::UDP, _) => (false, udp::OCTETS),
            _ => return None,
        };
        let headers = ip.transport.checked_add(octets)?;
        (size > 0 && headers <= packet.len() && !ip.is_fragment).then_some(Cut::Segments {
            headers,
            size,
            is_tcp,
        })
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
        match self.cut {
            Cut::Segments { headers, size, .. } => {
                self.payload(headers).len().div_ceil(size).max(1)
            }
            _ => 1,
        }
    }

    /// Length of one of them in octets; the first is never shorter than another.
    #[inline]
    pub fn octets(&self, index: usize) -> usize {
        match self.cut {
            Cut::Segments { headers, size, .. } => {
                let begin = index.saturating_mul(size);
                headers.saturating_add(self.payload(headers).len().saturating_sub(begin).min(size))
            }
            _ => self.packet.len(),
        }
    }

    /// Length of all of them together.
    #[inline]
    pub fn total_octets(&self) -> usize {
        match self.cut {
            Cut::Segments { headers, .. } => {
                let repeated = self.count().saturating_sub(1).saturating_mul(headers);
                self.packet.len().saturating_add(repeated)
            }
            _ => self.packet.len(),
        }
    }

    /// Write one of them, complete with checksums, to a place of exactly [`Self::octets`].
    #[inline]
    pub fn write(&self, index: usize, to: &mut [u8]) {
        match self.cut {
            Cut::Whole => copy(self.packet, to),
            Cut::Checksum { start, field } => self.write_with_checksum(start, field, to),
            Cut::Segments {
                headers,
                size,
                is_tcp,
            } => {
                let is_last = index.saturating_add(1) >= self.count();
                self.write_segment(headers, size, is_tcp, index, is_last, to);
            }
        }
    }

    #[inline]
    fn payload(&self, headers: usize) -> &'a [u8] {
        self.packet.get(headers..).unwrap_or_default()
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

    #[inline]
    fn write_segment(
        &self,
        headers: usize,
        size: usize,
        is_tcp: bool,
        index: usize,
        is_last: bool,
        to: &mut [u8],
    ) {
        let begin = index.saturating_mul(size);
        let (Some((to_headers, to_payload)), Some(payload)) = (
            to.split_at_mut_checked(headers),
            self.payload(headers).get(begin..),
        ) else {
            return;
        };
        copy(self.packet, to_headers);
        let total = headers.saturating_add(to_payload.len());
        self.set_ip_length(to_headers, total, index);
        let sum = self
            .ip
            .pseudo_header(total.saturating_sub(self.ip.transport))
            .copy(payload_of(payload, to_payload), to_payload);
        let Some(next) = to_headers.get_mut(self.ip.transport..) else {
            return;
        };
        if is_tcp {
            set_tcp(next, begin, index == 0, is_last);
            let checksum = sum.with(next).checksum();
            put(next, tcp::CHECKSUM, checksum);
        } else {
            put(
                next,
                udp::LENGTH,
                length_field(total.saturating_sub(self.ip.transport)),
            );
            put(next, udp::CHECKSUM, [0, 0]);
            let checksum = sum.with(next).checksum_not_zero();
            put(next, udp::CHECKSUM, checksum);
        }
    }

    #[inline]
    fn set_ip_length(&self, header: &mut [u8], total: usize, index: usize) {
        if self.ip.flow.is_ipv6() {
            put(header, 4, length_field(total.saturating_sub(40)));
            return;
        }
        put(header, 2, length_field(total));
        let first = u16::from_be_bytes(get(header, 4).unwrap_or_default());
        let step = u16::try_from(index & 0xffff).unwrap_or(0);
        put(header, 4, first.wrapping_add(step).to_be_bytes());
        ip::set_ipv4_checksum(header, self.ip.transport);
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

/// As much of the payload as this segment takes.
#[inline]
fn payload_of<'a>(payload: &'a [u8], to: &[u8]) -> &'a [u8] {
    payload.get(..to.len()).unwrap_or(payload)
}

/// Advance the sequence number; FIN and PSH belong to the last segment, CWR to the first
/// (RFC 3168, section 6.1.2).
#[inline]
fn set_tcp(header: &mut [u8], advance: usize, is_first: bool, is_last: bool) {
    let first = u32::from_be_bytes(get(header, tcp::SEQUENCE).unwrap_or_default());
    let advance = u32::try_from(advance).unwrap_or(0);
    put(
        header,
        tcp::SEQUENCE,
        first.wrapping_add(advance).to_be_bytes(),
    );
    put(header, tcp::CHECKSUM, [0, 0]);
    if let Some(flags) = header.get_mut(tcp::FLAGS) {
        if !is_last {
            *flags &= !(tcp::FIN | tcp::PSH);
        }
        if !is_first {
            *flags &= !tcp::CWR;
        }
    }
}

/// Copy as much as fits.
#[inline]
fn copy(from: &[u8], to: &mut [u8]) {
    let octets = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..octets), to.get_mut(..octets)) {
        to.copy_from_slice(from);
    }
}
