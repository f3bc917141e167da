//! Time to find a packet's policy and to change policies: `cargo bench -p perilune-engine --bench spd`.
//!
//! Each packet is one UDP datagram for a policy that discards, so a row's time is that of parsing,
//! of the search and of a counter. "Known" are packets of flows that the flow cache has; "new" ones
//! are of flows that it cannot have, for a thousand of the policies, which shows what the search
//! costs; "cold" ones are for any of them, so that with many policies each comes from memory that
//! was not touched for long, which shows what memory costs. Nanoseconds a packet, and microseconds
//! of a transaction, are those of the best of many short rounds, which a busy machine disturbs least.
//!
//! With a kind of policies and a number it only makes 100,000 searches among so many of these, in a
//! function that a profiler can find:
//! `valgrind --tool=callgrind --toggle-collect='*seal_all*' target/release/deps/spd-… Hosts 1000`.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot start shall say so"
)]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant as Clock;

use perilune_engine::{
    Action, Change, Conditions, Engine, IcmpErrors, Instant, Masked, OutboundWorker, PolicyConfig,
    PolicyId, Populate, Ports, SealedBatch, SelectorPair, TrafficSelector,
};

const NOW: Instant = Instant(1);
const ROUNDS: u32 = 301;
const PACKETS: u32 = 500;

/// How policies differ from each other.
#[derive(Clone, Copy, Debug)]
enum Policies {
    /// In the remote host.
    Hosts,
    /// In remote networks of eight sizes.
    Networks,
    /// In the remote port, then in the traffic class; hosts are all the same ones.
    PortsAndClasses,
    /// In all of these and in the local network.
    Mixed,
    /// By fours in the pair of /24 networks; of the four, the first two have ports that overlap, the third
    /// all ports, and the last a remote network that holds those of 256 pairs.
    Overlapping,
}

const KINDS: [Policies; 5] = [
    Policies::Hosts,
    Policies::Networks,
    Policies::PortsAndClasses,
    Policies::Mixed,
    Policies::Overlapping,
];

fn main() {
    let words: Vec<_> = std::env::args().collect();
    let asked = |kind: &Policies| words.contains(&format!("{kind:?}"));
    let count = words.iter().find_map(|word| word.parse().ok());
    if let (Some(kind), Some(count)) = (KINDS.into_iter().find(asked), count) {
        return search_only(kind, count);
    }
    println!(
        "{:<16} {:>8} {:>9} {:>9} {:>9} {:>14} {:>16}",
        "policies", "number", "known ns", "new ns", "cold ns", "one change us", "1000 changes us"
    );
    for kind in KINDS {
        for count in [10, 1000, 100_000] {
            measure(kind, count);
        }
    }
}

fn search_only(kind: Policies, count: u32) {
    let engine = engine_with(kind, count);
    let mut worker = engine.outbound_worker();
    for round in 0..200 {
        nanoseconds_each(&engine, &mut worker, &new_frames(kind, round, 1000, count));
    }
}

fn engine_with(kind: Policies, count: u32) -> Engine {
    let engine = Engine::new();
    let all: Vec<_> = (0..count).map(|n| add(kind, n)).collect();
    engine.apply(&all, NOW).unwrap();
    engine
}

/// Packets of new flows for at most so many of the policies, which are spread over all.
fn new_frames(kind: Policies, round: u32, most: u32, count: u32) -> Vec<Vec<u8>> {
    let chosen = count.min(most);
    (0..PACKETS)
        .map(|n| round * PACKETS + n)
        .map(|n| frame(kind, scattered(n, chosen) * (count / chosen), n))
        .collect()
}

fn measure(kind: Policies, count: u32) {
    let engine = engine_with(kind, count);
    let mut worker = engine.outbound_worker();
    let known = best(ROUNDS, |_| {
        let frames = vec![frame(kind, 7 % count, 1); 1000];
        nanoseconds_each(&engine, &mut worker, &frames)
    });
    let mut searched = |most: u32| {
        best(ROUNDS, |round| {
            nanoseconds_each(&engine, &mut worker, &new_frames(kind, round, most, count))
        })
    };
    let (new, cold) = (searched(1000), searched(count));
    let one = best(ROUNDS, |round| {
        microseconds(&engine, &[add(kind, round % count)])
    });
    let many = best(ROUNDS / 10, |round| {
        let changes: Vec<_> = (0..1000)
            .map(|n| add(kind, scattered(round * 1000 + n, count)))
            .collect();
        microseconds(&engine, &changes)
    });
    println!(
        "{:<16} {count:>8} {known:>9.0} {new:>9.0} {cold:>9.0} {one:>14.1} {many:>16.0}",
        format!("{kind:?}")
    );
}

/// A number below `count` that has little to do with those before it.
fn scattered(n: u32, count: u32) -> u32 {
    n.wrapping_mul(0x9e37_79b1)
        .rotate_left(15)
        .wrapping_mul(0x85eb_ca77)
        % count
}

fn best(rounds: u32, run: impl FnMut(u32) -> f64) -> f64 {
    (0..rounds).map(run).fold(f64::INFINITY, f64::min)
}

fn nanoseconds_each(engine: &Engine, worker: &mut OutboundWorker, frames: &[Vec<u8>]) -> f64 {
    let before = dropped(engine);
    let start = Clock::now();
    seal_all(engine, worker, frames);
    let elapsed = start.elapsed();
    let count = u32::try_from(frames.len()).unwrap();
    assert_eq!(
        dropped(engine) - before,
        u64::from(count),
        "a packet missed its policy"
    );
    elapsed.as_secs_f64() * 1e9 / f64::from(count)
}

#[inline(never)]
fn seal_all(engine: &Engine, worker: &mut OutboundWorker, frames: &[Vec<u8>]) {
    let mut out = SealedBatch::with_capacity(0);
    for frame in frames {
        let _ = engine.seal(worker, frame, NOW, &mut out);
    }
}

/// Packets that a policy has discarded; others, and those without a policy, do not count.
fn dropped(engine: &Engine) -> u64 {
    engine.drops(perilune_engine::DropReason::PolicyDiscard)
}

fn microseconds(engine: &Engine, changes: &[Change]) -> f64 {
    let start = Clock::now();
    engine.apply(changes, NOW).unwrap();
    start.elapsed().as_secs_f64() * 1e6
}

/// Adds the policy of a number, or replaces it by its like.
fn add(kind: Policies, n: u32) -> Change {
    let any = TrafficSelector::new(network(0, 0), 0, Ports::Any).unwrap();
    let (remote, conditions) = match kind {
        Policies::Hosts => (host(n), Conditions::default()),
        Policies::Networks => (sized(n), Conditions::default()),
        Policies::PortsAndClasses => port_and_class(n),
        Policies::Mixed => match n % 4 {
            0 | 1 => (host(n), Conditions::default()),
            2 => (sized(n), Conditions::default()),
            _ => port_and_class(n),
        },
        Policies::Overlapping => (overlapping(n), Conditions::default()),
    };
    let local = match kind {
        Policies::Overlapping => {
            TrafficSelector::new(network(local_of_pair(n), 24), 0, Ports::Any).unwrap()
        }
        Policies::Mixed if n % 8 < 4 => {
            TrafficSelector::new(network(0xc0a8_0000, 16), 17, Ports::Any).unwrap()
        }
        _ => any,
    };
    Change::AddPolicy(PolicyConfig {
        id: PolicyId(n),
        priority: match kind {
            Policies::Overlapping => n % 4,
            _ => 0,
        },
        action: Action::Discard,
        selectors: SelectorPair {
            local: vec![local],
            remote: vec![remote],
            conditions,
        },
        direction: None,
        populate: Populate::default(),
        hold: false,
        icmp_errors: IcmpErrors::default(),
    })
}

fn host(n: u32) -> TrafficSelector {
    TrafficSelector::new(network(remote(n), 32), 17, Ports::Any).unwrap()
}

fn sized(n: u32) -> TrafficSelector {
    TrafficSelector::new(network(remote(n), 32 - n % 8), 0, Ports::Any).unwrap()
}

fn overlapping(n: u32) -> TrafficSelector {
    let (bits, ports) = match n % 4 {
        0 => (24, Ports::Range(2000, 2999)),
        1 => (24, Ports::Range(2500, 4999)),
        2 => (24, Ports::Any),
        _ => (16, Ports::Any),
    };
    TrafficSelector::new(network(remote(n / 4), bits), 17, ports).unwrap()
}

fn local_of_pair(n: u32) -> u32 {
    0x0a00_0000 + ((n / 4) << 8)
}

fn port_and_class(n: u32) -> (TrafficSelector, Conditions) {
    let (port, class) = port_and_class_of(n);
    let tos = Some(Masked {
        value: class,
        mask: 0xfc,
    });
    let selector = TrafficSelector::new(network(0x0a00_0000, 8), 17, Ports::Range(port, port));
    let conditions = Conditions {
        tos,
        ..Conditions::default()
    };
    (selector.unwrap(), conditions)
}

/// 50,000 ports, then 64 classes.
fn port_and_class_of(n: u32) -> (u16, u8) {
    let class = u8::try_from(n / 50_000 % 64).unwrap() << 2;
    (u16::try_from(n % 50_000).unwrap(), class)
}

/// Eight addresses of which none is in the network of another policy.
fn remote(n: u32) -> u32 {
    0x1400_0000 + (n << 8)
}

fn network(base: u32, bits: u32) -> std::ops::RangeInclusive<IpAddr> {
    let free = u32::MAX.checked_shr(bits).unwrap_or(0);
    Ipv4Addr::from_bits(base & !free).into()..=Ipv4Addr::from_bits(base | free).into()
}

/// A packet for the policy of a number, and the source port that makes its flow another one.
fn frame(kind: Policies, n: u32, flow: u32) -> Vec<u8> {
    let (source, destination, port, class) = addressed(kind, n);
    let [d0, d1] = port.to_be_bytes();
    let [_, s, s0, s1] = flow.to_be_bytes();
    let mut frame = vec![0; 10];
    frame.extend_from_slice(&[0x45, class, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend_from_slice(&(source | u32::from(s)).to_be_bytes());
    frame.extend_from_slice(&destination.to_be_bytes());
    frame.extend_from_slice(&[s0, s1, d0, d1, 0, 8, 0, 0]);
    frame
}

/// Source, destination, destination port and traffic class of a packet for the policy of a number.
fn addressed(kind: Policies, n: u32) -> (u32, u32, u16, u8) {
    let by_port = match kind {
        Policies::PortsAndClasses => true,
        Policies::Mixed => n % 4 == 3,
        Policies::Hosts | Policies::Networks => false,
        Policies::Overlapping => {
            let port = [2100, 3000, 53, 53][usize::try_from(n % 4).unwrap()];
            // The last of four is for networks that are not that of the pair.
            let other = if n % 4 == 3 { 1 << 8 } else { 0 };
            return (local_of_pair(n), remote(n / 4) ^ other, port, 0);
        }
    };
    let source = 0xc0a8_0000;
    if !by_port {
        return (source, remote(n), 53, 0);
    }
    let (port, class) = port_and_class_of(n);
    (source, 0x0a01_0203, port, class)
}
