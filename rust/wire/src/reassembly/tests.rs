use proptest::prelude::*;

use super::*;
use crate::checksum::Sum;
use crate::extension_header::{DESTINATION_OPTIONS, ESP, FRAGMENT};
use crate::fragment::Fragments;
use crate::ip::set_ipv4_checksum;

const SECOND: u64 = 1_000_000_000;
const UDP: u8 = 17;

fn v4(protocol: u8, octets: usize) -> Vec<u8> {
    let [l0, l1] = u16::try_from(20 + octets).unwrap().to_be_bytes();
    let mut packet = vec![0x45, 0, l0, l1, 0, 111, 0, 0, 63, protocol, 0, 0];
    packet.extend_from_slice(&[10, 1, 0, 1, 10, 2, 0, 2]);
    set_ipv4_checksum(&mut packet, 20);
    packet.extend((0..251).cycle().take(octets));
    packet
}

fn v6(next_header: u8, octets: usize) -> Vec<u8> {
    let [l0, l1] = u16::try_from(8 + octets).unwrap().to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, l0, l1, DESTINATION_OPTIONS, 63];
    packet.extend_from_slice(&[0x20; 32]);
    packet.extend_from_slice(&[next_header, 0, 1, 4, 0, 0, 0, 0]);
    packet.extend((0..251).cycle().take(octets));
    packet
}

fn cut(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let plan = Fragments::plan(packet, mtu, 7).unwrap();
    (0..plan.count())
        .map(|index| {
            let mut place = vec![0; 65_600];
            let octets = plan.write(index, &mut place).unwrap();
            place.truncate(octets);
            place
        })
        .collect()
}

fn fresh() -> Reassembler {
    Reassembler::new(ReassemblyLimits::default())
}

/// Set the IPv4 offset, in octets, and whether more follow.
fn moved(mut fragment: Vec<u8>, offset: u16, more: bool) -> Vec<u8> {
    let field = (offset / 8) | if more { 0x2000 } else { 0 };
    fragment[6..8].copy_from_slice(&field.to_be_bytes());
    fragment
}

#[test]
fn order_does_not_matter() {
    for packet in [v4(UDP, 3000), v6(UDP, 3000), v4(6, 3000), v6(ESP, 3000)] {
        let mut fragments = cut(&packet, 1280);
        fragments.reverse();
        let last = fragments.pop().unwrap();
        let mut reassembler = fresh();
        for fragment in &fragments {
            assert_eq!(reassembler.insert(fragment, 0), Ok(None));
        }
        assert_eq!(reassembler.insert(&last, 0), Ok(Some(packet)));
        assert!(reassembler.is_empty() && reassembler.octets() == 0);
        assert_eq!(reassembler.take_lost(), Lost::default());
    }
}

#[test]
fn fragments_of_different_packets_do_not_mix() {
    let fragments = cut(&v4(UDP, 100), 80);
    for (at, octet) in [(4, 9), (9, 6), (12, 9), (16, 9)] {
        let mut reassembler = fresh();
        assert_eq!(reassembler.insert(&fragments[0], 0), Ok(None));
        let mut other = fragments[1].clone();
        other[at] = octet;
        assert_eq!(reassembler.insert(&other, 0), Ok(None));
        assert_eq!(reassembler.len(), 2, "octet {at}");
    }
}

#[test]
fn overlapping_fragments_end_their_packet() {
    let packet = v4(UDP, 96);
    let part = || v4(UDP, 32);
    for (offset, more) in [(8, true), (24, true), (8, false), (56, true)] {
        let mut reassembler = fresh();
        assert_eq!(reassembler.insert(&moved(part(), 0, true), 0), Ok(None));
        assert_eq!(reassembler.insert(&moved(part(), 64, false), 0), Ok(None));
        let overlapping = moved(part(), offset, more);
        assert_eq!(reassembler.insert(&overlapping, 0), Err(Refusal::Overlap));
        // RFC 5722, section 4: "including those not yet received".
        for fragment in cut(&packet, 52) {
            assert_eq!(reassembler.insert(&fragment, 0), Err(Refusal::GivenUp));
        }
        reassembler.expire(60 * SECOND);
        assert!(reassembler.is_empty());
        assert_eq!(reassembler.take_lost(), Lost::default(), "not lost by time");
    }
}

#[test]
fn second_end_and_fragments_behind_the_end_are_refused() {
    for (offset, more) in [(32, false), (64, false), (64, true), (96, true)] {
        let mut reassembler = fresh();
        let last = moved(v4(UDP, 32), 64, false);
        assert_eq!(reassembler.insert(&last, 0), Ok(None));
        let other = moved(v4(UDP, 33 - usize::from(more)), offset, more);
        assert_eq!(reassembler.insert(&other, 0), Err(Refusal::Overlap));
    }
}

#[test]
fn copies_of_a_fragment_do_no_harm() {
    let packet = v6(UDP, 3000);
    let fragments = cut(&packet, 1280);
    let mut reassembler = fresh();
    for fragment in &fragments[1..] {
        assert_eq!(reassembler.insert(fragment, 0), Ok(None));
        assert_eq!(reassembler.insert(fragment, 0), Err(Refusal::Duplicate));
    }
    assert_eq!(reassembler.insert(&fragments[0], 0), Ok(Some(packet)));
}

#[test]
fn tiny_fragments_are_refused() {
    let mut reassembler = fresh();
    let first = moved(v4(6, 8), 0, true);
    assert_eq!(reassembler.insert(&first, 0), Err(Refusal::Tiny));
    let second = moved(v4(6, 40), 8, false);
    assert_eq!(reassembler.insert(&second, 0), Err(Refusal::Tiny));
    // In IPv6 the first fragment has all headers, TCP's too.
    let mut first = v6(6, 24);
    first[6] = FRAGMENT;
    first[40..48].copy_from_slice(&[6, 0, 0, 1, 0, 0, 0, 7]);
    assert_eq!(reassembler.insert(&first, 0), Ok(None));
    first[4..6].copy_from_slice(&[0, 24]);
    first[47] = 8;
    assert_eq!(reassembler.insert(&first, 0), Err(Refusal::Tiny));
}

#[test]
fn impossible_lengths_are_refused() {
    let mut reassembler = fresh();
    let odd = moved(v4(UDP, 33), 0, true);
    assert_eq!(reassembler.insert(&odd, 0), Err(Refusal::Malformed));
    let empty = moved(v4(UDP, 0), 64, false);
    assert_eq!(reassembler.insert(&empty, 0), Err(Refusal::Malformed));
    let beyond = moved(v4(UDP, 100), 65_528, false);
    assert_eq!(reassembler.insert(&beyond, 0), Err(Refusal::Malformed));
    let whole = v4(UDP, 100);
    assert_eq!(reassembler.insert(&whole, 0), Err(Refusal::NotFragment));
    assert_eq!(reassembler.insert(&[], 0), Err(Refusal::Malformed));
    assert!(reassembler.is_empty());
}

#[test]
fn packet_that_would_be_too_long_with_its_headers_is_refused() {
    let mut reassembler = fresh();
    let last = moved(v4(UDP, 15), 65_520, false);
    assert_eq!(reassembler.insert(&last, 0), Ok(None));
    let large = moved(v4(UDP, 65_512), 0, true);
    assert_eq!(reassembler.insert(&large, 0), Ok(None));
    let gap = moved(v4(UDP, 8), 65_512, true);
    assert_eq!(reassembler.insert(&gap, 0), Err(Refusal::Malformed));
    assert!(reassembler.is_empty());
}

#[test]
fn fragment_header_around_a_whole_packet_is_taken_off() {
    let mut packet = v6(UDP, 100);
    packet[6] = FRAGMENT;
    packet[40..48].copy_from_slice(&[UDP, 0, 0, 0, 0, 0, 0, 7]);
    let mut expected = packet.clone();
    expected.drain(40..48);
    expected[4..7].copy_from_slice(&[0, 100, UDP]);
    assert_eq!(fresh().insert(&packet, 0), Ok(Some(expected)));
}

#[test]
fn time_is_over_sixty_seconds_after_the_first() {
    let fragments = cut(&v4(UDP, 3000), 1280);
    let mut reassembler = fresh();
    assert_eq!(reassembler.next_timeout(), None);
    assert_eq!(reassembler.insert(&fragments[0], SECOND), Ok(None));
    assert_eq!(reassembler.insert(&fragments[1], 60 * SECOND), Ok(None));
    assert_eq!(reassembler.next_timeout(), Some(61 * SECOND));
    assert_eq!(reassembler.insert(&fragments[2], 61 * SECOND), Ok(None));
    assert_eq!(reassembler.len(), 1, "a new beginning");
    let lost = reassembler.take_lost();
    assert_eq!((lost.expired, lost.evicted), (1, 0));
}

#[test]
fn newer_packets_push_out_the_oldest() {
    let limits = ReassemblyLimits {
        packets: 3,
        ..ReassemblyLimits::default()
    };
    let mut reassembler = Reassembler::new(limits);
    let fragments = cut(&v4(UDP, 100), 80);
    for identification in 0..5 {
        let mut fragment = fragments[0].clone();
        fragment[5] = identification;
        assert_eq!(reassembler.insert(&fragment, 0), Ok(None));
    }
    assert_eq!(reassembler.len(), 3);
    assert_eq!(reassembler.take_lost().evicted, 2);
    let mut last = fragments[1].clone();
    last[5] = 2;
    assert!(matches!(reassembler.insert(&last, 0), Ok(Some(_))));
}

#[test]
fn one_packet_has_a_limit_of_fragments() {
    let limits = ReassemblyLimits {
        fragments: 2,
        ..ReassemblyLimits::default()
    };
    let mut reassembler = Reassembler::new(limits);
    let results: Vec<_> = cut(&v4(UDP, 100), 52)
        .iter()
        .map(|fragment| reassembler.insert(fragment, 0))
        .collect();
    let expected = [
        Ok(None),
        Ok(None),
        Err(Refusal::TooMany),
        Err(Refusal::GivenUp),
    ];
    assert_eq!(results, expected);
}

#[test]
fn congestion_on_one_fragment_is_congestion_on_the_packet() {
    let mut packet = v4(UDP, 100);
    for (class, result) in [(2, Some(3)), (0, None)] {
        packet[1] = class;
        set_ipv4_checksum(&mut packet, 20);
        let mut fragments = cut(&packet, 80);
        fragments[1][1] = 3;
        let mut reassembler = fresh();
        assert_eq!(reassembler.insert(&fragments[0], 0), Ok(None));
        let whole = reassembler.insert(&fragments[1], 0);
        match result {
            Some(class) => {
                let whole = whole.unwrap().unwrap();
                assert_eq!(whole[1], class);
                assert!(Sum::default().with(&whole[..20]).is_valid());
            }
            None => assert_eq!(whole, Err(Refusal::EcnMismatch)),
        }
    }
}

proptest! {
    #[test]
    fn what_is_cut_is_put_together(
        octets in 60usize..5000,
        mtu in 100usize..1600,
        is_ipv6: bool,
        order in prop::collection::vec(any::<prop::sample::Index>(), 60),
    ) {
        let packet = if is_ipv6 { v6(UDP, octets) } else { v4(UDP, octets) };
        let mut fragments = cut(&packet, mtu);
        prop_assume!(fragments.len() > 1);
        for (at, other) in order.iter().enumerate().take(fragments.len()) {
            let other = other.index(fragments.len());
            fragments.swap(at, other);
        }
        let mut reassembler = fresh();
        let mut results = Vec::new();
        for fragment in &fragments {
            results.push(reassembler.insert(fragment, 0));
        }
        prop_assert_eq!(results.pop(), Some(Ok(Some(packet))));
        prop_assert!(results.iter().all(|result| *result == Ok(None)));
        prop_assert_eq!((reassembler.octets(), reassembler.is_empty()), (0, true));
    }

    #[test]
    fn strangers_cannot_make_it_keep_more_than_the_limits(
        fragments in prop::collection::vec((0u16..20, any::<bool>(), 0usize..12, 0u8..4, 0u64..20), 0..200),
    ) {
        let limits = ReassemblyLimits { packets: 3, octets: 1000, fragments: 5, timeout_ns: 100 };
        let mut reassembler = Reassembler::new(limits);
        let mut now = 0;
        for (offset, more, units, identification, passed) in fragments {
            now += passed;
            let mut fragment = moved(v4(UDP, units * 8), offset * 8, more);
            fragment[5] = identification;
            let _ = reassembler.insert(&fragment, now);
            prop_assert!(reassembler.len() <= 3 && reassembler.octets() <= 1000);
            prop_assert!(reassembler.next_timeout().is_none_or(|timeout| timeout > now));
        }
        reassembler.expire(now + 100);
        prop_assert_eq!((reassembler.len(), reassembler.octets()), (0, 0));
    }

    #[test]
    fn no_octets_make_it_panic(mut octets in prop::collection::vec(any::<u8>(), 0..120), is_ipv6: bool) {
        if let [first, _, _, _, _, length, next, ..] = octets.as_mut_slice() {
            *first = if is_ipv6 { 0x60 } else { 0x45 };
            if is_ipv6 {
                (*length, *next) = (40, FRAGMENT);
            }
        }
        let _ = fresh().insert(&octets, 0);
    }
}
