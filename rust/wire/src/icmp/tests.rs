use proptest::prelude::*;

use super::*;
use crate::extension_header::{AH, ESP};
use crate::ip::UDP;

const OURS_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const OURS_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const TOO_BIG: Problem = Problem::PacketTooBig { mtu: 1388 };

fn hex(value: &serde_json::Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Pairs of a packet and the error that scapy writes about it, with the problem.
fn vectors() -> Vec<(Vec<u8>, Problem, Vec<u8>)> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/icmp_errors.json"
    );
    let file: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let of = |name: &str| match name {
        "too big" => TOO_BIG,
        "prohibited" => Problem::Prohibited,
        _ => Problem::Unreachable,
    };
    let list = file["errors"].as_array().unwrap().iter();
    list.map(|vector| {
        let problem = of(vector["problem"].as_str().unwrap());
        (hex(&vector["about"]), problem, hex(&vector["error"]))
    })
    .collect()
}

fn ours(about: &[u8]) -> IpAddr {
    if about[0] >> 4 == 4 { OURS_V4 } else { OURS_V6 }
}

fn written(problem: Problem, about: &[u8]) -> Option<Vec<u8>> {
    let mut place = [0xee; MOST_OCTETS_IPV6];
    let octets = write_error(problem, about, ours(about), &mut place)?;
    Some(place[..octets].to_vec())
}

/// A packet that scapy made: UDP, over IPv4 or IPv6.
fn udp(is_ipv6: bool) -> Vec<u8> {
    let family = if is_ipv6 { 6 } else { 4 };
    let mut list = vectors().into_iter();
    list.find(|(about, _, _)| about[0] >> 4 == family)
        .unwrap()
        .0
}

#[test]
fn errors_are_those_that_scapy_writes() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 24);
    for (about, problem, error) in vectors {
        assert_eq!(written(problem, &about), Some(error), "{problem:?}");
    }
}

#[test]
fn errors_of_scapy_are_read_with_the_spi_of_what_they_quote() {
    for (about, problem, error) in vectors() {
        let read = IcmpError::parse(&error).unwrap();
        let mtu = (problem == TOO_BIG).then_some(1388);
        assert_eq!((read.mtu, read.is_ipv6), (mtu, about[0] >> 4 == 6));
        let packet = ip::parse(&about).unwrap();
        assert_eq!(
            (read.quoted.flow, read.quoted.total),
            (packet.flow, packet.total)
        );
        let spi = match packet.flow.protocol() {
            ESP => Some(0x1000_0001),
            AH => Some(0x1000_0002),
            UDP if about.len() > 100 => Some(0x1000_0003),
            _ => None,
        };
        assert_eq!(read.quoted.spi(), spi);
    }
}

#[test]
fn eight_octets_of_the_next_layer_are_enough_for_an_spi() {
    for (about, ..) in vectors() {
        let packet = ip::parse(&about).unwrap();
        let quoted = Quoted::parse(&about[..packet.transport + 8]).unwrap();
        assert_eq!(quoted.flow, packet.flow);
        let is_visible = matches!(packet.flow.protocol(), ESP | AH);
        assert_eq!(quoted.spi().is_some(), is_visible);
    }
}

#[test]
fn least_mtu_of_ipv6_is_1280_and_the_most_of_ipv4_has_16_bits() {
    let error = written(Problem::PacketTooBig { mtu: 900 }, &udp(true)).unwrap();
    assert_eq!(IcmpError::parse(&error).unwrap().mtu, Some(1280));
    let error = written(Problem::PacketTooBig { mtu: 70_000 }, &udp(false)).unwrap();
    assert_eq!(IcmpError::parse(&error).unwrap().mtu, Some(65_535));
}

#[test]
fn nothing_is_said_about_errors() {
    for (_, _, error) in vectors() {
        let mut about = error;
        let at = if about[0] >> 4 == 4 { 12..16 } else { 8..24 };
        let is_ipv6 = about[0] >> 4 == 6;
        let sender = udp(is_ipv6)[at.clone()].to_vec();
        about[at].copy_from_slice(&sender);
        assert_eq!(written(TOO_BIG, &about), None);
        let kind = if is_ipv6 { 40 } else { 20 };
        about[kind] = if is_ipv6 { 128 } else { 8 };
        assert!(written(TOO_BIG, &about).is_some(), "about an echo");
    }
}

#[test]
fn nothing_is_said_about_later_fragments() {
    let mut about = udp(false);
    about[7] = 1;
    assert_eq!(written(TOO_BIG, &about), None);
    about[6..8].copy_from_slice(&[0x20, 0]);
    assert!(written(TOO_BIG, &about).is_some(), "about the first");
}

#[test]
fn nothing_is_said_to_or_about_many() {
    for sender in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4]] {
        let mut about = udp(false);
        about[12..16].copy_from_slice(&sender);
        assert_eq!(written(Problem::Prohibited, &about), None, "{sender:?}");
    }
    for destination in [[224, 0, 0, 1], [255; 4]] {
        let mut about = udp(false);
        about[16..20].copy_from_slice(&destination);
        assert_eq!(written(TOO_BIG, &about), None, "{destination:?}");
    }
    for sender in [[0; 16], [0xff; 16]] {
        let mut about = udp(true);
        about[8..24].copy_from_slice(&sender);
        assert_eq!(written(TOO_BIG, &about), None);
    }
    let mut about = udp(true);
    about[24..40].fill(0xff);
    assert_eq!(written(Problem::Prohibited, &about), None);
    // RFC 4443, section 2.4 (e.3): so that path MTU discovery works for multicast.
    assert!(written(TOO_BIG, &about).is_some());
}

#[test]
fn errors_that_are_none_are_not_read() {
    let (_, _, error) = vectors().swap_remove(0);
    let mut damaged = error.clone();
    damaged[50] ^= 1;
    assert_eq!(IcmpError::parse(&damaged), None, "checksum");
    let mut fragment = error.clone();
    fragment[6] = 0x20;
    assert_eq!(IcmpError::parse(&fragment), None);
    assert_eq!(IcmpError::parse(&error[..47]), None);
    let mut short = error[..44].to_vec();
    short[3] = 44;
    short[22..24].fill(0);
    let checksum = Sum::default().with(&short[20..]).checksum();
    short[22..24].copy_from_slice(&checksum);
    assert_eq!(IcmpError::parse(&short), None, "half a header is quoted");
}

proptest! {
    #[test]
    fn what_is_written_is_read(mut about in prop::collection::vec(any::<u8>(), 60..2000), is_ipv6: bool) {
        let length = u16::try_from(about.len() - if is_ipv6 { 40 } else { 0 }).unwrap();
        let [l0, l1] = length.to_be_bytes();
        if is_ipv6 {
            about[..7].copy_from_slice(&[0x6b, 0x91, 0x23, 0x45, l0, l1, ESP]);
            (about[8], about[24]) = (0x20, 0x20);
        } else {
            about[..10].copy_from_slice(&[0x45, 0xb9, l0, l1, 0, 0, 0, 0, 64, ESP]);
            (about[12], about[16]) = (10, 10);
        }
        let error = written(TOO_BIG, &about).unwrap();
        let most = if is_ipv6 { MOST_OCTETS_IPV6 } else { MOST_OCTETS_IPV4 };
        prop_assert!(error.len() <= most);
        let read = IcmpError::parse(&error).unwrap();
        prop_assert_eq!(read.mtu, Some(1388));
        let packet = ip::parse(&about).unwrap();
        prop_assert_eq!((read.quoted.flow, read.quoted.total), (packet.flow, packet.total));
        prop_assert!(about[packet.transport..].starts_with(read.quoted.next_layer));
    }

    #[test]
    fn no_octets_make_it_panic(mut octets in prop::collection::vec(any::<u8>(), 0..200), room in 0usize..200, is_ipv6: bool) {
        if let Some(first) = octets.first_mut() {
            *first = if is_ipv6 { 0x60 } else { 0x45 };
        }
        let _ = IcmpError::parse(&octets);
        if let Some(quoted) = Quoted::parse(&octets) {
            let _ = quoted.spi();
        }
        let source = if is_ipv6 { OURS_V6 } else { OURS_V4 };
        let _ = write_error(TOO_BIG, &octets, source, &mut vec![0; room]);
    }
}
