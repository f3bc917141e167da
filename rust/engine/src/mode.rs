//! Where the security protocol's header goes in a packet that leaves, and what is left of one that
//! arrived when it is gone: transport, tunnel and BEET mode (RFC 4301, section 4.1).

use std::net::IpAddr;

use perilune_wire::esp::{NEXT_HEADER_IPV4, NEXT_HEADER_IPV6};
use perilune_wire::extension_header::{HeaderChain, IPV4_OCTETS};
use perilune_wire::ip::{self, IpPacket};

use crate::decapsulate::decapsulated_ecn;
use crate::drop_reason::DropReason;
use crate::outer_header::{OuterHeader, dont_fragment, forbids_fragments, traffic_class};
use crate::path::Path;
use crate::processing::{DestinationOptions, Mode, Processing};

/// Next header of IPv4 options that BEET mode carries, in a header of their own
/// (draft-nikander-esp-beet-mode-09, section 5.1).
const BEET_PSEUDO_HEADER: u8 = 94;
/// Next header, length in units of eight octets after the first, padding, reserved.
const BEET_PSEUDO_OCTETS: usize = 4;
const NO_OPERATION: u8 = 1;

/// A packet taken apart where the security protocol's header goes.
pub(crate) struct Parts {
    /// All that stays in front, beginning with an IP header whose length is not right yet.
    pub(crate) head: Vec<u8>,
    /// Where in `head` the field is that names what follows.
    pub(crate) protocol_at: usize,
    /// What `payload` is.
    pub(crate) next_header: u8,
    /// What is protected.
    pub(crate) payload: Vec<u8>,
}

impl Parts {
    /// Whether the payload is all that was protected of a packet that had its own IP header.
    pub(crate) fn is_payload_only(&self, processing: &Processing) -> bool {
        match processing.mode {
            Mode::Transport => true,
            Mode::Any => !matches!(self.next_header, NEXT_HEADER_IPV4 | NEXT_HEADER_IPV6),
            Mode::Beet { .. } | Mode::Tunnel => false,
        }
    }
}

/// Take a packet that leaves apart, the way of an SA.
pub(crate) fn take_apart(
    packet: &[u8],
    processing: &Processing,
    path: &Path,
    identification: u16,
) -> Result<Parts, DropReason> {
    let outline = ip::parse(packet).ok_or(DropReason::FrameMalformed)?;
    match processing.mode {
        //= https://www.rfc-editor.org/rfc/rfc4301#section-4.1
        //# the use of
        //# transport mode by an intermediate system (e.g., a security gateway)
        //# is permitted only when applied to packets whose source address (for
        //# outbound packets) or destination address (for inbound packets) is an
        //# address belonging to the intermediate system itself.
        Mode::Transport if outline.flow.source() != path.local.ip() => Err(DropReason::NotOurOwn),
        Mode::Transport => transport(packet, processing),
        Mode::Any if is_between_ends(&outline, path) => transport(packet, processing),
        Mode::Any | Mode::Tunnel => tunnel(packet, &outline, processing, path, identification),
        Mode::Beet { .. } => beet(packet, &outline, processing, path),
    }
}

/// Whether the ends of a packet are those of the SA.
fn is_between_ends(outline: &IpPacket, path: &Path) -> bool {
    (outline.flow.source(), outline.flow.destination()) == (path.local.ip(), path.remote.ip())
}

fn transport(packet: &[u8], processing: &Processing) -> Result<Parts, DropReason> {
    let chain = HeaderChain::parse(packet).ok_or(DropReason::FrameMalformed)?;
    //= https://www.rfc-editor.org/rfc/rfc4301#section-4.1
    //# Note: AH and ESP cannot be applied using transport mode to IPv4
    //# packets that are fragments.
    if chain.is_fragment() {
        return Err(DropReason::FragmentInTransportMode);
    }
    let inside = processing.destination_options == DestinationOptions::Inside;
    let place = chain.transport_place(inside);
    let whole = packet
        .get(..chain.total)
        .ok_or(DropReason::FrameMalformed)?;
    let (head, payload) = whole
        .split_at_checked(place.offset)
        .ok_or(DropReason::FrameMalformed)?;
    let next_header = *head
        .get(place.protocol_at)
        .ok_or(DropReason::FrameMalformed)?;
    Ok(Parts {
        head: head.to_vec(),
        protocol_at: place.protocol_at,
        next_header,
        payload: payload.to_vec(),
    })
}

fn tunnel(
    packet: &[u8],
    outline: &IpPacket,
    processing: &Processing,
    path: &Path,
    identification: u16,
) -> Result<Parts, DropReason> {
    let header = OuterHeader::around(outline, processing, path, identification);
    let (head, protocol_at) = header.to_octets(0).ok_or(DropReason::AddressFamily)?;
    let inner = packet.get(..outline.total);
    Ok(Parts {
        head,
        protocol_at,
        next_header: if outline.flow.is_ipv6() {
            NEXT_HEADER_IPV6
        } else {
            NEXT_HEADER_IPV4
        },
        payload: inner.ok_or(DropReason::FrameMalformed)?.to_vec(),
    })
}

/// The inner addresses are known to both ends, so the inner header stays at home; what of it the
/// outer one has room for, is there.
fn beet(
    packet: &[u8],
    outline: &IpPacket,
    processing: &Processing,
    path: &Path,
) -> Result<Parts, DropReason> {
    let chain = HeaderChain::parse(packet).ok_or(DropReason::FrameMalformed)?;
    if chain.is_fragment() {
        return Err(DropReason::FragmentInTransportMode);
    }
    let is_v6 = outline.flow.is_ipv6();
    let header = OuterHeader {
        source: path.local.ip(),
        destination: path.remote.ip(),
        traffic_class: traffic_class(&processing.dscp, outline.traffic_class),
        hop_limit: hop_limit(packet),
        flow_label: processing.flow_label,
        dont_fragment: dont_fragment(processing.df, outline.dont_fragment),
        identification: identification(packet).max(1),
    };
    let (head, protocol_at) = header.to_octets(0).ok_or(DropReason::AddressFamily)?;
    let (fixed, protocol) = if is_v6 { (40, 6) } else { (IPV4_OCTETS, 9) };
    let (options_end, first) = (chain.next_layer.offset, packet.get(protocol).copied());
    let first = first.ok_or(DropReason::FrameMalformed)?;
    let mut payload = Vec::with_capacity(chain.total);
    let mut next_header = first;
    if !is_v6 && options_end > fixed {
        let options = packet.get(fixed..options_end).unwrap_or_default();
        payload = pseudo_header(options, first);
        next_header = BEET_PSEUDO_HEADER;
    }
    let begin = if is_v6 { fixed } else { options_end };
    payload.extend_from_slice(packet.get(begin..chain.total).unwrap_or_default());
    Ok(Parts {
        head,
        protocol_at,
        next_header,
        payload,
    })
}

/// IPv4 options in a header of their own, a multiple of eight octets long.
fn pseudo_header(options: &[u8], next_header: u8) -> Vec<u8> {
    let padding = if (options.len() & 4) == 0 { 4 } else { 0 };
    let octets = BEET_PSEUDO_OCTETS
        .saturating_add(options.len())
        .saturating_add(padding);
    let units = u8::try_from(octets / 8).unwrap_or(1).saturating_sub(1);
    let pad_length = if padding == 4 { 4 } else { 0 };
    let mut header = vec![next_header, units, pad_length, 0];
    header.extend(std::iter::repeat_n(NO_OPERATION, padding));
    header.extend_from_slice(options);
    header
}

/// Put together what arrived.
///
/// `head` is all in front of the security protocol's header, whose place was named at
/// `protocol_at`.
pub(crate) fn put_together(
    mut parts: Parts,
    processing: &Processing,
    outer_class: u8,
) -> Result<Vec<u8>, DropReason> {
    let is_ip = matches!(parts.next_header, NEXT_HEADER_IPV4 | NEXT_HEADER_IPV6);
    match processing.mode {
        Mode::Any | Mode::Tunnel if is_ip => untunnel(parts, outer_class),
        Mode::Tunnel => Err(DropReason::NextHeaderUnknown),
        Mode::Any | Mode::Transport => {
            let field = parts.head.get_mut(parts.protocol_at);
            *field.ok_or(DropReason::InnerMalformed)? = parts.next_header;
            parts.head.append(&mut parts.payload);
            ip::set_length(&mut parts.head).ok_or(DropReason::InnerMalformed)?;
            Ok(parts.head)
        }
        Mode::Beet { local, remote } => unbeet(&parts, remote, local, outer_class),
    }
}

fn untunnel(parts: Parts, outer_class: u8) -> Result<Vec<u8>, DropReason> {
    let mut inner = parts.payload;
    let outline = ip::parse(&inner).ok_or(DropReason::InnerMalformed)?;
    if outline.flow.is_ipv6() != (parts.next_header == NEXT_HEADER_IPV6) {
        return Err(DropReason::InnerMalformed);
    }
    // Whatever is behind the packet is traffic flow confidentiality padding.
    inner.truncate(outline.total);
    let ecn = decapsulated_ecn(outline.traffic_class & 3, outer_class & 3)?;
    if ecn != outline.traffic_class & 3 {
        ip::set_ecn(&mut inner, ecn);
    }
    Ok(inner)
}

fn unbeet(
    parts: &Parts,
    source: IpAddr,
    destination: IpAddr,
    outer_class: u8,
) -> Result<Vec<u8>, DropReason> {
    let (options, next_header, payload) = take_options(parts)?;
    let header = OuterHeader {
        source,
        destination,
        traffic_class: outer_class,
        hop_limit: hop_limit(&parts.head),
        flow_label: 0,
        dont_fragment: is_ipv4_with_df(&parts.head),
        identification: identification(&parts.head),
    };
    let (mut packet, _) = header
        .to_octets(next_header)
        .ok_or(DropReason::AddressFamily)?;
    if source.is_ipv4() {
        let words = IPV4_OCTETS.saturating_add(options.len()) / 4;
        if let Some(first) = packet.first_mut() {
            *first = 0x40 | u8::try_from(words).unwrap_or(5);
        }
    }
    packet.extend_from_slice(options);
    packet.extend_from_slice(payload);
    ip::set_length(&mut packet).ok_or(DropReason::InnerMalformed)?;
    Ok(packet)
}

/// Options that came in a pseudo header, what follows it, and that.
fn take_options(parts: &Parts) -> Result<(&[u8], u8, &[u8]), DropReason> {
    if parts.next_header != BEET_PSEUDO_HEADER {
        return Ok((&[], parts.next_header, &parts.payload));
    }
    let malformed = DropReason::InnerMalformed;
    let [next_header, units, padding, _] = *parts.payload.first_chunk().ok_or(malformed)?;
    let octets = usize::from(units).saturating_add(1).saturating_mul(8);
    let (header, payload) = parts.payload.split_at_checked(octets).ok_or(malformed)?;
    let begin = BEET_PSEUDO_OCTETS.saturating_add(usize::from(padding & 7));
    let options = header.get(begin..).ok_or(malformed)?;
    if options.len() > 40 || options.len() % 4 != 0 {
        return Err(malformed);
    }
    Ok((options, next_header, payload))
}

fn hop_limit(packet: &[u8]) -> u8 {
    let at = if packet.first().is_some_and(|first| first >> 4 == 4) {
        8
    } else {
        7
    };
    packet.get(at).copied().unwrap_or(64)
}

fn identification(packet: &[u8]) -> u16 {
    match packet {
        [0x40..=0x4f, _, _, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 1,
    }
}

fn is_ipv4_with_df(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first >> 4 == 4) && forbids_fragments(packet)
}
