//! The inner IP header: what the SPD, the segmenter and the coalescer need to know of it.

use crate::checksum::Sum;
use crate::extension_header::{HOP_BY_HOP, HeaderChain, IPV4_OCTETS, IPV6_OCTETS, MOBILITY};
use crate::flow::FlowKey;
use crate::sensitivity;

/// Protocol number of TCP.
pub const TCP: u8 = 6;
/// Protocol number of UDP.
pub const UDP: u8 = 17;

/// Protocol number of ICMP.
pub const ICMP: u8 = 1;
/// Next header of ICMP for IPv6.
pub const ICMPV6: u8 = 58;

const DCCP: u8 = 33;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

/// A sound IP packet's outline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpPacket {
    /// Selector fields.
    pub flow: FlowKey,
    /// Where the next layer's header begins, in octets; behind IPv6 extension headers.
    pub transport: usize,
    /// Length of the packet in octets, as its header says.
    pub total: usize,
    /// TOS or Traffic Class.
    pub traffic_class: u8,
    /// IPv6 flow label; zero for IPv4.
    pub flow_label: u32,
    /// Whether routers may not fragment it: IPv4 with DF, and IPv6.
    pub dont_fragment: bool,
    /// Whether it is a fragment, the first one included.
    pub is_fragment: bool,
    /// Whether there are neither IPv4 options nor IPv6 extension headers.
    pub is_plain: bool,
}

/// Read the outline of the packet that `octets` begin with.
///
/// Returns:
/// `None` when there is no sound packet: a length that does not fit, a wrong version, an
/// extension header that ends behind the packet. What follows the packet is ignored.
#[inline]
pub fn parse(octets: &[u8]) -> Option<IpPacket> {
    match octets.first()? >> 4 {
        4 => parse_v4(octets),
        6 => parse_v6(octets),
        _ => None,
    }
}

impl IpPacket {
    /// Sum of the pseudo header for a next layer packet of so many octets (RFC 9293, section 3.1;
    /// RFC 8200, section 8.1).
    #[inline]
    pub fn pseudo_header(&self, transport_octets: usize) -> Sum {
        let sum = Sum::default()
            .with(&self.flow.source_bits().to_be_bytes())
            .with(&self.flow.destination_bits().to_be_bytes())
            .with_field(u16::from(self.flow.protocol()));
        sum.with_long_field(u32::try_from(transport_octets).unwrap_or(u32::MAX))
    }
}

/// Replace the two ECN bits of a packet that [`parse`] accepted, and mend its checksum.
pub fn set_ecn(packet: &mut [u8], ecn: u8) {
    match packet {
        [first, tos, ..] if *first >> 4 == 4 => {
            *tos = (*tos & !3) | (ecn & 3);
            let header = usize::from(*first & 0xf).saturating_mul(4);
            set_ipv4_checksum(packet, header);
        }
        [_, second, ..] => *second = (*second & !0x30) | ((ecn & 3) << 4),
        _ => {}
    }
}

/// Make the header of a packet say how long the packet is, and mend its checksum.
///
/// Returns:
/// `None` when no IP packet is that long or that short.
pub fn set_length(packet: &mut [u8]) -> Option<()> {
    match packet.first()? >> 4 {
        4 => {
            let octets = u16::try_from(packet.len()).ok()?;
            let header = usize::from(*packet.first()? & 0xf).saturating_mul(4);
            packet.get(..header)?;
            crate::transport::put(packet, 2, octets.to_be_bytes());
            set_ipv4_checksum(packet, header);
        }
        6 => {
            let octets = u16::try_from(packet.len().checked_sub(IPV6_OCTETS)?).ok()?;
            crate::transport::put(packet, 4, octets.to_be_bytes());
        }
        _ => return None,
    }
    Some(())
}

/// Compute the checksum of the TCP segment or UDP datagram in a packet and put it in its place;
/// any other packet, and a fragment, stays as it is.
///
/// Returns:
/// `None` when there is no sound packet.
pub fn set_transport_checksum(packet: &mut [u8]) -> Option<()> {
    let outline = parse(packet)?;
    let at = match outline.flow.protocol() {
        TCP => crate::transport::tcp::CHECKSUM,
        UDP => crate::transport::udp::CHECKSUM,
        _ => return Some(()),
    };
    let mut next = packet.get_mut(outline.transport..outline.total)?;
    if outline.flow.protocol() == UDP {
        // What is behind the datagram is not summed.
        let length = crate::transport::get(next, crate::transport::udp::LENGTH);
        let octets = usize::from(u16::from_be_bytes(length.unwrap_or_default()));
        next = next.get_mut(..octets)?;
    }
    if outline.is_fragment || next.len() < at.saturating_add(2) {
        return Some(());
    }
    crate::transport::put(next, at, [0, 0]);
    let sum = outline.pseudo_header(next.len()).with(next);
    let checksum = match outline.flow.protocol() {
        UDP => sum.checksum_not_zero(),
        _ => sum.checksum(),
    };
    crate::transport::put(next, at, checksum);
    Some(())
}

/// Compute the checksum of an IPv4 header of so many octets and put it in its place.
#[inline]
pub(crate) fn set_ipv4_checksum(packet: &mut [u8], header: usize) {
    crate::transport::put(packet, 10, [0, 0]);
    let checksum = Sum::default()
        .with(packet.get(..header).unwrap_or_default())
        .checksum();
    crate::transport::put(packet, 10, checksum);
}

#[inline]
fn parse_v4(octets: &[u8]) -> Option<IpPacket> {
    let header = octets.first_chunk::<IPV4_OCTETS>()?;
    let [
        first,
        tos,
        l0,
        l1,
        _,
        _,
        f0,
        f1,
        _,
        protocol,
        _,
        _,
        addresses @ ..,
    ] = *header;
    let transport = usize::from(first & 0xf).saturating_mul(4);
    let total = usize::from(u16::from_be_bytes([l0, l1]));
    if transport < IPV4_OCTETS || total < transport || octets.len() < total {
        return None;
    }
    let fragment = u16::from_be_bytes([f0, f1]) & 0x3fff;
    let offset = fragment & 0x1fff;
    let next = octets.get(transport..total)?;
    let ports = if offset == 0 {
        ports(protocol, next)
    } else {
        None
    };
    let level = if transport == IPV4_OCTETS {
        None
    } else {
        sensitivity::ipv4_level(octets.get(IPV4_OCTETS..transport)?)
    };
    let addresses = u64::from_be_bytes(addresses);
    let (source, destination) = (
        u128::from(addresses >> 32),
        u128::from(addresses & 0xffff_ffff),
    );
    Some(IpPacket {
        flow: FlowKey::from_bits(source, destination, false, protocol, ports)
            .with_class(tos, 0)
            .with_level(level),
        transport,
        total,
        traffic_class: tos,
        flow_label: 0,
        dont_fragment: f0 & 0x40 != 0,
        is_fragment: fragment != 0,
        is_plain: transport == IPV4_OCTETS,
    })
}

#[inline]
fn parse_v6(octets: &[u8]) -> Option<IpPacket> {
    let (header, _) = octets.split_first_chunk::<IPV6_OCTETS>()?;
    let (start, addresses) = header.split_first_chunk::<8>()?;
    let [v0, v1, v2, v3, l0, l1, next_header, _] = *start;
    let total = IPV6_OCTETS.checked_add(usize::from(u16::from_be_bytes([l0, l1])))?;
    let packet = octets.get(..total)?;
    let (source, destination) = addresses.split_first_chunk::<16>()?;
    let chain = HeaderChain::walk(packet, next_header)?;
    let transport = chain.next_layer.offset;
    let ports = if chain.is_later_fragment() {
        None
    } else {
        ports(chain.protocol, packet.get(transport..)?)
    };
    let level = if next_header == HOP_BY_HOP {
        sensitivity::ipv6_level(packet.get(IPV6_OCTETS..transport)?)
    } else {
        None
    };
    let word = u32::from_be_bytes([v0, v1, v2, v3]);
    let (source, destination) = (
        u128::from_be_bytes(*source),
        u128::from_be_bytes(*destination.first_chunk()?),
    );
    let (traffic_class, flow_label) = ((v0 << 4) | (v1 >> 4), word & 0xf_ffff);
    Some(IpPacket {
        flow: FlowKey::from_bits(source, destination, true, chain.protocol, ports)
            .with_class(traffic_class, flow_label)
            .with_level(level),
        transport,
        total,
        traffic_class,
        flow_label,
        dont_fragment: true,
        is_fragment: chain.is_fragment(),
        is_plain: transport == IPV6_OCTETS,
    })
}

/// Whether [`ports`] knows the place of a protocol's ports.
pub(crate) fn has_ports(protocol: u8) -> bool {
    ports(protocol, &[0; 4]).is_some()
}

/// The two port selectors of a next layer packet, if it has them.
#[inline]
pub(crate) fn ports(protocol: u8, next: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d] = *next.first_chunk()?;
    match protocol {
        TCP | UDP | DCCP | SCTP | UDP_LITE => {
            Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
        }
        ICMP | ICMPV6 => Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([a, b]))),
        MOBILITY => Some((u16::from_be_bytes([c, 0]), u16::from_be_bytes([c, 0]))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension_header::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP};
    use proptest::prelude::*;

    fn v4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
        let [f0, f1] = fragment.to_be_bytes();
        let mut packet = vec![
            0x45, 0xb8, total[0], total[1], 0, 7, f0, f1, 64, protocol, 0, 0, 10, 1, 0, 1, 10, 2,
            0, 2,
        ];
        set_ipv4_checksum(&mut packet, 20);
        packet.extend_from_slice(payload);
        packet
    }

    fn v6(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x6a, 0xb1, 0x23, 0x45];
        packet.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        packet.extend_from_slice(&[next_header, 64]);
        packet.extend_from_slice(&[0x20; 16]);
        packet.extend_from_slice(&[0x21; 16]);
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn outline_of_an_ipv4_packet() {
        let packet = parse(&v4(UDP, 0x4000, &[4, 0, 0, 53, 0, 8, 0, 0])).unwrap();
        assert_eq!(
            format!("{:?}", packet.flow),
            "10.1.0.1 -> 10.2.0.2 protocol 17 ports 1024 -> 53"
        );
        assert_eq!(
            (packet.transport, packet.total, packet.traffic_class),
            (20, 28, 0xb8)
        );
        assert!(packet.is_plain && !packet.is_fragment);
    }

    #[test]
    fn fragments_behind_the_first_hide_their_ports() {
        let payload = [4, 0, 0, 53, 0, 8, 0, 0];
        let first = parse(&v4(UDP, 0x2000, &payload)).unwrap();
        assert!(first.is_fragment && first.flow.ports() == Some((1024, 53)));
        let later = parse(&v4(UDP, 0x0001, &payload)).unwrap();
        assert!(later.is_fragment && later.flow.ports().is_none());
    }

    #[test]
    fn icmp_type_and_code_stand_for_ports() {
        let packet = parse(&v4(ICMP, 0, &[8, 0, 0, 0, 0, 0, 0, 0])).unwrap();
        assert_eq!(packet.flow.ports(), Some((0x800, 0x800)));
    }

    // covers R4301-4.4.1.1-2
    #[test]
    fn extension_headers_of_ipv6_are_skipped() {
        let mut payload = vec![DESTINATION_OPTIONS, 0, 1, 4, 0, 0, 0, 0];
        payload.extend_from_slice(&[TCP, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        payload.extend_from_slice(&[0, 80, 1, 0]);
        let packet = parse(&v6(HOP_BY_HOP, &payload)).unwrap();
        assert_eq!(
            (packet.flow.protocol(), packet.flow.ports()),
            (TCP, Some((80, 256)))
        );
        assert_eq!((packet.transport, packet.is_plain), (64, false));
        assert_eq!((packet.traffic_class, packet.flow_label), (0xab, 0x1_2345));
        payload.truncate(20);
        assert_eq!(
            parse(&v6(HOP_BY_HOP, &payload)),
            None,
            "header chain behind the end"
        );
    }

    #[test]
    fn fragments_of_ipv6_are_recognised() {
        let later = parse(&v6(FRAGMENT, &[UDP, 0, 0, 8, 0, 0, 0, 1, 1, 2, 3, 4])).unwrap();
        assert!(later.is_fragment && later.flow.ports().is_none());
        let atomic = parse(&v6(FRAGMENT, &[UDP, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4])).unwrap();
        assert!(!atomic.is_fragment && atomic.flow.ports() == Some((0x102, 0x304)));
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let packet = v4(UDP, 0, &[0; 8]);
        assert_eq!(parse(&packet[..27]), None);
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[0x44; 40]), None, "header shorter than the least");
        assert_eq!(parse(&[0x75; 60]), None, "version 7");
        assert!(
            parse(&[packet.as_slice(), &[0; 9]].concat()).is_some_and(|packet| packet.total == 28)
        );
    }

    #[test]
    fn ecn_is_replaced_in_both_versions() {
        let mut packet = v4(UDP, 0, &[0; 8]);
        set_ecn(&mut packet, 3);
        assert_eq!(parse(&packet).unwrap().traffic_class, 0xbb);
        assert!(Sum::default().with(&packet[..20]).is_valid());
        let mut packet = v6(UDP, &[0; 8]);
        set_ecn(&mut packet, 1);
        assert_eq!(parse(&packet).unwrap().traffic_class, 0xa9);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(mut octets in prop::collection::vec(any::<u8>(), 0..120), six: bool) {
            if let Some(first) = octets.first_mut() {
                *first = if six { 0x60 } else { 0x40 } | (*first & 0xf);
            }
            if let Some(packet) = parse(&octets) {
                prop_assert!(packet.transport <= packet.total && packet.total <= octets.len());
            }
        }
    }
}
