//! Fragments where ports matter: on SAs by each of the three methods, and in the clear (RFC 4301,
//! section 7 and appendix D).
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use common::ends::*;
use common::*;
use perilune_engine::*;
use perilune_wire::fragment::Fragments;
use perilune_wire::ip;
use perilune_wire::segment::Superpacket;
use proptest::prelude::*;

const UDP: u8 = 17;
const TELNET: Ports = Ports::Range(23, 23);
const NEWS: Ports = Ports::Range(119, 119);

/// A UDP datagram from site 1 to a port of site 2.
fn packet_to(ipv6: bool, port: u16, octets: u16) -> Vec<u8> {
    let payload: Vec<u8> = (0..octets).map(|n| n.to_le_bytes()[0]).collect();
    let mut packet = datagram(host(ipv6, 1), host(ipv6, 2), 0, &payload);
    let at = if ipv6 { 42 } else { 22 };
    packet[at..at + 2].copy_from_slice(&port.to_be_bytes());
    ip::set_transport_checksum(&mut packet).unwrap();
    packet
}

fn cut(packet: &[u8], identification: u16) -> Vec<Vec<u8>> {
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
fn three(ipv6: bool, port: u16) -> Vec<Vec<u8>> {
    let fragments = cut(&packet_to(ipv6, port, 900), port);
    assert_eq!(fragments.len(), 3);
    fragments
}

/// An IPv4 fragment with another offset, in octets.
fn moved(fragment: &[u8], offset: u16) -> Vec<u8> {
    let mut moved = fragment.to_vec();
    let field = u16::from_be_bytes([moved[6], moved[7]]) & 0x2000 | (offset / 8);
    moved[6..8].copy_from_slice(&field.to_be_bytes());
    ip::set_length(&mut moved).unwrap();
    moved
}

/// UDP from site 1 to such ports of site 2, as one of the sites sees it.
fn to_ports(ports: Ports, seen_by: u8) -> SelectorPair {
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

/// Gateways of both sites, each with entries and SAs for such ports, the first of them first.
fn gateways(carried: &[(Ports, bool)]) -> Ends {
    let ends = Ends {
        sender: Engine::new(),
        receiver: Engine::new(),
    };
    for (number, (ports, stateful_fragments)) in (1..).zip(carried) {
        for (engine, direction, site) in [
            (&ends.sender, Direction::Outbound, 1),
            (&ends.receiver, Direction::Inbound, 2),
        ] {
            let selectors = to_ports(*ports, site);
            let entry = policy(number, Action::Protect, selectors.clone());
            let sa = SaConfig {
                spi: 0x1000 + number,
                policy: PolicyId(number),
                encapsulation: Encapsulation::None,
                stateful_fragments: *stateful_fragments,
                selectors,
                ..sa_ab(direction, GCM)
            };
            let changes = [Change::AddPolicy(entry), add(sa)];
            engine.apply(&changes, NOW).unwrap();
        }
    }
    ends
}

/// A receiver whose peer has the keys and sends what he likes on one SA.
fn with_hostile_peer(ports: Ports, stateful_fragments: bool) -> Ends {
    let mut hostile = sa(Mode::Tunnel);
    hostile.spi = 0x1001;
    let sender = Ends::new(&[hostile], false).sender;
    let receiver = gateways(&[(ports, stateful_fragments)]).receiver;
    Ends { sender, receiver }
}

fn arrives(ends: &Ends, fragment: &[u8]) -> bool {
    let sealed = ends.seal(fragment);
    let opened: Vec<_> = sealed.iter().flat_map(|packet| ends.open(packet)).collect();
    assert!(opened.is_empty() || opened == [fragment]);
    !opened.is_empty()
}

fn audited(engine: &Engine) -> Vec<DropReason> {
    let events = engine.take_events(usize::MAX).into_iter();
    events
        .filter_map(|event| match event {
            Event::Audit { reason, .. } => Some(reason),
            _ => None,
        })
        .collect()
}

fn spi_of(sealed: &[Vec<u8>]) -> Vec<u32> {
    let spi = |packet: &Vec<u8>| u32::from_be_bytes(*packet[20..].first_chunk().unwrap());
    sealed.iter().map(spi).collect()
}

// covers R4301-7.1-1
// covers R4301-7.1-2
#[test]
fn an_sa_for_any_port_carries_all_fragments() {
    for ipv6 in [false, true] {
        let ends = gateways(&[(Ports::Any, false)]);
        let fragments = three(ipv6, 23);
        for fragment in fragments.iter().rev() {
            assert!(arrives(&ends, fragment));
        }
        assert!(
            arrives(&ends, &packet_to(ipv6, 24, 100)),
            "and whole packets"
        );
        let mut other_protocol = three(ipv6, 23).remove(1);
        other_protocol[if ipv6 { 40 } else { 9 }] = 6;
        if !ipv6 {
            ip::set_length(&mut other_protocol).unwrap();
        }
        assert!(!arrives(&ends, &other_protocol));
    }
}

// covers R4301-7.3-3
#[test]
fn packets_are_put_together_for_an_sa_whose_peer_has_not_agreed() {
    for ipv6 in [false, true] {
        let ends = gateways(&[(TELNET, false)]);
        let fragments = three(ipv6, 23);
        assert!(ends.seal(&fragments[0]).is_empty() && ends.seal(&fragments[1]).is_empty());
        let sealed = ends.seal(&fragments[2]);
        let [whole] = &ends.open(&sealed[0])[..] else {
            panic!("{} packets", sealed.len())
        };
        let mut expected = packet_to(ipv6, 23, 900);
        if !ipv6 {
            expected[4..6].copy_from_slice(&23u16.to_be_bytes());
            ip::set_length(&mut expected).unwrap();
        }
        assert_eq!(*whole, expected);
        assert_eq!(all_drops(&ends.sender) + all_drops(&ends.receiver), 0);
    }
}

#[test]
fn fragments_go_as_they_are_on_an_sa_whose_peer_has_agreed() {
    for ipv6 in [false, true] {
        let ends = gateways(&[(TELNET, true)]);
        for fragment in three(ipv6, 23) {
            assert!(arrives(&ends, &fragment));
        }
        for fragment in three(ipv6, 24) {
            assert!(!arrives(&ends, &fragment), "of another port");
        }
        assert_eq!(all_drops(&ends.receiver), 0);
    }
}

// covers R4301-7.3-4
#[test]
fn later_fragments_are_not_taken_without_agreement() {
    let ends = with_hostile_peer(TELNET, false);
    let fragments = three(false, 23);
    assert!(arrives(&ends, &fragments[0]));
    assert!(!arrives(&ends, &fragments[1]) && !arrives(&ends, &fragments[2]));
    assert_eq!(audited(&ends.receiver), [DropReason::SelectorMismatch; 2]);
}

// covers R4301-7.3-4
#[test]
fn later_fragments_are_not_taken_of_a_packet_that_policy_refuses() {
    for ipv6 in [false, true] {
        let ends = with_hostile_peer(TELNET, true);
        for fragment in three(ipv6, 24) {
            assert!(!arrives(&ends, &fragment));
        }
        let missing = DropReason::FragmentFirstMissing;
        let expected = [DropReason::SelectorMismatch, missing, missing];
        assert_eq!(audited(&ends.receiver), expected);
        for fragment in three(ipv6, 23) {
            assert!(arrives(&ends, &fragment));
        }
    }
}

#[test]
fn fragments_that_overlap_or_hide_ports_are_refused() {
    let ends = with_hostile_peer(TELNET, true);
    let fragments = three(false, 23);
    assert!(arrives(&ends, &fragments[0]));
    assert!(!arrives(&ends, &fragments[0]), "a second time");
    assert!(!arrives(&ends, &moved(&fragments[1], 8)));
    assert!(!arrives(&ends, &fragments[1]), "its packet is given up");
    let tiny = {
        let mut tiny = cut(&packet_to(false, 23, 900), 99).remove(0);
        tiny.truncate(24);
        ip::set_length(&mut tiny).unwrap();
        tiny
    };
    assert!(!arrives(&ends, &tiny));
    let mut expected = vec![DropReason::FragmentRefused; 3];
    expected.push(DropReason::FragmentRefused);
    assert_eq!(audited(&ends.receiver), expected);
}

#[test]
fn hidden_ports_may_have_an_sa_of_their_own() {
    for ipv6 in [false, true] {
        let ends = gateways(&[(TELNET, false), (Ports::Opaque, false)]);
        let fragments = three(ipv6, 23);
        let sealed: Vec<_> = fragments.iter().flat_map(|one| ends.seal(one)).collect();
        assert_eq!(spi_of(&sealed), [0x1001, 0x1002, 0x1002]);
        let opened: Vec<_> = sealed.iter().flat_map(|one| ends.open(one)).collect();
        let taken = if ipv6 {
            &fragments[..1]
        } else {
            &fragments[..]
        };
        assert_eq!(
            opened, taken,
            "where headers have no bound, offsets say nothing"
        );
        let agreed = gateways(&[(TELNET, true), (Ports::Opaque, false)]);
        let sealed: Vec<_> = fragments.iter().flat_map(|one| agreed.seal(one)).collect();
        assert_eq!(spi_of(&sealed), [0x1001; 3]);
        let strayed = gateways(&[(TELNET, true), (Ports::Opaque, false)]);
        assert_eq!(spi_of(&strayed.seal(&fragments[1])), [0x1002]);
    }
}

#[test]
fn hidden_ports_cannot_be_written_over() {
    let ends = with_hostile_peer(Ports::Opaque, false);
    let later = three(false, 23).remove(1);
    for (offset, passed) in [(8, false), (120, false), (128, true), (384, true)] {
        let fragment = moved(&later, offset);
        assert_eq!(arrives(&ends, &fragment), passed, "offset {offset}");
    }
    assert!(
        !arrives(&ends, &three(false, 23)[0]),
        "the first shows its ports"
    );
    let refused = DropReason::FragmentRefused;
    let expected = [refused, refused, DropReason::SelectorMismatch];
    assert_eq!(audited(&ends.receiver), expected);
}

#[test]
fn fragments_go_with_the_sa_of_their_ports_where_each_has_its_own() {
    let engine = Engine::new();
    let each_port = PolicyConfig {
        populate: Populate {
            remote_port: true,
            ..Populate::default()
        },
        ..policy(1, Action::Protect, to_ports(Ports::Any, 1))
    };
    let sa = |spi, ports| SaConfig {
        spi,
        encapsulation: Encapsulation::None,
        stateful_fragments: true,
        selectors: to_ports(ports, 1),
        ..sa_ab(Direction::Outbound, GCM)
    };
    let changes = [
        Change::AddPolicy(each_port),
        add(sa(0x1001, TELNET)),
        add(sa(0x1002, NEWS)),
    ];
    engine.apply(&changes, NOW).unwrap();
    let ends = Ends {
        sender: engine,
        receiver: Engine::new(),
    };
    for (telnet, news) in three(false, 23).iter().zip(three(false, 119)) {
        assert_eq!(spi_of(&ends.seal(telnet)), [0x1001]);
        assert_eq!(spi_of(&ends.seal(&news)), [0x1002]);
    }
    let asked = |event: Event| match event {
        Event::Acquire { flow, .. } => flow.ports(),
        other => panic!("{other:?}"),
    };
    for fragment in three(false, 80) {
        assert!(ends.seal(&fragment).is_empty());
    }
    let acquires: Vec<_> = ends.sender.take_events(9).into_iter().map(asked).collect();
    assert_eq!(acquires, [Some((12345, 80))]);
}

#[test]
fn a_full_batch_loses_no_fragment() {
    for stateful in [false, true] {
        let ends = gateways(&[(TELNET, stateful)]);
        let mut worker = ends.sender.outbound_worker();
        let mut batch = SealedBatch::with_capacity(0);
        let mut sealed = Vec::new();
        for round in 0..400 {
            for fragment in cut(&packet_to(false, 23, 900), round) {
                let frame = [&[0; VIRTIO], &fragment[..]].concat();
                while ends.sender.seal(&mut worker, &frame, NOW, &mut batch) == Progress::Full {
                    sealed.append(&mut batch.to_packets());
                    batch.clear();
                }
            }
        }
        sealed.append(&mut batch.to_packets());
        assert_eq!(sealed.len(), if stateful { 1200 } else { 400 });
        assert_eq!(all_drops(&ends.sender), 0);
    }
}

/// A gateway in the wire that protects telnet and lets news by.
fn in_the_wire(last: Option<PolicyConfig>) -> Engine {
    let engine = Engine::new();
    let entries = [
        policy(1, Action::Protect, to_ports(TELNET, 2)),
        policy(2, Action::Bypass, to_ports(NEWS, 2)),
    ];
    let changes: Vec<_> = entries
        .into_iter()
        .chain(last)
        .map(Change::AddPolicy)
        .collect();
    engine.apply(&changes, NOW).unwrap();
    engine
}

fn comes_in(engine: &Engine, packet: &[u8]) -> bool {
    let frame = [&[0; VIRTIO], packet].concat();
    let packet = Superpacket::parse(&frame).unwrap();
    engine.inbound_clear(&mut engine.inbound_worker(), &packet, NOW)
}

// covers R4301-7.4-2
#[test]
fn fragments_of_what_is_let_by_are_those_of_packets_that_were() {
    for ipv6 in [false, true] {
        let engine = in_the_wire(None);
        let (news, telnet) = (three(ipv6, 119), three(ipv6, 23));
        assert!(!comes_in(&engine, &news[1]), "before the first");
        assert_eq!(audited(&engine), [DropReason::FragmentFirstMissing]);
        for fragment in &news {
            assert!(comes_in(&engine, fragment));
        }
        assert!(!comes_in(&engine, &news[1]), "a second time");
        for fragment in &telnet {
            assert!(!comes_in(&engine, fragment));
        }
        assert_eq!(drops(&engine, DropReason::ClearText), 1);
        assert_eq!(drops(&engine, DropReason::FragmentFirstMissing), 3);
    }
}

// covers R4301-7.4-2
#[test]
fn a_forged_fragment_does_not_reach_into_protected_traffic() {
    let rest = policy(3, Action::Bypass, to_ports(Ports::Any, 2));
    let engine = in_the_wire(Some(rest));
    let news = three(false, 119);
    assert!(comes_in(&engine, &news[0]));
    assert!(
        !comes_in(&engine, &moved(&news[1], 8)),
        "over what is there"
    );
    let forged = three(false, 23).remove(1);
    assert!(
        !comes_in(&engine, &forged),
        "it may be of protected traffic"
    );
    assert!(comes_in(&engine, &three(false, 24)[0]));
    let expected = [
        DropReason::FragmentRefused,
        DropReason::FragmentFirstMissing,
    ];
    assert_eq!(audited(&engine), expected);
}

// covers R4301-7.4-2
#[test]
fn who_administers_decides_about_fragments() {
    let hidden = |action| {
        let entry = policy(1, action, to_ports(Ports::Opaque, 2));
        let engine = Engine::new();
        let news = policy(2, Action::Bypass, to_ports(NEWS, 2));
        let changes = [entry, news].map(Change::AddPolicy);
        engine.apply(&changes, NOW).unwrap();
        let passed = three(false, 119).map_all(|fragment| comes_in(&engine, fragment));
        (passed, drops(&engine, DropReason::PolicyDiscard))
    };
    assert_eq!(hidden(Action::Discard), (vec![true, false, false], 2));
    assert_eq!(hidden(Action::Bypass), (vec![true, true, true], 0));
    let engine = Engine::new();
    let entry = policy(1, Action::Bypass, to_ports(Ports::Opaque, 2));
    engine.apply(&[Change::AddPolicy(entry)], NOW).unwrap();
    assert!(
        comes_in(&engine, &three(false, 119)[1]),
        "accepted in so many words"
    );
}

trait MapAll<T> {
    fn map_all<U>(&self, ask: impl Fn(&T) -> U) -> Vec<U>;
}

impl<T> MapAll<T> for Vec<T> {
    fn map_all<U>(&self, ask: impl Fn(&T) -> U) -> Vec<U> {
        self.iter().map(ask).collect()
    }
}

// covers R4301-7.4-1
#[test]
fn fragments_are_discarded_like_packets() {
    for ports in [Ports::Any, NEWS] {
        let engine = Engine::new();
        let discard = policy(1, Action::Discard, to_ports(ports, 2));
        engine.apply(&[Change::AddPolicy(discard)], NOW).unwrap();
        let passed = three(false, 119).map_all(|fragment| comes_in(&engine, fragment));
        assert_eq!(passed, [false; 3]);
        let by_entry = engine.stats().policies[0].packets;
        assert_eq!(by_entry, if ports == Ports::Any { 3 } else { 1 });
        assert_eq!(all_drops(&engine), 3);
    }
}

/// What a gateway of site 1 lets out in the clear of what it does not protect.
fn leaves_in_the_clear(engine: &Engine, packet: &[u8]) -> bool {
    let frame = [&[0; VIRTIO], packet].concat();
    let mut batch = SealedBatch::with_capacity(0);
    let mut worker = engine.outbound_worker();
    let progress = engine.seal(&mut worker, &frame, NOW, &mut batch);
    assert_eq!(progress, Progress::Done);
    let superpacket = Superpacket::parse(&frame).unwrap();
    let action = engine.outbound_action(&mut worker, &superpacket, NOW);
    let leaves = batch.bypass().next().is_some();
    assert_eq!(leaves, action == Some(Action::Bypass));
    leaves
}

proptest! {
    /// Whatever order fragments of many packets come in, and some of them twice or not at all.
    #[test]
    fn nothing_of_protected_packets_leaves_in_the_clear(
        order in prop::collection::vec((0usize..4, 0usize..3), 0..30),
        ipv6: bool,
    ) {
        let engine = Engine::new();
        let entries = [
            policy(1, Action::Protect, to_ports(TELNET, 1)),
            policy(2, Action::Discard, to_ports(NEWS, 1)),
            policy(3, Action::Bypass, to_ports(Ports::Any, 1)),
        ];
        engine.apply(&entries.map(Change::AddPolicy), NOW).unwrap();
        let ports = [23, 119, 80, 81];
        let packets = ports.map(|port| three(ipv6, port));
        let mut firsts = [false; 4];
        for (packet, index) in order {
            firsts[packet] |= index == 0;
            let leaves = leaves_in_the_clear(&engine, &packets[packet][index]);
            prop_assert_eq!(leaves, packet >= 2 && firsts[packet], "{} {}", ports[packet], index);
        }
    }
}

/// An IPv6 UDP datagram to a port in two fragments, with destination options in front of it: behind the
/// first fragment nothing tells of UDP.
fn behind_options(port: u16, first_octets: usize) -> [Vec<u8>; 2] {
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

#[test]
fn fragments_that_hide_their_protocol_are_not_let_by_where_that_protocol_is_protected() {
    let engine = Engine::new();
    let entries = [
        policy(1, Action::Protect, to_ports(Ports::Any, 1)),
        policy(2, Action::Bypass, everything()),
    ];
    engine.apply(&entries.map(Change::AddPolicy), NOW).unwrap();
    for fragment in behind_options(23, 240) {
        assert!(!leaves_in_the_clear(&engine, &fragment));
    }
}

#[test]
fn a_peer_does_not_hide_ports_that_an_earlier_entry_discards() {
    let ends = with_hostile_peer(Ports::Any, false);
    let telnet = policy(0, Action::Discard, to_ports(TELNET, 2));
    let changes = [Change::AddPolicy(telnet)];
    ends.receiver.apply(&changes, NOW).unwrap();
    for octets in [8, 240] {
        let [first, _] = behind_options(23, octets);
        assert!(!arrives(&ends, &first), "{octets} octets are in it");
    }
    let [first, _] = behind_options(24, 240);
    assert!(arrives(&ends, &first));
}
