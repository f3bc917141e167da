//! The headers of a superpacket's segments. What all of them have in common is summed once; a segment
//! adds what it has of its own.

use crate::checksum::Sum;
use crate::ip::IpPacket;
use crate::transport::{get, length_field, put, tcp, udp};

/// Lengths, identification and checksum in an IPv4 header.
mod ipv4 {
    pub(super) const LENGTH: usize = 2;
    pub(super) const BEHIND_IDENTIFICATION: usize = 6;
    pub(super) const CHECKSUM: usize = 10;
    pub(super) const BEHIND_CHECKSUM: usize = 12;
}

/// The length in an IPv6 header, and the octets that it does not count.
mod ipv6 {
    pub(super) const LENGTH: usize = 4;
    pub(super) const OCTETS: usize = 40;
}

/// Headers as the superpacket has them, and sums without the fields that differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Headers<'a> {
    octets: &'a [u8],
    /// Where the next layer's begins.
    transport: usize,
    network: Network,
    next: Next,
    /// Sum of pseudo header and next layer header, without lengths and checksum.
    next_sum: Sum,
}

#[derive(Debug, Clone, Copy)]
enum Network {
    /// With the sum of the header but for length, identification and checksum.
    Ipv4 {
        identification: u16,
        sum: Sum,
    },
    Ipv6,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    /// Sequence number and flags are not in the sum.
    Tcp {
        sequence: u32,
        flags: u8,
    },
    Udp,
}

/// Which segment headers are for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) index: usize,
    pub(crate) is_last: bool,
    /// Octets of payload before it.
    pub(crate) begin: usize,
    /// Octets of its own payload.
    pub(crate) payload: usize,
    /// Sum of these.
    pub(crate) sum: Sum,
}

impl<'a> Headers<'a> {
    /// Read the headers of a superpacket, which are all there is in `octets`.
    ///
    /// Returns:
    /// `None` when they are shorter than they have to be.
    pub(crate) fn new(octets: &'a [u8], ip: &IpPacket, is_tcp: bool) -> Option<Self> {
        let (network, next) = octets.split_at_checked(ip.transport)?;
        let addresses_and_ports = ip.pseudo_header(0).with(next.get(..4)?);
        let (next, next_sum) = if is_tcp {
            read_tcp(next, addresses_and_ports)?
        } else {
            (Next::Udp, addresses_and_ports)
        };
        let network = if ip.flow.is_ipv6() {
            Network::Ipv6
        } else {
            read_ipv4(network)?
        };
        Some(Self {
            octets,
            transport: ip.transport,
            network,
            next,
            next_sum,
        })
    }

    /// How long they are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.octets.len()
    }

    /// Write those of one segment to a place of their length.
    #[inline]
    pub(crate) fn write(&self, segment: &Segment, to: &mut [u8]) {
        if to.len() != self.octets.len() {
            return;
        }
        to.copy_from_slice(self.octets);
        let total = self.octets.len().saturating_add(segment.payload);
        let (network, next) = to.split_at_mut(self.transport.min(self.octets.len()));
        self.write_network(segment.index, total, network);
        self.write_next(segment, total.saturating_sub(self.transport), next);
    }

    #[inline]
    fn write_network(&self, index: usize, total: usize, to: &mut [u8]) {
        let Network::Ipv4 {
            identification,
            sum,
        } = self.network
        else {
            let length = length_field(total.saturating_sub(ipv6::OCTETS));
            return put(to, ipv6::LENGTH, length);
        };
        let step = u16::try_from(index & 0xffff).unwrap_or(0);
        let [l0, l1] = length_field(total);
        let [i0, i1] = identification.wrapping_add(step).to_be_bytes();
        let changed = [l0, l1, i0, i1];
        put(to, ipv4::LENGTH, changed);
        let checksum = sum.with_long_field(u32::from_be_bytes(changed)).checksum();
        put(to, ipv4::CHECKSUM, checksum);
    }

    #[inline]
    fn write_next(&self, segment: &Segment, octets: usize, to: &mut [u8]) {
        let length = u16::try_from(octets).unwrap_or(u16::MAX);
        let sum = self.next_sum.with_field(length).with_sum(segment.sum);
        match self.next {
            Next::Tcp { sequence, flags } => {
                let begin = u32::try_from(segment.begin).unwrap_or(0);
                let sequence = sequence.wrapping_add(begin);
                let flags = flags_of(flags, segment);
                let sum = sum.with_long_field(sequence).with_field(u16::from(flags));
                put(to, tcp::SEQUENCE, sequence.to_be_bytes());
                put(to, tcp::FLAGS, [flags]);
                put(to, tcp::CHECKSUM, sum.checksum());
            }
            Next::Udp => {
                let [l0, l1] = length.to_be_bytes();
                let [c0, c1] = sum.with_field(length).checksum_not_zero();
                put(to, udp::LENGTH, [l0, l1, c0, c1]);
            }
        }
    }
}

fn read_ipv4(header: &[u8]) -> Option<Network> {
    let sum = Sum::default()
        .with(header.get(..ipv4::LENGTH)?)
        .with(header.get(ipv4::BEHIND_IDENTIFICATION..ipv4::CHECKSUM)?)
        .with(header.get(ipv4::BEHIND_CHECKSUM..)?);
    Some(Network::Ipv4 {
        identification: u16::from_be_bytes(get(header, 4)?),
        sum,
    })
}

fn read_tcp(header: &[u8], addresses_and_ports: Sum) -> Option<(Next, Sum)> {
    let [offset, flags] = get(header, tcp::DATA_OFFSET)?;
    let next = Next::Tcp {
        sequence: u32::from_be_bytes(get(header, tcp::SEQUENCE)?),
        flags,
    };
    let sum = addresses_and_ports
        .with(header.get(tcp::ACKNOWLEDGEMENT..tcp::DATA_OFFSET)?)
        .with(&[offset, 0])
        .with(header.get(tcp::WINDOW..tcp::CHECKSUM)?)
        .with(header.get(tcp::URGENT..)?);
    Some((next, sum))
}

/// FIN and PSH belong to the last segment, CWR to the first (RFC 3168, section 6.1.2).
#[inline]
fn flags_of(flags: u8, segment: &Segment) -> u8 {
    let not_last = if segment.is_last {
        0
    } else {
        tcp::FIN | tcp::PSH
    };
    let not_first = if segment.index == 0 { 0 } else { tcp::CWR };
    flags & !(not_last | not_first)
}
