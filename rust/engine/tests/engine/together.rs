//! ESP packets that are opened in one call: each has the fate that it would have alone.

use crate::common::*;
use perilune_engine::*;
use proptest::prelude::*;

const OTHER_SPI: u32 = 0x3000;

/// What happens to a packet on its way.
#[derive(Debug, Clone, Copy)]
enum Mishap {
    None,
    Corrupt,
    /// It is the one before once more.
    Repeated,
    /// It is on another SA that the receiver has.
    OtherSa,
    UnknownSa,
    /// What is inside is not for this SA.
    Foreign,
}

fn mishaps() -> impl Strategy<Value = Vec<Mishap>> {
    use Mishap::{Corrupt, Foreign, None, OtherSa, Repeated, UnknownSa};
    let one = prop_oneof![
        8 => Just(None),
        1 => Just(Corrupt),
        1 => Just(Repeated),
        1 => Just(OtherSa),
        1 => Just(UnknownSa),
        1 => Just(Foreign),
    ];
    prop::collection::vec(one, 1..80)
}

/// What two engines that opened the same are compared by.
#[derive(Debug, PartialEq)]
struct Outcome {
    packets: Vec<Vec<u8>>,
    drops: Vec<(DropReason, u64)>,
    sas: Vec<(u64, u64, u64, u64)>,
    events: Vec<Event>,
}

impl Outcome {
    fn of(engine: &Engine, packets: Vec<Vec<u8>>) -> Self {
        let stats = engine.stats();
        let counts = |sa: &SaStats| (sa.packets, sa.octets, sa.errors, sa.sequence);
        Self {
            packets,
            drops: stats.drops.clone(),
            sas: stats.sas.iter().map(counts).collect(),
            events: engine.take_events(usize::MAX),
        }
    }
}

fn receiver(hard_packets: Option<u64>) -> Engine {
    let engine = Engine::new();
    let policy = policy(1, Action::Protect, nets(2, 1));
    engine.apply(&[Change::AddPolicy(policy)], NOW).unwrap();
    for spi in [SPI_AB, OTHER_SPI] {
        let mut sa = inbound(spi);
        sa.lifetimes.hard.packets = hard_packets;
        engine.apply(&[add(sa)], NOW).unwrap();
    }
    engine
}

/// A sender that takes more than the receiver does.
fn sender(spi: u32) -> Pair {
    let pair = Pair::without_sas();
    let remote = [nets(1, 2).remote, nets(1, 3).remote].concat();
    let selectors = SelectorPair::new(nets(1, 2).local, remote);
    let policy = policy(1, Action::Protect, selectors.clone());
    let sa = SaConfig {
        selectors,
        ..outbound(spi)
    };
    let changes = [Change::AddPolicy(policy), add(sa)];
    pair.a.apply(&changes, NOW).unwrap();
    pair
}

/// What a sender and mishaps make: packets of one length, but for the last, which may be shorter.
fn packets(payload: usize, last: usize, mishaps: &[Mishap]) -> Vec<Vec<u8>> {
    let [mut usual, mut other, mut stranger] = [SPI_AB, OTHER_SPI, 0x5000].map(sender);
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for (index, mishap) in mishaps.iter().enumerate() {
        let is_last = index + 1 == mishaps.len();
        let octets = vec![0x5a; if is_last { last } else { payload }];
        let frame = |to: u8| udp(1, to, 53, &octets);
        let mut packet = match mishap {
            Mishap::OtherSa => other.seal(&frame(2)),
            Mishap::UnknownSa => stranger.seal(&frame(2)),
            Mishap::Foreign => usual.seal(&frame(3)),
            _ => usual.seal(&frame(2)),
        }
        .remove(0);
        match (mishap, packets.last()) {
            (Mishap::Corrupt, _) => *packet.last_mut().unwrap() ^= 1,
            (Mishap::Repeated, Some(before)) => packet.clone_from(before),
            _ => {}
        }
        packets.push(packet);
    }
    packets
}

/// Open packets as bundles of so many, and tell what was inside.
fn open(engine: &Engine, packets: &[Vec<u8>], together: usize) -> Outcome {
    let mut worker = engine.inbound_worker();
    // The least there is: some bundles do not fit at once.
    let mut out = OpenedBatch::with_capacity(0);
    let mut inner = Vec::new();
    for bundle in packets.chunks(together) {
        let (segment, mut bundle) = (bundle[0].len(), bundle.concat());
        let from = from_a();
        while engine.open_bundle(&mut worker, &mut bundle, segment, &from, NOW, &mut out)
            == Progress::Full
        {
            inner.extend(out.frames().map(<[u8]>::to_vec));
            out.clear();
        }
    }
    inner.extend(out.frames().map(<[u8]>::to_vec));
    Outcome::of(engine, inner)
}

#[test]
fn a_corrupt_packet_in_the_middle_is_the_only_one_lost() {
    let mut mishaps = [Mishap::None; 9];
    mishaps[4] = Mishap::Corrupt;
    let packets = packets(100, 100, &mishaps);
    let engine = receiver(None);
    let outcome = open(&engine, &packets, mishaps.len());
    assert_eq!(outcome.packets.len(), 8);
    assert_eq!(drops(&engine, DropReason::IntegrityFailed), 1);
    assert_eq!(all_drops(&engine), 1);
    assert_eq!(outcome.sas[0], (8, 8 * 128, 1, 9));
    let audit = |event: &Event| match event {
        Event::Audit {
            reason, sequence, ..
        } => Some((*reason, *sequence)),
        _ => None,
    };
    let audits: Vec<_> = outcome.events.iter().filter_map(audit).collect();
    assert_eq!(audits, [(DropReason::IntegrityFailed, 5)]);
}

#[test]
fn what_is_shorter_than_a_header_is_counted() {
    let engine = receiver(None);
    let mut bundle = packets(100, 100, &[Mishap::None]).remove(0);
    let segment = bundle.len();
    bundle.extend_from_slice(&[0, 0, 0x10]);
    let mut worker = engine.inbound_worker();
    let mut out = OpenedBatch::with_capacity(0);
    let progress = engine.open_bundle(&mut worker, &mut bundle, segment, &from_a(), NOW, &mut out);
    assert_eq!((progress, out.frames().len()), (Progress::Done, 1));
    assert_eq!(drops(&engine, DropReason::EspMalformed), 1);
}

#[test]
fn a_lifetime_ends_within_a_bundle() {
    for together in [1, 20] {
        let engine = receiver(Some(7));
        let outcome = open(&engine, &packets(100, 100, &[Mishap::None; 20]), together);
        assert_eq!(outcome.packets.len(), 7);
        assert_eq!(drops(&engine, DropReason::LifetimeExpired), 13);
        let ends = outcome
            .events
            .iter()
            .filter(|event| matches!(event, Event::HardExpire { .. }));
        assert_eq!(ends.count(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn together_is_as_one_by_one(
        mishaps in mishaps(),
        payload in prop_oneof![Just(36usize), 1usize..1400, Just(1372)],
        shorter in 0usize..1400,
        together in 2usize..80,
    ) {
        let packets = packets(payload, payload.saturating_sub(shorter), &mishaps);
        let alone = open(&receiver(None), &packets, 1);
        prop_assert_eq!(open(&receiver(None), &packets, together), alone);
    }
}
