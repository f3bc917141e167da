//! SAs under traffic: which one carries it, rekeying, peers that move, groups, counters.

use crate::common::*;
use perilune_engine::*;
use std::net::SocketAddr;

#[test]
fn the_newest_sa_carries_the_traffic() {
    let mut pair = Pair::new(GCM);
    pair.a.apply(&[add(outbound(0x3000))], NOW).unwrap();
    assert_eq!(spi_of(&pair.seal(&any_udp())), [0x3000]);
    pair.a
        .apply(&[Change::RemoveSa(outbound(0x3000).id())], NOW)
        .unwrap();
    assert_eq!(spi_of(&pair.seal(&any_udp())), [SPI_AB]);
}

#[test]
fn a_responder_changes_over_when_the_new_sa_is_used() {
    let mut pair = Pair::new(GCM);
    let new = SaConfig {
        ready_after: Some(0x4000),
        ..outbound(0x3000)
    };
    pair.a
        .apply(&[add(way_back(0x4000)), add(new)], NOW)
        .unwrap();
    assert_eq!(
        spi_of(&pair.seal(&any_udp())),
        [SPI_AB],
        "the peer may not be ready"
    );
    assert!(
        !pair
            .a
            .stats()
            .sas
            .iter()
            .find(|sa| sa.spi == 0x3000)
            .unwrap()
            .ready
    );

    // The peer sends on the new SA: the first packet verified makes the other half ready.
    let mut peer = Pair::without_sas();
    let their_outbound = SaConfig {
        selectors: nets(1, 2),
        ..outbound(0x4000)
    };
    peer.a.apply(&[add(their_outbound)], NOW).unwrap();
    let mut packet = peer.seal(&any_udp()).remove(0);
    let mut opener = pair.a.inbound_worker();
    let mut out = OpenedBatch::with_capacity(0);
    assert_eq!(
        pair.a
            .open(&mut opener, &mut packet, &from_a(), NOW, &mut out),
        Progress::Done
    );
    assert_eq!(spi_of(&pair.seal(&any_udp())), [0x3000]);
}

#[test]
fn an_sa_that_waits_is_used_when_it_is_alone() {
    let mut pair = Pair::without_sas();
    let new = SaConfig {
        ready_after: Some(0x4000),
        ..outbound(0x3000)
    };
    pair.a
        .apply(&[add(way_back(0x4000)), add(new)], NOW)
        .unwrap();
    assert_eq!(spi_of(&pair.seal(&any_udp())), [0x3000]);
}

// covers R4301-4.1-5
#[test]
fn a_rekey_loses_nothing_on_its_way() {
    let mut pair = Pair::new(GCM);
    let old = pair.seal(&any_udp());
    pair.b.apply(&[add(inbound(0x3000))], NOW).unwrap();
    pair.a
        .apply(
            &[
                add(outbound(0x3000)),
                Change::RemoveSa(outbound(SPI_AB).id()),
            ],
            NOW,
        )
        .unwrap();
    let new = pair.seal(&any_udp());
    assert_eq!(
        pair.open(&[new, old].concat()).len(),
        2,
        "the old inbound SA lives until deleted"
    );
}

#[test]
fn a_peer_that_moved_is_reported_once_and_followed_when_told() {
    let mut pair = Pair::new(GCM);
    let packets: Vec<_> = (0..4).flat_map(|_| pair.seal(&any_udp())).collect();
    let moved = PathInfo {
        remote: address(77),
        ..from_a()
    };
    assert_eq!(pair.open_from(&packets[1..3], &moved).len(), 2);
    let (spi, old, new, local) = (SPI_AB, address(1), address(77), address(2));
    assert_eq!(
        events(&pair.b),
        [Event::PeerMoved {
            spi,
            old,
            new,
            local
        }]
    );
    pair.open_from(
        &packets[..1],
        &PathInfo {
            remote: address(78),
            ..from_a()
        },
    );
    assert!(events(&pair.b).is_empty(), "an older packet shows nothing");

    let path = Path { local, remote: new };
    let sa = inbound(SPI_AB).id();
    pair.b
        .apply(
            &[Change::MoveSa {
                sa,
                path,
                encapsulation: Encapsulation::Udp,
            }],
            NOW,
        )
        .unwrap();
    assert_eq!(pair.open_from(&packets[3..], &moved).len(), 1);
    assert!(events(&pair.b).is_empty());
}

#[test]
fn a_moved_sa_keeps_its_sequence_and_changes_its_name() {
    let mut pair = Pair::new(GCM);
    pair.seal(&any_udp());
    let path = Path {
        local: address(1),
        remote: address(5),
    };
    let sa = outbound(SPI_AB).id();
    pair.a
        .apply(
            &[Change::MoveSa {
                sa,
                path,
                encapsulation: Encapsulation::None,
            }],
            NOW,
        )
        .unwrap();
    let mut batch = SealedBatch::with_capacity(0);
    assert_eq!(
        pair.a.seal(&mut pair.sealer, &any_udp(), NOW, &mut batch),
        Progress::Done
    );
    assert_eq!(
        (batch.runs()[0].path, batch.runs()[0].encapsulation),
        (path, Encapsulation::None)
    );
    assert_eq!(packets_of(&batch)[0][7], 2);
    assert_eq!(
        pair.a.apply(&[Change::RemoveSa(sa)], NOW),
        Err(EngineError::UnknownSa(sa))
    );
    assert!(
        pair.a
            .apply(
                &[Change::RemoveSa(SaId {
                    remote: address(5),
                    ..sa
                })],
                NOW
            )
            .is_ok()
    );
}

// covers R4302-3.4.2-1
#[test]
fn an_unknown_spi_is_told_and_audited_at_a_measured_rate() {
    let mut pair = Pair::without_sas();
    let packets = vec![vec![9; 60]; 50];
    pair.open(&packets);
    let all = pair.b.take_events(99);
    let told = |event: &&Event| {
        matches!(
            event,
            Event::UnknownSpi {
                spi: 0x0909_0909,
                ..
            }
        )
    };
    assert_eq!((all.len(), all.iter().filter(told).count()), (20, 10));
    assert_eq!(drops(&pair.b, DropReason::UnknownSpi), 50);
    assert!(!pair.b.has_events());
}

#[test]
fn counters_tell_what_passed() {
    let mut pair = Pair::new(GCM);
    let packets = pair.seal(&tcp_superpacket(false, 1000, &[0; 2500]));
    pair.open(&packets);
    let (a, b) = (pair.a.stats(), pair.b.stats());
    for sa in [&a.sas[0], &b.sas[0]] {
        assert_eq!((sa.packets, sa.octets, sa.sequence), (3, 2500 + 120, 3));
        assert_eq!((sa.last_used, sa.added, sa.errors), (Some(NOW), NOW, 0));
    }
    assert_eq!((a.policies[0].packets, a.policies[0].octets), (3, 2620));
    assert_eq!((a.sas[0].replay_window, b.sas[0].replay_window), (0, 64));
}

/// An inbound SA of a group, found by `lookup`, from one sender.
fn group_sa(lookup: Lookup, sender: u8) -> SaConfig {
    let path = Path {
        local: SocketAddr::from(([239, 1, 2, 3], 0)),
        remote: address(sender),
    };
    SaConfig {
        lookup,
        path,
        ..inbound(SPI_AB)
    }
}

// covers R4301-4.1-2
// covers R4301-4.1-3
// covers R4301-4.1-4
// covers R4303-2.1-1
// covers R4302-2.4-1
// covers R4301-4.1-1
#[test]
fn the_most_exact_sa_of_an_spi_is_found() {
    let engine = Engine::new();
    let policy = Change::AddPolicy(policy(1, Action::Protect, nets(2, 1)));
    let sas = [
        inbound(SPI_AB),
        group_sa(Lookup::SpiDestination, 1),
        group_sa(Lookup::SpiDestinationSource, 1),
    ];
    let changes: Vec<_> = [policy].into_iter().chain(sas.clone().map(add)).collect();
    engine.apply(&changes, NOW).unwrap();
    assert_eq!(engine.stats().sas.len(), 3);
    for sa in sas.into_iter().rev() {
        assert!(engine.apply(&[add(sa.clone())], NOW).is_err(), "twice");
        engine.apply(&[Change::RemoveSa(sa.id())], NOW).unwrap();
    }
    assert_eq!(engine.stats().sas.len(), 0);
}

#[test]
fn each_sender_to_a_group_has_a_window_of_its_own() {
    let mut pair = Pair::without_sas();
    let group = SocketAddr::from(([239, 1, 2, 3], 0));
    let path = |remote| Path {
        local: address(1),
        remote,
    };
    let mut outbound = sa_ab(Direction::Outbound, GCM);
    outbound.path = path(group);
    pair.a.apply(&[add(outbound)], NOW).unwrap();
    pair.b
        .apply(&[add(group_sa(Lookup::SpiDestination, 1))], NOW)
        .unwrap();
    let packets = pair.seal(&udp(1, 2, 53, b"for all"));
    let from = |sender| PathInfo {
        local: group,
        remote: address(sender),
        ..from_a()
    };
    assert_eq!(pair.open_from(&packets, &from(1)).len(), 1);
    assert_eq!(pair.open_from(&packets, &from(1)).len(), 0);
    assert_eq!(
        pair.open_from(&packets, &from(9)).len(),
        1,
        "another sender"
    );
    assert_eq!(drops(&pair.b, DropReason::Replayed), 1);
}
