//! Packets that wait for an SA.

use crate::common::*;
use perilune_engine::*;

// covers R4301-5.1-2
#[test]
fn packets_wait_for_their_sa_and_go_in_order() {
    let mut pair = Pair::without_sas();
    for port in 0..5 {
        assert!(pair.seal(&udp(1, 2, port, &[0; 20])).is_empty());
    }
    let [
        Event::Acquire {
            policy: POLICY,
            flow,
        },
    ] = events(&pair.a)[..]
    else {
        panic!("one acquire")
    };
    assert_eq!(flow.ports(), Some((12345, 0)));
    assert_eq!(pair.a.stats().policies[0].held, 5);
    assert!(!pair.a.has_released(&pair.sealer));
    pair.a.apply(&[add(outbound(SPI_AB))], NOW).unwrap();
    pair.b.apply(&[add(inbound(SPI_AB))], NOW).unwrap();
    assert!(pair.a.has_released(&pair.sealer));
    let packets = pair.release();
    let expected: Vec<_> = (0..5).map(|port| udp(1, 2, port, &[0; 20])).collect();
    assert_eq!(pair.open(&packets), expected);
    assert!(!pair.a.has_released(&pair.sealer));
}

#[test]
fn a_held_superpacket_survives_a_full_batch() {
    let mut pair = Pair::without_sas();
    let frames = [
        tcp_superpacket(false, 300, &vec![1; 60_000]),
        tcp_superpacket(true, 300, &vec![2; 60_000]),
    ];
    for frame in &frames {
        assert!(pair.seal(frame).is_empty());
    }
    pair.a.apply(&[add(outbound(SPI_AB))], NOW).unwrap();
    pair.b.apply(&[add(inbound(SPI_AB))], NOW).unwrap();
    let mut batch = SealedBatch::with_capacity(0);
    let (mut packets, mut calls) = (Vec::new(), Vec::new());
    while pair.a.has_released(&pair.sealer) {
        calls.push(pair.a.release_held(&mut pair.sealer, NOW, &mut batch));
        packets.extend(packets_of(&batch));
        batch.clear();
    }
    let mut opened = Vec::new();
    for packet in packets.chunks(200) {
        opened.extend(pair.open(packet));
    }
    assert_eq!(opened, frames);
    assert_eq!(calls.pop(), Some(Progress::Done));
    assert!(calls.contains(&Progress::Full));
}

#[test]
fn an_acquire_in_vain_is_repeated_after_thirty_seconds() {
    let mut pair = Pair::without_sas();
    let later = NOW.after(Duration::seconds(30));
    assert!(pair.seal(&any_udp()).is_empty());
    assert_eq!(pair.a.on_time(NOW), Some(later));
    assert_eq!(events(&pair.a).len(), 1);
    assert_eq!(pair.a.on_time(later), None);
    assert_eq!(drops(&pair.a, DropReason::AcquireTimedOut), 1);
    assert!(pair.seal_at(&any_udp(), later).is_empty());
    assert_eq!(events(&pair.a).len(), 1);
}

#[test]
fn without_hold_a_packet_is_dropped_and_asks_for_nothing() {
    let mut pair = Pair::without_sas();
    let change = PolicyConfig {
        hold: false,
        ..policy(1, Action::Protect, nets(1, 2))
    };
    pair.a.apply(&[Change::AddPolicy(change)], NOW).unwrap();
    assert!(pair.seal(&any_udp()).is_empty());
    assert_eq!(
        (drops(&pair.a, DropReason::NoSa), events(&pair.a).len()),
        (1, 0)
    );
}

#[test]
fn an_sa_that_does_not_fit_the_held_packet_starts_no_storm() {
    let mut pair = Pair::without_sas();
    assert!(pair.seal(&any_udp()).is_empty());
    assert_eq!(events(&pair.a).len(), 1);
    let mut narrow = outbound(SPI_AB);
    narrow.selectors.remote = vec![selector("10.2.0.9-10.2.0.9", 0, Ports::Any)];
    pair.a.apply(&[add(narrow)], NOW).unwrap();
    assert!(pair.release().is_empty());
    assert_eq!(
        (events(&pair.a).len(), pair.a.stats().policies[0].held),
        (0, 1)
    );
}

#[test]
fn held_packets_go_with_their_policy() {
    let mut pair = Pair::without_sas();
    assert!(pair.seal(&any_udp()).is_empty());
    pair.a.apply(&[Change::RemovePolicy(POLICY)], NOW).unwrap();
    assert_eq!(drops(&pair.a, DropReason::HoldPolicyRemoved), 1);
}
