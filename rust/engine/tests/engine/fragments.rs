//! Fragments on SAs for certain ports, by each of the three methods (RFC 4301, section 7).

use crate::common::ends::*;
use crate::common::pieces::*;
use crate::common::*;
use perilune_engine::*;
use perilune_wire::ip;

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

fn spi_behind_ip(sealed: &[Vec<u8>]) -> Vec<u32> {
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
    assert_eq!(audited(&ends.receiver), [DropReason::FragmentRefused; 4]);
}

#[test]
fn hidden_ports_may_have_an_sa_of_their_own() {
    for ipv6 in [false, true] {
        let ends = gateways(&[(TELNET, false), (Ports::Opaque, false)]);
        let fragments = three(ipv6, 23);
        let sealed: Vec<_> = fragments.iter().flat_map(|one| ends.seal(one)).collect();
        assert_eq!(spi_behind_ip(&sealed), [0x1001, 0x1002, 0x1002]);
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
        assert_eq!(spi_behind_ip(&sealed), [0x1001; 3]);
        let strayed = gateways(&[(TELNET, true), (Ports::Opaque, false)]);
        assert_eq!(spi_behind_ip(&strayed.seal(&fragments[1])), [0x1002]);
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
        assert_eq!(spi_behind_ip(&ends.seal(telnet)), [0x1001]);
        assert_eq!(spi_behind_ip(&ends.seal(&news)), [0x1002]);
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
