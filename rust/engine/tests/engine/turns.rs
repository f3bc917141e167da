//! Several threads that seal: the packets of an SA leave in the order of their numbers, and those of a
//! flow in the order in which they came.

use std::sync::Mutex;

use crate::common::*;
use perilune_engine::*;

const THREADS: u16 = 3;
const FRAMES: u16 = 400;

fn number(packet: &[u8]) -> u32 {
    u32::from_be_bytes(*packet[4..].first_chunk().unwrap())
}

/// Put what a batch has on the wire.
fn send(batch: &mut SealedBatch, wire: &Mutex<Vec<Vec<u8>>>) {
    let mut wire = wire.lock().unwrap();
    for run in batch.runs() {
        let packets = batch.octets(run).chunks(run.segment_size);
        wire.extend(packets.map(<[u8]>::to_vec));
    }
    drop(wire);
    batch.clear();
}

fn seal(
    engine: &Engine,
    worker: &mut OutboundWorker,
    frame: &[u8],
    batch: &mut SealedBatch,
) -> Progress {
    engine.seal(worker, frame, NOW, batch)
}

#[test]
fn threads_that_share_an_sa_send_in_the_order_of_its_numbers() {
    let mut pair = Pair::with(GCM, |sa| sa.replay_window = 32);
    let wire = Mutex::default();
    std::thread::scope(|scope| {
        for port in 1..=THREADS {
            let (engine, wire) = (&pair.a, &wire);
            scope.spawn(move || {
                let (mut worker, mut batch) = (engine.outbound_worker(), SealedBatch::in_turn(0));
                for count in 0..FRAMES {
                    let frame = udp(1, 2, port, &count.to_be_bytes());
                    while seal(engine, &mut worker, &frame, &mut batch) == Progress::Full {
                        send(&mut batch, wire);
                    }
                    if count % 7 == 6 {
                        send(&mut batch, wire);
                    }
                }
                send(&mut batch, wire);
            });
        }
    });
    let packets = wire.into_inner().unwrap();
    let numbers: Vec<_> = packets.iter().map(|packet| number(packet)).collect();
    let all = u32::from(THREADS * FRAMES);
    assert_eq!(numbers, (1..=all).collect::<Vec<_>>());
    let frames = pair.open(&packets);
    assert_eq!(all_drops(&pair.b), 0, "the least of all windows is enough");
    for port in 1..=THREADS {
        let of_flow = frames.iter().filter(|frame| port_of(frame) == port);
        let counts: Vec<u8> = of_flow
            .flat_map(|frame| &frame[VIRTIO + 28..])
            .copied()
            .collect();
        let sent: Vec<u8> = (0..FRAMES).flat_map(u16::to_be_bytes).collect();
        assert_eq!(counts, sent);
    }
}

/// Destination port of a datagram of IPv4.
fn port_of(frame: &[u8]) -> u16 {
    u16::from_be_bytes(*frame[VIRTIO + 22..].first_chunk().unwrap())
}

#[test]
fn who_has_something_to_send_sends_it_before_he_waits() {
    let pair = Pair::new(GCM);
    let in_the_clear = PolicyConfig {
        priority: 0,
        ..policy(2, Action::Bypass, nets(1, 3))
    };
    let change = Change::AddPolicy(in_the_clear);
    pair.a.apply(&[change], NOW).unwrap();
    let engine = &pair.a;
    let (mut one, mut other) = (engine.outbound_worker(), engine.outbound_worker());
    let (mut first, mut second) = (SealedBatch::in_turn(0), SealedBatch::in_turn(0));
    let protected = udp(1, 2, 53, b"?");
    let mut passing = protected.clone();
    // Another network: 10.3.
    passing[VIRTIO + 17] = 3;

    assert_eq!(
        seal(engine, &mut one, &protected, &mut first),
        Progress::Done
    );
    assert_eq!(
        seal(engine, &mut other, &passing, &mut second),
        Progress::Done
    );
    assert_eq!(
        seal(engine, &mut other, &protected, &mut second),
        Progress::Full
    );
    assert_eq!((second.bypass().len(), second.runs().len()), (1, 0));

    drop(first);
    assert_eq!(
        seal(engine, &mut other, &protected, &mut second),
        Progress::Done
    );
    assert_eq!(number(second.octets(&second.runs()[0])), 2);
}
