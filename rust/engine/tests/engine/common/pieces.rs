//! UDP datagrams from site 1 to ports of site 2, in fragments, and the selectors of such ports.

use perilune_engine::*;
use perilune_wire::fragment::Fragments;
use perilune_wire::ip;

use super::ends::*;
use super::*;

pub(crate) const UDP: u8 = 17;
pub(crate) const TELNET: Ports = Ports::Range(23, 23);
pub(crate) const NEWS: Ports = Ports::Range(119, 119);

/// A UDP datagram from site 1 to a port of site 2.
pub(crate) fn packet_to(ipv6: bool, port: u16, octets: u16) -> Vec<u8> {
    let payload: Vec<u8> = (0..octets).map(|n| n.to_le_bytes()[0]).collect();
    let mut packet = datagram(host(ipv6, 1), host(ipv6, 2), 0, &payload);
    let at = if ipv6 { 42 } else { 22 };
    packet[at..at + 2].copy_from_slice(&port.to_be_bytes());
    ip::set_transport_checksum(&mut packet).unwrap();
    packet
}

pub(crate) fn cut(packet: &[u8], identification: u16) -> Vec<Vec<u8>> {
    let mut packet = packet.to_vec();
    if packet[0] >> 4 == 4 {
        packet[4..6].copy_from_slice(&identification.to_be_bytes());
        ip::set_length(&mut packet).unwrap();
    }
    let plan = Fragments::plan(&packet, 400, identification.into()).unwrap();
    (0..plan.count())
        .map(|index| {
            let mut place = vec![0; 400];
            let octets = plan.write(index, &mut place).unwrap();
            place.truncate(octets);
            place
        })
        .collect()
}

/// Three fragments of a packet to a port.
pub(crate) fn three(ipv6: bool, port: u16) -> Vec<Vec<u8>> {
    let fragments = cut(&packet_to(ipv6, port, 900), port);
    assert_eq!(fragments.len(), 3);
    fragments
}

/// An IPv4 fragment with another offset, in octets.
pub(crate) fn moved(fragment: &[u8], offset: u16) -> Vec<u8> {
    let mut moved = fragment.to_vec();
    let field = u16::from_be_bytes([moved[6], moved[7]]) & 0x2000 | (offset / 8);
    moved[6..8].copy_from_slice(&field.to_be_bytes());
    ip::set_length(&mut moved).unwrap();
    moved
}

/// UDP from site 1 to such ports of site 2, as one of the sites sees it.
pub(crate) fn to_ports(ports: Ports, seen_by: u8) -> SelectorPair {
    let side = |n: u8, ports| {
        let ranges = [
            format!("10.{n}.0.0-10.{n}.255.255"),
            format!("fd0{n}::-fd0{n}:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ];
        ranges.map(|range| selector(&range, UDP, ports)).to_vec()
    };
    let any = if ports == Ports::Opaque {
        ports
    } else {
        Ports::Any
    };
    match seen_by {
        1 => SelectorPair::new(side(1, any), side(2, ports)),
        _ => SelectorPair::new(side(2, ports), side(1, any)),
    }
}

/// An IPv6 UDP datagram to a port in two fragments, with destination options in front of it: behind the
/// first fragment nothing tells of UDP.
pub(crate) fn behind_options(port: u16, first_octets: usize) -> [Vec<u8>; 2] {
    let options = [UDP, 0, 1, 4, 0, 0, 0, 0];
    let datagram = &packet_to(true, port, 400)[40..];
    let data = [&options[..], datagram].concat();
    let (first, later) = data.split_at(first_octets);
    [(0, first), (first_octets, later)].map(|(offset, data)| {
        let more = usize::from(offset == 0);
        let [high, low] = u16::try_from(offset | more).unwrap().to_be_bytes();
        let mut packet = packet_to(true, port, 0)[..40].to_vec();
        packet[6] = 44;
        packet.extend([60, 0, high, low, 0, 0, 0, 7]);
        packet.extend(data);
        ip::set_length(&mut packet).unwrap();
        packet
    })
}
