//! Fragments of what passes in the clear, which are those of packets that passed (RFC 4301, section 7.4 and
//! appendix D).

use crate::common::ends::everything;
use crate::common::pieces::*;
use crate::common::*;
use perilune_engine::*;
use perilune_wire::segment::Superpacket;
use proptest::prelude::*;

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

/// Which of them come in.
fn all_come_in(engine: &Engine, packets: &[Vec<u8>]) -> Vec<bool> {
    let come = packets.iter().map(|packet| comes_in(engine, packet));
    come.collect()
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
        (
            all_come_in(&engine, &three(false, 119)),
            drops(&engine, DropReason::PolicyDiscard),
        )
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

// covers R4301-7.4-1
#[test]
fn fragments_are_discarded_like_packets() {
    for ports in [Ports::Any, NEWS] {
        let engine = Engine::new();
        let discard = policy(1, Action::Discard, to_ports(ports, 2));
        engine.apply(&[Change::AddPolicy(discard)], NOW).unwrap();
        assert_eq!(all_come_in(&engine, &three(false, 119)), [false; 3]);
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
