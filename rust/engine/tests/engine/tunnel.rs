//! Packets through a tunnel: what goes in comes out, and nothing else does.

use crate::common::*;
use perilune_engine::*;
use proptest::prelude::*;

#[test]
fn each_suite_carries_both_ip_versions() {
    for suite in Suite::all() {
        for esn in [false, true] {
            let mut pair = Pair::with(suite, |sa| sa.esn = esn);
            for ipv6 in [false, true] {
                let payload: Vec<u8> = (0..2000u32).map(|n| n.to_le_bytes()[0]).collect();
                let frame = tcp_superpacket(ipv6, 1300, &payload);
                let packets = pair.seal(&frame);
                assert_eq!(packets.len(), 2);
                assert_eq!(
                    pair.open(&packets),
                    [frame],
                    "{suite:?} esn {esn} ipv6 {ipv6}"
                );
            }
            assert_eq!((all_drops(&pair.a), all_drops(&pair.b)), (0, 0));
        }
    }
}

#[test]
fn nothing_of_the_inner_packet_shows() {
    let encrypts = |suite: &Suite| {
        let is_gmac = matches!(suite, Suite::Combined(Combined::AesGmac(_)));
        suite.encryption_key_octets() > 0 && !is_gmac
    };
    for suite in Suite::all().into_iter().filter(encrypts) {
        let frame = udp(1, 2, 53, b"attack at dawn, attack at dawn");
        let packets = Pair::new(suite).seal(&frame);
        let shows = |piece: &[u8]| {
            packets[0]
                .windows(piece.len())
                .any(|window| window == piece)
        };
        assert!(!shows(b"attack") && !shows(&[10, 1, 0, 1]), "{suite:?}");
    }
}

#[test]
fn one_superpacket_is_one_run() {
    let mut pair = Pair::new(GCM);
    let mut batch = SealedBatch::with_capacity(0);
    let frame = tcp_superpacket(false, 1300, &vec![1; 40_000]);
    assert_eq!(
        pair.a.seal(&mut pair.sealer, &frame, NOW, &mut batch),
        Progress::Done
    );
    let runs = batch.runs();
    assert_eq!(
        (runs.len(), runs[0].count, runs[0].segment_size),
        (1, 31, 8 + 8 + 1344 + 16)
    );
    assert_eq!(
        (runs[0].path, runs[0].encapsulation),
        (path_ab(), Encapsulation::Udp)
    );
}

#[test]
fn a_full_batch_loses_nothing() {
    let mut pair = Pair::new(GCM);
    let frame = tcp_superpacket(false, 300, &vec![5; 60_000]);
    let packets = pair.seal(&frame);
    assert_eq!(packets.len(), 200);
    let numbers: Vec<u8> = packets.iter().map(|packet| packet[7]).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<u8>>());
    assert_eq!(pair.open(&packets), [frame]);
}

// covers R4301-5.1.2-8
#[test]
fn dscp_and_ecn_are_copied_outside() {
    let mut pair = Pair::new(GCM);
    let mut frame = udp(1, 2, 53, &[0; 10]);
    frame[VIRTIO + 1] = 0xb9;
    let mut batch = SealedBatch::with_capacity(0);
    assert_eq!(
        pair.a.seal(&mut pair.sealer, &frame, NOW, &mut batch),
        Progress::Done
    );
    assert_eq!(batch.runs()[0].traffic_class, 0xb9);
}

//= https://www.rfc-editor.org/rfc/rfc6040#section-4.2
//= type=test
//# If the inner ECN field is Not-ECT and the outer ECN field is CE, the decapsulator MUST drop
//# the packet.
#[test]
fn congestion_on_the_way_is_told_inside_or_drops() {
    let congested = PathInfo {
        traffic_class: 3,
        ..from_a()
    };
    let mut pair = Pair::new(GCM);
    let mut frame = udp(1, 2, 53, &[0; 10]);
    let packets = pair.seal(&frame);
    assert!(pair.open_from(&packets, &congested).is_empty());
    assert_eq!(drops(&pair.b, DropReason::EcnCongestion), 1);
    frame[VIRTIO + 1] = 2;
    let packets = pair.seal(&frame);
    assert_eq!(pair.open_from(&packets, &congested)[0][VIRTIO + 1], 3);
}

//= https://www.rfc-editor.org/rfc/rfc4303#section-3.4.3
//= type=test
//# Duplicates are rejected through the use of a sliding receive window.
#[test]
fn second_copies_and_late_packets_are_refused() {
    let mut pair = Pair::new(GCM);
    let packets: Vec<_> = (0..100)
        .flat_map(|port| pair.seal(&udp(1, 2, port, &[0; 10])))
        .collect();
    let order = [50, 0, 50, 99, 20, 35, 36, 36];
    let sent: Vec<_> = order.iter().map(|index| packets[*index].clone()).collect();
    // Window 64: after number 100 the oldest acceptable is 37.
    assert_eq!(pair.open(&sent).len(), 4);
    assert_eq!(drops(&pair.b, DropReason::Replayed), 2);
    assert_eq!(drops(&pair.b, DropReason::ReplayTooOld), 2);
}

// covers R4303-3.4.3-3
// covers R4302-3.4.3-2
// covers R4303-A-2
//= https://www.rfc-editor.org/rfc/rfc4303#section-3.4.3
//= type=test
//# The receive window is updated only if the integrity verification succeeds.
#[test]
fn a_forged_sequence_number_moves_nothing() {
    let mut pair = Pair::new(GCM);
    let packets = pair.seal(&udp(1, 2, 53, &[0; 10]));
    let mut forged = packets[0].clone();
    forged[4..8].copy_from_slice(&[0x7f; 4]);
    assert!(pair.open(&[forged]).is_empty());
    assert_eq!(drops(&pair.b, DropReason::IntegrityFailed), 1);
    assert_eq!(pair.open(&packets).len(), 1);
    let sa = &pair.b.stats().sas[0];
    assert_eq!((sa.sequence, sa.packets, sa.errors), (1, 1, 1));
}

// covers R4301-4.4.2-1
// covers R4301-5.2-3
#[test]
fn packets_outside_the_selectors_are_refused_inside_too() {
    let mut pair = Pair::without_sas();
    pair.a
        .apply(&[add(sa_ab(Direction::Outbound, GCM))], NOW)
        .unwrap();
    let mut narrow = sa_ab(Direction::Inbound, GCM);
    narrow.selectors.remote = vec![selector("10.1.0.0-10.1.0.255", 17, Ports::Any)];
    narrow.selectors.local = vec![selector("10.2.0.0-10.2.0.255", 17, Ports::Range(53, 53))];
    pair.b.apply(&[add(narrow)], NOW).unwrap();
    for (port, passed) in [(53, 1), (54, 0)] {
        let packets = pair.seal(&udp(1, 2, port, &[0; 10]));
        assert_eq!(pair.open(&packets).len(), passed, "port {port}");
    }
    assert_eq!(drops(&pair.b, DropReason::SelectorMismatch), 1);
    let audits = pair.b.take_events(9);
    let expected_reason = DropReason::SelectorMismatch;
    assert!(
        matches!(audits[..], [Event::Audit { reason, spi: SPI_AB, sequence: 2, time: NOW, .. }] if reason == expected_reason),
        "{audits:?}"
    );
}

#[test]
fn encapsulated_and_raw_packets_are_both_accepted() {
    for encapsulation in [Encapsulation::None, Encapsulation::Udp] {
        let mut pair = Pair::with(GCM, |sa| sa.encapsulation = encapsulation);
        for encapsulated in [false, true] {
            let packets = pair.seal(&udp(1, 2, 53, &[0; 10]));
            let from = PathInfo {
                encapsulated,
                ..from_a()
            };
            assert_eq!(pair.open_from(&packets, &from).len(), 1);
        }
    }
}

fn suite_with_integrity() -> impl Strategy<Value = Suite> {
    prop::sample::select(Suite::all()).prop_filter("no integrity", |suite| suite.has_integrity())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_packet_loses_only_itself(
        suite in suite_with_integrity(),
        which in 0usize..20,
        at: prop::sample::Index,
        bit in 0u8..8,
    ) {
        let mut pair = Pair::with(suite, |sa| sa.lifetimes.soft.packets = Some(1000));
        let frames: Vec<_> = (0..20).map(|port| udp(1, 2, port, &[9; 100])).collect();
        let mut packets: Vec<_> = frames.iter().flat_map(|frame| pair.seal(frame)).collect();
        let at = at.index(packets[which].len());
        packets[which][at] ^= 1 << bit;
        let mut expected = frames.clone();
        expected.remove(which);
        prop_assert_eq!(pair.open(&packets), expected);
        prop_assert_eq!(all_drops(&pair.b), 1);
    }

    #[test]
    fn any_octets_can_be_opened(
        mut octets in prop::collection::vec(any::<u8>(), 0..200),
        suite in suite_with_integrity(),
        known: bool,
    ) {
        let mut pair = Pair::new(suite);
        if let (true, Some(spi)) = (known, octets.first_chunk_mut()) {
            *spi = SPI_AB.to_be_bytes();
        }
        prop_assert!(pair.open(&[octets]).is_empty());
        prop_assert_eq!(all_drops(&pair.b), 1);
    }

    #[test]
    fn any_frame_can_be_sealed(
        mut octets in prop::collection::vec(any::<u8>(), 0..200),
        is_known: bool,
        gso in 0u8..6,
    ) {
        let mut pair = Pair::new(GCM);
        let frame = if is_known {
            let header = udp(1, 2, 53, &[]);
            octets.splice(..octets.len().min(header.len()), header);
            octets[1] = gso;
            octets
        } else {
            octets
        };
        let packets = pair.seal(&frame);
        pair.open(&packets);
    }
}

#[test]
fn many_threads_never_use_a_number_twice() {
    let pair = Pair::new(GCM);
    let engine = &pair.a;
    let mut numbers: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let work = || {
            let mut worker = engine.outbound_worker();
            let mut batch = SealedBatch::with_capacity(0);
            let mut seen = Vec::new();
            for port in 0..300 {
                assert_eq!(
                    engine.seal(&mut worker, &udp(1, 2, port, &[0; 40]), NOW, &mut batch),
                    Progress::Done
                );
                seen.extend(
                    packets_of(&batch)
                        .iter()
                        .map(|packet| packet[4..8].to_vec()),
                );
                batch.clear();
            }
            seen
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 1200);
}
