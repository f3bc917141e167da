//! Sequence numbers of keys that live longer than an SA: they go on where they were.

use std::collections::HashSet;

use crate::common::*;
use perilune_engine::*;

const CBC: Suite = Suite::aes_cbc(AesKeyBits::Bits128, Integrity::HmacSha2_256_128);

fn state(used: u64, reserved: Option<u64>) -> SequenceState {
    SequenceState {
        used,
        reserved,
        cycles: false,
    }
}

fn outbound_only(state: SequenceState) -> impl Fn(&mut SaConfig) {
    move |sa| {
        if sa.direction == Direction::Outbound {
            sa.sequence = state;
        }
    }
}

fn frame() -> Vec<u8> {
    udp(1, 2, 53, b"hello")
}

fn number(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[4..8].try_into().unwrap())
}

// covers R4303-3.3.3-2
#[test]
fn a_sender_goes_on_behind_the_numbers_of_its_last_life() {
    let mut pair = Pair::with(GCM, outbound_only(state(41, None)));
    let packets = pair.seal(&frame());
    assert_eq!(number(&packets[0]), 42);
    assert_eq!(pair.open(&packets), [frame()]);
}

#[test]
fn a_receiver_takes_nothing_again_of_what_it_saw_in_its_last_life() {
    for (esn, top) in [(false, 100), (true, (7 << 32) + 5)] {
        let mut sender = Pair::with(GCM, |sa| {
            sa.esn = esn;
            sa.sequence = state(top - 1, None);
        });
        let (old, new) = (sender.seal(&frame()), sender.seal(&frame()));
        let mut pair = Pair::with(GCM, |sa| {
            sa.esn = esn;
            sa.sequence = state(top, None);
        });
        assert!(pair.open(&old).is_empty());
        assert_eq!(drops(&pair.b, DropReason::Replayed), 1);
        assert_eq!(pair.open(&new), [frame()]);
        assert!(pair.open(&new).is_empty());
    }
}

#[test]
fn numbers_that_are_not_reserved_are_not_used() {
    let mut pair = Pair::with(GCM, outbound_only(state(10, Some(14))));
    let sent: Vec<u32> = (0..9)
        .flat_map(|_| pair.seal(&frame()))
        .map(|packet| number(&packet))
        .collect();
    assert_eq!(sent, [11, 12, 13, 14]);
    assert_eq!(drops(&pair.a, DropReason::SequenceExhausted), 5);
    let low = Event::SequenceLow {
        spi: SPI_AB,
        peer_spi: SPI_BA,
        policy: POLICY,
    };
    assert_eq!(events(&pair.a), std::slice::from_ref(&low), "said once");

    let reserve = Change::ReserveSequence {
        sa: SaId::new(Direction::Outbound, SPI_AB, path_ab()),
        until: 24,
    };
    pair.a.apply(&[reserve], NOW).unwrap();
    assert_eq!(number(&pair.seal(&frame())[0]), 15);
    assert!(events(&pair.a).is_empty());
    (0..4).for_each(|_| assert_eq!(pair.seal(&frame()).len(), 1));
    assert_eq!(events(&pair.a), [low]);
}

#[test]
fn a_burst_takes_what_is_reserved_and_no_more() {
    let mut pair = Pair::with(GCM, outbound_only(state(0, Some(3))));
    let packets = pair.seal(&tcp_superpacket(false, 1300, &vec![1; 13_000]));
    assert_eq!(packets.len(), 3);
    assert_eq!(drops(&pair.a, DropReason::SequenceExhausted), 7);
}

// covers R4303-3.3.2.2-2
#[test]
fn a_counter_mode_has_no_iv_twice_not_even_in_its_next_life() {
    for suite in Suite::all()
        .into_iter()
        .filter(|suite| suite.uses_counter())
    {
        let has_no_iv = matches!(
            suite,
            Suite::Combined(
                Combined::AesCcm8Iiv(_) | Combined::AesGcm16Iiv(_) | Combined::ChaCha20Poly1305Iiv
            )
        );
        // Where no IV is sent it is the number (RFC 8750).
        let place = if has_no_iv { 4..8 } else { 8..16 };
        let mut ivs = HashSet::new();
        for used in [0, 3, 6] {
            let mut pair = Pair::with(suite, outbound_only(state(used, Some(used + 3))));
            let packets = pair.seal(&tcp_superpacket(false, 100, &[1; 400]));
            assert_eq!(packets.len(), 3);
            ivs.extend(packets.iter().map(|packet| packet[place.clone()].to_vec()));
        }
        assert_eq!(ivs.len(), 9, "{suite:?}");
    }
}

// covers R4303-3.3.3-2
#[test]
fn without_replay_protection_numbers_may_begin_again() {
    let mut pair = Pair::with(CBC, |sa| {
        sa.replay_window = 0;
        if sa.direction == Direction::Outbound {
            sa.sequence = SequenceState {
                used: u64::from(u32::MAX) - 1,
                reserved: None,
                cycles: true,
            };
        }
    });
    let packets: Vec<Vec<u8>> = (0..3).flat_map(|_| pair.seal(&frame())).collect();
    let sent: Vec<u32> = packets.iter().map(|packet| number(packet)).collect();
    assert_eq!(sent, [u32::MAX, 0, 1]);
    assert_eq!(pair.open(&packets).len(), 3);
    assert!(events(&pair.a).is_empty());
}

#[test]
fn numbers_never_begin_again_where_somebody_counts_on_them() {
    let refused = |suite: Suite, esn: bool, replay_window: u32| {
        let mut sa = sa_ab(Direction::Outbound, suite);
        (sa.esn, sa.replay_window) = (esn, replay_window);
        sa.sequence.cycles = true;
        Pair::without_sas().a.apply(&[add(sa)], NOW)
    };
    let ctr = Suite::Separate(
        Cipher::AesCtr(AesKeyBits::Bits128),
        Integrity::HmacSha2_256_128,
    );
    for (suite, esn, window) in [
        (GCM, false, 0),
        (ctr, false, 0),
        (CBC, true, 0),
        (CBC, false, 64),
    ] {
        assert_eq!(
            refused(suite, esn, window),
            Err(EngineError::SequenceCycles)
        );
    }
    assert_eq!(refused(CBC, false, 0), Ok(()));
}
