//! Who is where on a link: ARP (RFC 826) and Neighbor Discovery (RFC 4861).
//!
//! ```text
//! ARP | hardware 16 | protocol 16 | 6 | 4 | operation 16 | sender 48 32 | target 48 32 |
//! ND  | type 8 | code 8 | checksum 16 | flags 32 | target 128 | options |
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum::Sum;
use crate::ethernet::{ARP, EthernetHeader, IPV4, IPV6, MAX_HEADER_OCTETS, MacAddress, Tags};
use crate::ip;
use crate::transport::{get, put};

/// Octets of the longest request, with its Ethernet header.
pub const MAX_REQUEST_OCTETS: usize = 86;

const ARP_OCTETS: usize = 28;
/// Ethernet, IPv4, six octets and four (RFC 826).
const ARP_START: [u8; 6] = [0, 1, 8, 0, 6, 4];
const ARP_REQUEST: [u8; 2] = [0, 1];

const ICMPV6: u8 = 58;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
/// Router solicitation to redirect (RFC 4861, section 4).
const MESSAGES: std::ops::RangeInclusive<u8> = 133..=137;
const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
const IPV6_OCTETS: usize = 40;
const SOLICITATION_OCTETS: usize = 32;

/// Which IP address a frame shows to be at its sender, if it is the address of one host.
///
/// `payload` is what follows the Ethernet header.
pub fn sender(header: &EthernetHeader, payload: &[u8]) -> Option<IpAddr> {
    let address = match header.ether_type {
        ARP => arp_sender(payload)?.into(),
        IPV4 => Ipv4Addr::from(get::<4>(payload, 12)?).into(),
        IPV6 => ipv6_sender(payload)?.into(),
        _ => return None,
    };
    (is_of_one_host(address) && !header.source.is_group()).then_some(address)
}

/// Whether a packet is a message of Neighbor Discovery, which cannot have come from beyond the
/// link: its hop limit is 255 (RFC 4861, section 6.1 and others).
pub fn is_neighbor_discovery(packet: &[u8]) -> bool {
    let is_from_here = get::<8>(packet, 0)
        .is_some_and(|[first, .., next, hops]| first >> 4 == 6 && next == ICMPV6 && hops == 255);
    is_from_here
        && packet
            .get(IPV6_OCTETS)
            .is_some_and(|kind| MESSAGES.contains(kind))
}

/// Ask all stations who has an address.
///
/// The question tells nothing to be remembered of whoever asks it: in IPv4 it is an ARP probe
/// (RFC 5227, section 1.1), in IPv6 it comes from the link-local address that belongs to the
/// station's own (RFC 2464, section 5).
///
/// Returns:
/// The frame.
pub fn request(from: MacAddress, target: IpAddr, to: &mut [u8; MAX_REQUEST_OCTETS]) -> &[u8] {
    let (group, ether_type) = match target {
        IpAddr::V4(_) => (MacAddress::BROADCAST, ARP),
        IpAddr::V6(target) => {
            let group = MacAddress::of_group(solicited_node(target).into());
            (group.unwrap_or(MacAddress::BROADCAST), IPV6)
        }
    };
    let header = EthernetHeader {
        destination: group,
        source: from,
        tags: Tags::default(),
        ether_type,
    };
    let mut octets = [0; MAX_HEADER_OCTETS];
    let header = header.write(&mut octets);
    let (start, payload) = to.split_at_mut(header.len());
    start.copy_from_slice(header);
    let payload_octets = match target {
        IpAddr::V4(target) => write_arp_probe(from, target, payload),
        IpAddr::V6(target) => write_solicitation(from, target, payload),
    };
    let end = header.len().saturating_add(payload_octets);
    to.get(..end).unwrap_or_default()
}

fn arp_sender(payload: &[u8]) -> Option<Ipv4Addr> {
    let packet = payload.first_chunk::<ARP_OCTETS>()?;
    packet.starts_with(&ARP_START).then_some(())?;
    get(packet, 14).map(Ipv4Addr::from)
}

fn ipv6_sender(packet: &[u8]) -> Option<Ipv6Addr> {
    let is_advertisement =
        is_neighbor_discovery(packet) && packet.get(IPV6_OCTETS) == Some(&NEIGHBOR_ADVERTISEMENT);
    let at = if is_advertisement { IPV6_OCTETS + 8 } else { 8 };
    get(packet, at).map(Ipv6Addr::from)
}

fn is_of_one_host(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || is_broadcast)
}

fn write_arp_probe(from: MacAddress, target: Ipv4Addr, to: &mut [u8]) -> usize {
    put(to, 0, ARP_START);
    put(to, 6, ARP_REQUEST);
    put(to, 8, from.0);
    put(to, 14, [0; 10]);
    put(to, 24, target.octets());
    ARP_OCTETS
}

/// RFC 4861, section 4.3.
fn write_solicitation(from: MacAddress, target: Ipv6Addr, to: &mut [u8]) -> usize {
    put(to, 0, [0x60, 0, 0, 0, 0, 32, ICMPV6, 255]);
    put(to, 8, link_local(from).octets());
    put(to, 24, solicited_node(target).octets());
    let Some(message) = to.get_mut(IPV6_OCTETS..IPV6_OCTETS + SOLICITATION_OCTETS) else {
        return 0;
    };
    put(message, 0, [NEIGHBOR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0]);
    put(message, 8, target.octets());
    put(message, 24, [SOURCE_LINK_LAYER_ADDRESS, 1]);
    put(message, 26, from.0);
    let length = IPV6_OCTETS + SOLICITATION_OCTETS;
    let packet = to.get(..length).unwrap_or_default();
    let checksum = ip::parse(packet).map(|ip| {
        let message = packet.get(IPV6_OCTETS..).unwrap_or_default();
        let pseudo: Sum = ip.pseudo_header(SOLICITATION_OCTETS);
        pseudo.with(message).checksum()
    });
    put(to, IPV6_OCTETS + 2, checksum.unwrap_or_default());
    length
}

/// RFC 4291, section 2.7.1.
fn solicited_node(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// The address that a station makes of its own (RFC 2464, sections 4 and 5).
fn link_local(station: MacAddress) -> Ipv6Addr {
    let mut octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0];
    let [first, company @ .., d, e, f] = station.0;
    put(&mut octets, 8, [first ^ 2]);
    put(&mut octets, 9, company);
    put(&mut octets, 13, [d, e, f]);
    Ipv6Addr::from(octets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATION: MacAddress = MacAddress([0x02, 0x42, 0xac, 0x11, 0x00, 0x02]);

    fn asked(target: &str) -> (EthernetHeader, Vec<u8>) {
        let mut frame = [0xee; MAX_REQUEST_OCTETS];
        let frame = request(STATION, target.parse().unwrap(), &mut frame);
        let header = EthernetHeader::parse(frame).unwrap();
        (header, frame[header.octets()..].to_vec())
    }

    #[test]
    fn an_arp_probe_tells_nothing_of_its_sender() {
        let (header, arp) = asked("192.0.2.7");
        assert_eq!(
            (header.destination, header.ether_type),
            (MacAddress::BROADCAST, ARP)
        );
        assert_eq!(arp.len(), 28);
        assert_eq!(arp[8..14], STATION.0);
        assert_eq!(
            (&arp[14..18], &arp[24..]),
            (&[0; 4][..], &[192, 0, 2, 7][..])
        );
        assert_eq!(sender(&header, &arp), None);
    }

    #[test]
    fn a_solicitation_is_sound_and_says_where_to_answer() {
        let (header, packet) = asked("2001:db8::12:3456");
        assert_eq!(header.destination.to_string(), "33:33:ff:12:34:56");
        let outline = ip::parse(&packet).unwrap();
        assert_eq!(outline.total, packet.len());
        assert_eq!(outline.flow.source().to_string(), "fe80::42:acff:fe11:2");
        assert_eq!(outline.flow.destination().to_string(), "ff02::1:ff12:3456");
        assert!(outline.pseudo_header(32).with(&packet[40..]).is_valid());
        assert!(is_neighbor_discovery(&packet));
        assert_eq!(packet[64..72], [1, 1, 0x02, 0x42, 0xac, 0x11, 0, 2]);
    }

    #[test]
    fn a_frame_shows_where_its_sender_is() {
        let header = |ether_type| EthernetHeader {
            destination: MacAddress::BROADCAST,
            source: STATION,
            tags: Tags::default(),
            ether_type,
        };
        let (_, mut arp) = asked("192.0.2.7");
        arp[14..18].copy_from_slice(&[192, 0, 2, 9]);
        assert_eq!(sender(&header(ARP), &arp), "192.0.2.9".parse().ok());
        let (_, mut packet) = asked("2001:db8::1");
        assert_eq!(
            sender(&header(IPV6), &packet),
            "fe80::42:acff:fe11:2".parse().ok()
        );
        // An advertisement may come from another address of the station than the one it is about.
        packet[40] = NEIGHBOR_ADVERTISEMENT;
        assert_eq!(sender(&header(IPV6), &packet), "2001:db8::1".parse().ok());
        // From beyond the link it would be a lie.
        packet[7] = 254;
        assert!(!is_neighbor_discovery(&packet));
        assert_eq!(
            sender(&header(IPV6), &packet),
            "fe80::42:acff:fe11:2".parse().ok()
        );
        for source in ["0.0.0.0", "224.0.0.1", "127.0.0.1", "255.255.255.255"] {
            let octets = source.parse::<Ipv4Addr>().unwrap().octets();
            let packet = [&[0x45; 12][..], &octets, &[0; 8]].concat();
            assert_eq!(sender(&header(IPV4), &packet), None, "{source}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(octets in prop::collection::vec(any::<u8>(), 0..100), ether_type: u16) {
            for ether_type in [ether_type, ARP, IPV4, IPV6] {
                let (destination, tags) = (STATION, Tags::default());
                let header = EthernetHeader { destination, source: STATION, tags, ether_type };
                let shown = sender(&header, &octets);
                prop_assert!(shown.is_none_or(|address| !address.is_unspecified()));
            }
            let _ = is_neighbor_discovery(&octets);
        }
    }
}
