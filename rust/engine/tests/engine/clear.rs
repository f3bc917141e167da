//! Packets without IPsec: what policy lets by, either way.

use crate::common::*;
use perilune_engine::*;
use perilune_wire::segment::Superpacket;

/// An engine of site 1 with one entry for what goes between the sites.
fn engine_with(action: Action) -> Engine {
    let engine = Engine::new();
    let entry = Change::AddPolicy(policy(1, action, nets(1, 2)));
    engine.apply(&[entry], NOW).unwrap();
    engine
}

fn inbound_passes(engine: &Engine, frame: &[u8]) -> bool {
    let packet = Superpacket::parse(frame).unwrap();
    engine.inbound_clear(&mut engine.inbound_worker(), &packet, NOW)
}

fn outbound_action(engine: &Engine, frame: &[u8]) -> Option<Action> {
    let packet = Superpacket::parse(frame).unwrap();
    engine.outbound_action(&mut engine.outbound_worker(), &packet, NOW)
}

// covers R4301-5.2-6
#[test]
fn what_policy_protects_does_not_come_in_in_the_clear() {
    let engine = engine_with(Action::Protect);
    assert!(!inbound_passes(&engine, &udp(2, 1, 53, &[0; 20])));
    assert_eq!(drops(&engine, DropReason::ClearText), 1);
    let audit = engine.take_events(1);
    let [Event::Audit { reason, source, .. }] = audit[..] else {
        panic!("{audit:?}")
    };
    assert_eq!(
        (reason, source.to_string().as_str()),
        (DropReason::ClearText, "10.2.0.1")
    );
}

#[test]
fn a_port_of_the_peer_is_the_source_port_of_what_comes_in() {
    let engine = Engine::new();
    let to_port_80 = SelectorPair {
        remote: vec![selector("10.2.0.0-10.2.0.255", 6, Ports::Range(80, 80))],
        ..nets(1, 2)
    };
    let entry = Change::AddPolicy(policy(1, Action::Bypass, to_port_80));
    engine.apply(&[entry], NOW).unwrap();
    let out = tcp_superpacket(false, 1000, &[0; 3500]);
    assert_eq!(outbound_action(&engine, &out), Some(Action::Bypass));
    let mut back = out;
    let (addresses, ports) = (VIRTIO + 12, VIRTIO + 20);
    back[addresses..addresses + 8].rotate_left(4);
    assert!(!inbound_passes(&engine, &back));
    back[ports..ports + 4].rotate_left(2);
    assert!(inbound_passes(&engine, &back));
    let stats = engine.stats();
    // Four packets each way, with headers of 40 octets.
    assert_eq!(
        (stats.policies[0].packets, stats.policies[0].octets),
        (8, 2 * (3500 + 160))
    );
}

// covers R4301-5-1
// covers R4301-5.2-7
#[test]
fn discard_and_no_entry_are_told_apart() {
    let engine = engine_with(Action::Discard);
    assert!(!inbound_passes(&engine, &udp(2, 1, 53, &[])));
    assert!(!inbound_passes(&engine, &udp(3, 1, 53, &[])));
    assert_eq!(drops(&engine, DropReason::PolicyDiscard), 1);
    assert_eq!(drops(&engine, DropReason::NoPolicy), 1);
    assert_eq!(
        outbound_action(&engine, &udp(1, 2, 53, &[])),
        Some(Action::Discard)
    );
    assert_eq!(outbound_action(&engine, &udp(1, 3, 53, &[])), None);
    let stats = engine.stats();
    let counted = (stats.policies[0].packets, stats.policies[0].octets);
    assert_eq!(
        counted,
        (1, 28),
        "what leaves is counted when it is dropped"
    );
}

#[test]
fn an_entry_counts_what_it_discards() {
    let engine = engine_with(Action::Discard);
    let mut out = SealedBatch::with_capacity(0);
    let mut worker = engine.outbound_worker();
    let large = tcp_superpacket(false, 1000, &[0; 3500]);
    let progress = engine.seal(&mut worker, &large, NOW, &mut out);
    assert!(progress == Progress::Done && out.is_empty());
    assert!(!inbound_passes(&engine, &udp(2, 1, 53, &[0; 2])));
    let stats = engine.stats();
    // Four packets with headers of 40 octets, and one of 30.
    assert_eq!(
        (stats.policies[0].packets, stats.policies[0].octets),
        (5, 3500 + 160 + 30)
    );
    assert_eq!(drops(&engine, DropReason::PolicyDiscard), 5);
}
