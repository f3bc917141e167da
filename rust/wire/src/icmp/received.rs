//! ICMP errors that arrive, and the packet they are about.

use super::{FRAGMENTATION_NEEDED, PACKET_TOO_BIG, UNREACHABLE};
use crate::checksum::Sum;
use crate::demux::{Payload, classify};
use crate::esp::EspHeader;
use crate::extension_header::{AH, ESP, HeaderChain};
use crate::flow::FlowKey;
use crate::ip::{self, ICMP, ICMPV6, UDP};
use crate::transport::{get, udp};

const AH_SPI_AT: usize = 4;
const QUOTE_AT: usize = 8;
const NAT_TRAVERSAL_PORT: u16 = 4500;
/// `ICMPv4` types.
const SOURCE_QUENCH: u8 = 4;
const REDIRECT: u8 = 5;

/// An ICMP error: what is said, and about which packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError<'a> {
    /// Whether it is of `ICMPv6`, whose types are others.
    pub is_ipv6: bool,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// For "fragmentation needed" and "packet too big" what fits, in octets. Zero when an old
    /// router does not say (RFC 1191, section 5).
    pub mtu: Option<u32>,
    /// The packet that caused it, as far as it is quoted.
    pub quoted: Quoted<'a>,
}

/// The beginning of a packet that an ICMP error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted<'a> {
    /// Its selector fields; ports are OPAQUE when they are not quoted.
    pub flow: FlowKey,
    /// Octets of the whole packet, as its header says.
    pub total: usize,
    /// Whether it is a fragment that is not the first; then `next_layer` is no header.
    pub is_later_fragment: bool,
    /// What is quoted from the next layer's header on.
    pub next_layer: &'a [u8],
}

impl<'a> IcmpError<'a> {
    /// Whether it says that a packet did not arrive, which hosts far away may have to know. A source
    /// quench says no more to anybody (RFC 6633), and a redirect is for the sender's own link.
    pub fn is_about_delivery(&self) -> bool {
        self.is_ipv6 || !matches!(self.kind, SOURCE_QUENCH | REDIRECT)
    }

    /// Read an IP packet that carries an ICMP error.
    ///
    /// Returns:
    /// `None` when it is none: not ICMP of its family, a fragment, a wrong checksum, an informational
    /// message, or nothing sound is quoted.
    pub fn parse(octets: &'a [u8]) -> Option<Self> {
        let packet = ip::parse(octets)?;
        if packet.is_fragment {
            return None;
        }
        let message = octets.get(packet.transport..packet.total)?;
        let [kind, code, _, _, rest @ ..] = *message.first_chunk::<QUOTE_AT>()?;
        let is_ipv6 = packet.flow.is_ipv6();
        let (is_error, sum) = match (packet.flow.protocol(), is_ipv6) {
            (ICMP, false) => (is_error_v4(kind), Sum::default()),
            (ICMPV6, true) => (
                kind < super::FIRST_INFORMATIONAL,
                packet.pseudo_header(message.len()),
            ),
            _ => return None,
        };
        if !is_error || !sum.with(message).is_valid() {
            return None;
        }
        Some(Self {
            is_ipv6,
            kind,
            code,
            mtu: mtu(is_ipv6, kind, code, rest),
            quoted: Quoted::parse(message.get(QUOTE_AT..)?)?,
        })
    }
}

impl<'a> Quoted<'a> {
    /// Read as much of a packet as is there, its IP header and extension headers at least.
    pub fn parse(octets: &'a [u8]) -> Option<Self> {
        let chain = HeaderChain::parse_quoted(octets)?;
        let end = chain.total.min(octets.len());
        let next_layer = octets.get(chain.next_layer.offset..end)?;
        let is_later_fragment = chain.is_later_fragment();
        let ports = if is_later_fragment {
            None
        } else {
            ip::ports(chain.protocol, next_layer)
        };
        let (source, destination, is_ipv6) = addresses(octets)?;
        let (class, label) = class(octets)?;
        Some(Self {
            flow: FlowKey::from_bits(source, destination, is_ipv6, chain.protocol, ports)
                .with_class(class, label),
            total: chain.total,
            is_later_fragment,
            next_layer,
        })
    }

    /// The SPI of the packet, when it is AH, or ESP by itself or in UDP on port 4500, and enough
    /// is quoted: the eight octets of RFC 792 do not show what is inside UDP.
    pub fn spi(&self) -> Option<u32> {
        if self.is_later_fragment {
            return None;
        }
        match self.flow.protocol() {
            ESP => EspHeader::parse(self.next_layer).map(|header| header.spi),
            // Eight octets show the SPI; the whole header may not be there.
            AH => get(self.next_layer, AH_SPI_AT).map(u32::from_be_bytes),
            UDP => {
                let (source, destination) = self.flow.ports()?;
                let payload = self.next_layer.get(udp::OCTETS..)?;
                let is_ours = [source, destination].contains(&NAT_TRAVERSAL_PORT);
                (is_ours && classify(payload) == Payload::Esp)
                    .then(|| EspHeader::parse(payload).map(|header| header.spi))?
            }
            _ => None,
        }
    }
}

/// Whether a packet is an ICMP error, by its type alone; a fragment without its first octets shows none.
pub fn is_error(flow: &FlowKey) -> bool {
    let Some([kind, _]) = flow.ports().map(|ports| ports.0.to_be_bytes()) else {
        return false;
    };
    match (flow.protocol(), flow.is_ipv6()) {
        (ICMP, false) => is_error_v4(kind),
        (ICMPV6, true) => kind < super::FIRST_INFORMATIONAL,
        _ => false,
    }
}

/// Whether an `ICMPv4` type is an error: unreachable, source quench, redirect, time exceeded,
/// parameter problem (RFC 1122, section 3.2.2).
pub(super) fn is_error_v4(kind: u8) -> bool {
    matches!(kind, UNREACHABLE | SOURCE_QUENCH | REDIRECT | 11 | 12)
}

fn mtu(is_ipv6: bool, kind: u8, code: u8, rest: [u8; 4]) -> Option<u32> {
    let field = u32::from_be_bytes(rest);
    match (is_ipv6, kind, code) {
        (false, UNREACHABLE, FRAGMENTATION_NEEDED) => Some(field & 0xffff),
        (true, PACKET_TOO_BIG, _) => Some(field),
        _ => None,
    }
}

fn addresses(octets: &[u8]) -> Option<(u128, u128, bool)> {
    if octets.first()? >> 4 == 6 {
        let source = u128::from_be_bytes(get(octets, 8)?);
        return Some((source, u128::from_be_bytes(get(octets, 24)?), true));
    }
    let source = u32::from_be_bytes(get(octets, 12)?);
    let destination = u32::from_be_bytes(get(octets, 16)?);
    Some((source.into(), destination.into(), false))
}

/// TOS or traffic class, and flow label.
fn class(octets: &[u8]) -> Option<(u8, u32)> {
    let [first, second, ..] = get::<4>(octets, 0)?;
    if first >> 4 == 4 {
        return Some((second, 0));
    }
    let label = u32::from_be_bytes(get(octets, 0)?) & 0xf_ffff;
    Some(((first << 4) | (second >> 4), label))
}
