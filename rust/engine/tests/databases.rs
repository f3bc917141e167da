//! Policies and SAs: which applies, how they change under traffic, when they end.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;
use common::*;
use perilune_engine::*;
use std::net::SocketAddr;

fn outbound(spi: u32) -> SaConfig {
    SaConfig {
        spi,
        ..sa_ab(Direction::Outbound, GCM)
    }
}

fn inbound(spi: u32) -> SaConfig {
    SaConfig {
        spi,
        ..sa_ab(Direction::Inbound, GCM)
    }
}

/// The SA from the peer, as the sender of the other SA sees it.
fn way_back(spi: u32) -> SaConfig {
    SaConfig {
        path: path_ab(),
        selectors: nets(1, 2),
        ..inbound(spi)
    }
}

fn spi_of(packets: &[Vec<u8>]) -> Vec<u32> {
    packets
        .iter()
        .map(|packet| u32::from_be_bytes(*packet.first_chunk().unwrap()))
        .collect()
}

fn any_udp() -> Vec<u8> {
    udp(1, 2, 53, &[0; 20])
}

// covers R4301-4.4.1-1
#[test]
fn the_first_matching_policy_decides() {
    let mut pair = Pair::new(GCM);
    let one_port = |port| SelectorPair {
        remote: vec![selector(
            "10.2.0.0-10.2.0.255",
            17,
            Ports::Range(port, port),
        )],
        ..nets(1, 2)
    };
    let early = |id, action, port| {
        Change::AddPolicy(PolicyConfig {
            priority: 0,
            ..policy(id, action, one_port(port))
        })
    };
    let changes = [early(5, Action::Bypass, 67), early(4, Action::Discard, 68)];
    pair.a.apply(&changes, NOW).unwrap();
    let mut batch = SealedBatch::with_capacity(0);
    for port in [66, 67, 68] {
        let progress = pair.a.seal(
            &mut pair.sealer,
            &udp(1, 2, port, &[0; 20]),
            NOW,
            &mut batch,
        );
        assert_eq!(progress, Progress::Done);
    }
    assert_eq!(batch.runs().len(), 1);
    assert_eq!(
        batch.bypass().collect::<Vec<_>>(),
        [&udp(1, 2, 67, &[0; 20])[VIRTIO..]]
    );
    assert_eq!(drops(&pair.a, DropReason::PolicyDiscard), 1);
}

// covers R4301-4.4.1-4
//= https://www.rfc-editor.org/rfc/rfc4301#section-5
//= type=test
//# If no policy is found in the SPD that matches a packet (for either inbound or outbound
//# traffic), the packet MUST be discarded.
#[test]
fn what_no_policy_names_is_dropped_and_audited() {
    let mut pair = Pair::new(GCM);
    assert!(pair.seal(&udp(1, 9, 53, &[0; 20])).is_empty());
    assert_eq!(drops(&pair.a, DropReason::NoPolicy), 1);
    let destination: std::net::IpAddr = "10.9.0.1".parse().unwrap();
    assert!(
        matches!(pair.a.take_events(1)[..], [Event::Audit { destination: d, .. }] if d == destination)
    );
}

#[test]
fn a_change_of_policy_is_seen_by_known_flows() {
    let mut pair = Pair::new(GCM);
    assert_eq!(pair.seal(&any_udp()).len(), 1);
    let discard = PolicyConfig {
        priority: 0,
        ..policy(2, Action::Discard, nets(1, 2))
    };
    pair.a.apply(&[Change::AddPolicy(discard)], NOW).unwrap();
    assert!(pair.seal(&any_udp()).is_empty());
    pair.a
        .apply(&[Change::RemovePolicy(PolicyId(2))], NOW)
        .unwrap();
    assert_eq!(pair.seal(&any_udp()).len(), 1);
}

#[test]
fn a_transaction_is_done_whole_or_not_at_all() {
    let mut pair = Pair::new(GCM);
    let before = pair.a.stats();
    let unknown = PolicyId(77);
    let stray = SaConfig {
        policy: unknown,
        ..outbound(0x3000)
    };
    let changes = [
        add(outbound(0x3001)),
        Change::RemoveSa(outbound(SPI_AB).id()),
        add(stray),
    ];
    assert_eq!(
        pair.a.apply(&changes, NOW),
        Err(EngineError::UnknownPolicy(unknown))
    );
    assert_eq!(pair.a.stats(), before);
    assert_eq!(spi_of(&pair.seal(&any_udp())), [SPI_AB]);
}

#[test]
fn what_cannot_be_is_refused() {
    let pair = Pair::new(GCM);
    let refused = |change| pair.a.apply(&[change], NOW).unwrap_err();
    let sa = || outbound(0x3000);
    assert_eq!(
        refused(add(outbound(SPI_AB))),
        EngineError::DuplicateSa(outbound(SPI_AB).id())
    );
    assert_eq!(refused(add(outbound(255))), EngineError::Spi(255));
    assert_eq!(
        refused(add(SaConfig {
            keys: keys(Suite::chacha20_poly1305(), 1),
            suite: Suite::aes_gcm_16(AesKeyBits::Bits128),
            ..sa()
        })),
        EngineError::Key
    );
    let insecure = |allow_insecure, replay_window| {
        let suite = Suite::EncryptionOnly(Cbc::Aes(AesKeyBits::Bits128));
        add(SaConfig {
            suite,
            keys: keys(suite, 1),
            allow_insecure,
            replay_window,
            ..way_back(0x3000)
        })
    };
    assert_eq!(
        refused(insecure(false, 0)),
        EngineError::Insecure("encryption without integrity")
    );
    assert_eq!(
        refused(insecure(true, 64)),
        EngineError::ReplayWithoutIntegrity
    );
    assert_eq!(
        refused(add(SaConfig {
            replay_window: 31,
            ..way_back(0x3000)
        })),
        EngineError::ReplayWindow(31)
    );
    let nothing = SelectorPair::default();
    assert_eq!(
        refused(add(SaConfig {
            selectors: nothing,
            ..sa()
        })),
        EngineError::Selector
    );
    assert_eq!(
        refused(Change::RemoveSa(sa().id())),
        EngineError::UnknownSa(sa().id())
    );
    assert_eq!(
        refused(Change::RemovePolicy(POLICY)),
        EngineError::PolicyInUse(POLICY)
    );
    let awaited = SaId::new(Direction::Inbound, 9999, path_ab());
    assert_eq!(
        refused(add(SaConfig {
            ready_after: Some(9999),
            ..sa()
        })),
        EngineError::UnknownSa(awaited)
    );
}

#[test]
fn a_policy_goes_with_the_sas_of_its_transaction_only() {
    let pair = Pair::new(GCM);
    let gone = [
        Change::RemovePolicy(POLICY),
        Change::RemoveSa(inbound(SPI_AB).id()),
    ];
    assert!(pair.b.apply(&gone[..1], NOW).is_err());
    assert!(pair.b.apply(&gone, NOW).is_ok());
    assert!(pair.b.stats().sas.is_empty() && pair.b.stats().policies.is_empty());
}

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
    assert!(!pair.a.has_released());
    pair.a.apply(&[add(outbound(SPI_AB))], NOW).unwrap();
    pair.b.apply(&[add(inbound(SPI_AB))], NOW).unwrap();
    assert!(pair.a.has_released());
    let packets = pair.release();
    let expected: Vec<_> = (0..5).map(|port| udp(1, 2, port, &[0; 20])).collect();
    assert_eq!(pair.open(&packets), expected);
    assert!(!pair.a.has_released());
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
    let mut packets = Vec::new();
    loop {
        let progress = pair.a.release_held(&mut pair.sealer, NOW, &mut batch);
        packets.extend(packets_of(&batch));
        batch.clear();
        if progress == Progress::Done {
            break;
        }
    }
    let mut opened = Vec::new();
    for packet in packets.chunks(200) {
        opened.extend(pair.open(packet));
    }
    assert_eq!(opened, frames);
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

#[test]
fn packets_beyond_the_hard_lifetime_do_not_pass() {
    let mut pair = Pair::with(GCM, |sa| {
        sa.lifetimes.soft.packets = Some(5);
        sa.lifetimes.hard.packets = Some(8);
    });
    let packets = pair.seal(&tcp_superpacket(false, 1000, &vec![0; 10_000]));
    assert_eq!(packets.len(), 8);
    let limit = Limit::Packets;
    let common = (SPI_AB, SPI_BA, Direction::Outbound, POLICY);
    let (spi, peer_spi, direction, policy) = common;
    assert_eq!(
        events(&pair.a),
        [
            Event::SoftExpire {
                spi,
                peer_spi,
                direction,
                policy,
                limit
            },
            Event::HardExpire {
                spi,
                peer_spi,
                direction,
                policy,
                limit
            },
        ]
    );
    assert_eq!(drops(&pair.a, DropReason::LifetimeExpired), 2);
    assert!(pair.a.stats().sas[0].expired);
    assert!(pair.seal(&any_udp()).is_empty());
    assert!(
        matches!(events(&pair.a)[..], [Event::Acquire { .. }]),
        "an SA that ended is none"
    );
    assert_eq!(pair.open(&packets).len(), 1);
    assert_eq!(events(&pair.b).len(), 2, "the receiver counts too");
}

#[test]
fn octets_are_those_of_inner_packets() {
    let mut pair = Pair::with(GCM, |sa| sa.lifetimes.soft.octets = Some(96));
    assert_eq!(pair.seal(&any_udp()).len(), 1);
    assert!(events(&pair.a).is_empty());
    assert_eq!(pair.seal(&any_udp()).len(), 1);
    assert!(matches!(
        events(&pair.a)[..],
        [Event::SoftExpire {
            limit: Limit::Octets,
            ..
        }]
    ));
}

// covers R4301-4.4.2.1-2
#[test]
fn time_runs_out_softly_then_hard() {
    let mut pair = Pair::with(GCM, |sa| {
        sa.lifetimes.soft.time = Some(Duration::seconds(10));
        sa.lifetimes.hard.time = Some(Duration::seconds(20));
    });
    let at = |seconds| NOW.after(Duration::seconds(seconds));
    assert_eq!(pair.a.on_time(at(1)), Some(at(10)));
    assert_eq!(pair.a.on_time(at(10)), Some(at(20)));
    assert!(matches!(
        events(&pair.a)[..],
        [Event::SoftExpire {
            limit: Limit::Time,
            ..
        }]
    ));
    assert_eq!(pair.seal_at(&any_udp(), at(19)).len(), 1);
    assert!(
        pair.seal_at(&any_udp(), at(20)).is_empty(),
        "even before anyone called on_time"
    );
    let told = events(&pair.a);
    assert!(
        matches!(
            told[..],
            [
                Event::HardExpire {
                    limit: Limit::Time,
                    ..
                },
                Event::Acquire { .. }
            ]
        ),
        "{told:?}"
    );
    assert_eq!(
        pair.a.on_time(at(21)),
        Some(at(50)),
        "the acquire's end; no lifetime is left"
    );
    assert!(events(&pair.a).is_empty());
}

#[test]
fn a_removed_sa_expires_no_more() {
    let pair = Pair::with(GCM, |sa| {
        sa.lifetimes.hard.time = Some(Duration::seconds(20));
    });
    pair.a
        .apply(&[Change::RemoveSa(outbound(SPI_AB).id())], NOW)
        .unwrap();
    pair.a.on_time(NOW.after(Duration::seconds(99)));
    assert!(events(&pair.a).is_empty());
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
