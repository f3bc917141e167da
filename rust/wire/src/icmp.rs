//! ICMP error messages of both versions (RFC 792, RFC 1191, section 4; RFC 4443, section 3): those
//! that we send about packets we do not, and those that come from the path.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     Type      |     Code      |          Checksum             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  MTU of IPv6 (32 bits); in IPv4 16 zero bits, then 16 of MTU  |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |             as much of the packet that caused it              |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum::Sum;
use crate::extension_header::{HeaderChain, IPV4_OCTETS, IPV6_OCTETS};
use crate::ip::{self, ICMP, ICMPV6, IpPacket, set_ipv4_checksum};
use crate::transport::put;

mod received;

pub use received::{IcmpError, Quoted, is_error};

/// The most octets of an ICMP error over IPv4 (RFC 1812, section 4.3.2.3).
pub const MOST_OCTETS_IPV4: usize = 576;
/// The most octets of an ICMP error over IPv6: its minimum MTU (RFC 4443, section 2.4).
pub const MOST_OCTETS_IPV6: usize = 1280;

const HEADER_OCTETS: usize = 8;
const HOP_LIMIT: u8 = 64;
const DONT_FRAGMENT: u8 = 0x40;

/// IPv4: Destination Unreachable.
const UNREACHABLE: u8 = 3;
const FRAGMENTATION_NEEDED: u8 = 4;
/// IPv6: Packet Too Big.
const PACKET_TOO_BIG: u8 = 2;
/// `ICMPv6` types below are errors (RFC 4443, section 2.1).
const FIRST_INFORMATIONAL: u8 = 128;
const REDIRECT_IPV6: u8 = 137;

/// What is told about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// Longer than what fits, which is so many octets (RFC 4301, section 8.2.1). In IPv6 at least
    /// 1280 are said.
    PacketTooBig {
        /// The most octets of a packet of the sender.
        mtu: u32,
    },
    /// Policy, here or at the peer, does not want it (RFC 4301, section 5.1.1, a and b1).
    Prohibited,
    /// The peer that its SA needs cannot be reached (RFC 4301, section 5.1.1, b2).
    Unreachable,
}

/// Write an ICMP error to the sender of a packet.
///
/// Args:
///     problem: What is wrong with it.
///     about: Begins with the packet.
///     source: Who says it: an address of ours, of the packet's family.
///     to: Where the IP packet is written; 576 or 1280 octets are enough.
///
/// Returns:
/// Its octets, or `None` when nothing may be said: about an ICMP error, a fragment that is not the
/// first, a packet to many or from nobody in particular (RFC 1122, section 3.2.2; RFC 4443, section
/// 2.4(e)), or when `to` is too small.
pub fn write_error(problem: Problem, about: &[u8], source: IpAddr, to: &mut [u8]) -> Option<usize> {
    let packet = ip::parse(about)?;
    let chain = HeaderChain::parse(about)?;
    let quoted = about.get(..packet.total)?;
    if chain.is_later_fragment() || !may_be_told(problem, &packet, quoted) {
        return None;
    }
    match (source, packet.flow.source()) {
        (IpAddr::V4(source), IpAddr::V4(sender)) => write_v4(problem, quoted, source, sender, to),
        (IpAddr::V6(source), IpAddr::V6(sender)) => write_v6(problem, quoted, source, sender, to),
        _ => None,
    }
}

fn may_be_told(problem: Problem, packet: &IpPacket, octets: &[u8]) -> bool {
    let kind = octets.get(packet.transport).copied();
    let is_error = match packet.flow.protocol() {
        ICMP if !packet.flow.is_ipv6() => kind.is_none_or(received::is_error_v4),
        ICMPV6 if packet.flow.is_ipv6() => {
            kind.is_none_or(|kind| kind < FIRST_INFORMATIONAL || kind == REDIRECT_IPV6)
        }
        _ => false,
    };
    let is_to_one = match packet.flow.destination() {
        IpAddr::V4(address) => !address.is_multicast() && !address.is_broadcast(),
        IpAddr::V6(address) => {
            !address.is_multicast() || matches!(problem, Problem::PacketTooBig { .. })
        }
    };
    let is_from_one = match packet.flow.source() {
        IpAddr::V4(address) => (1..224).contains(&address.octets()[0]) && !address.is_loopback(),
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_multicast(),
    };
    !is_error && is_to_one && is_from_one
}

fn write_v4(
    problem: Problem,
    about: &[u8],
    source: Ipv4Addr,
    sender: Ipv4Addr,
    to: &mut [u8],
) -> Option<usize> {
    let (code, rest) = match problem {
        Problem::PacketTooBig { mtu } => {
            let [high, low] = u16::try_from(mtu).unwrap_or(u16::MAX).to_be_bytes();
            (FRAGMENTATION_NEEDED, [0, 0, high, low])
        }
        Problem::Prohibited => (13, [0; 4]),
        Problem::Unreachable => (1, [0; 4]),
    };
    let message = Message {
        start: [UNREACHABLE, code],
        rest,
    };
    let total = message.write(about, Sum::default(), IPV4_OCTETS, MOST_OCTETS_IPV4, to)?;
    let [l0, l1] = u16::try_from(total).ok()?.to_be_bytes();
    let start = [
        0x45,
        0,
        l0,
        l1,
        0,
        0,
        DONT_FRAGMENT,
        0,
        HOP_LIMIT,
        ICMP,
        0,
        0,
    ];
    put(to, 0, start);
    put(to, 12, source.octets());
    put(to, 16, sender.octets());
    set_ipv4_checksum(to, IPV4_OCTETS);
    Some(total)
}

fn write_v6(
    problem: Problem,
    about: &[u8],
    source: Ipv6Addr,
    sender: Ipv6Addr,
    to: &mut [u8],
) -> Option<usize> {
    let (start, rest) = match problem {
        Problem::PacketTooBig { mtu } => {
            let least = u32::try_from(MOST_OCTETS_IPV6).ok()?;
            ([PACKET_TOO_BIG, 0], mtu.max(least).to_be_bytes())
        }
        Problem::Prohibited => ([1, 1], [0; 4]),
        Problem::Unreachable => ([1, 3], [0; 4]),
    };
    let message = Message { start, rest };
    let pseudo_header = Sum::default()
        .with(&source.octets())
        .with(&sender.octets())
        .with_field(ICMPV6.into());
    let total = message.write(about, pseudo_header, IPV6_OCTETS, MOST_OCTETS_IPV6, to)?;
    let [l0, l1] = u16::try_from(total.checked_sub(IPV6_OCTETS)?)
        .ok()?
        .to_be_bytes();
    put(to, 0, [0x60, 0, 0, 0, l0, l1, ICMPV6, HOP_LIMIT]);
    put(to, 8, source.octets());
    put(to, 24, sender.octets());
    Some(total)
}

/// The two words in front of the packet that is quoted, without the checksum.
struct Message {
    start: [u8; 2],
    rest: [u8; 4],
}

impl Message {
    /// Write the message behind a header of so many octets, with as much of the packet as fits.
    ///
    /// Returns:
    /// The octets of header and message.
    fn write(
        &self,
        about: &[u8],
        mut pseudo_header: Sum,
        at: usize,
        most: usize,
        to: &mut [u8],
    ) -> Option<usize> {
        let quote_at = at.checked_add(HEADER_OCTETS)?;
        let quote = about.get(..most.checked_sub(quote_at)?).unwrap_or(about);
        let total = quote_at.checked_add(quote.len())?;
        to.get_mut(quote_at..total)?.copy_from_slice(quote);
        let [kind, code] = self.start;
        put(to, at, [kind, code, 0, 0]);
        put(to, at.checked_add(4)?, self.rest);
        let message = to.get(at..total)?;
        if at == IPV6_OCTETS {
            pseudo_header = pseudo_header.with_long_field(u32::try_from(message.len()).ok()?);
        }
        let checksum = pseudo_header.with(message).checksum();
        put(to, at.checked_add(2)?, checksum);
        Some(total)
    }
}

#[cfg(test)]
mod tests;
