//! Time to find a packet's policy and to change policies: `cargo bench -p perilune-engine --bench spd`.
//!
//! Each packet is one UDP datagram for a policy that discards, so a row's time is that of parsing,
//! of the search and of a counter. "Known" are packets of flows that the flow cache has; "new" ones
//! are of flows that it cannot have, for a thousand of the policies, which shows what the search
//! costs; "cold" ones are for any of them, so that with many policies each comes from memory that
//! was not touched for long, which shows what memory costs. Nanoseconds a packet, and microseconds
//! of a transaction, are those of the best of many short rounds, which a busy machine disturbs least.
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
}

fn main() {
    println!(
        "{:<16} {:>8} {:>9} {:>9} {:>9} {:>14} {:>16}",
        "policies", "number", "known ns", "new ns", "cold ns", "one change us", "1000 changes us"
    );
    let kinds = [
        Policies::Hosts,
        Policies::Networks,
        Policies::PortsAndClasses,
        Policies::Mixed,
    ];
    for kind in kinds {
        for count in [10, 1000, 100_000] {
            measure(kind, count);
        }
    }
}

fn measure(kind: Policies, count: u32) {
    let engine = Engine::new();
    let all: Vec<_> = (0..count).map(|n| add(kind, n)).collect();
    engine.apply(&all, NOW).unwrap();
    let mut worker = engine.outbound_worker();
    let known = best(ROUNDS, |_| {
        let frames = vec![frame(kind, 7 % count, 1); 1000];
        nanoseconds_each(&engine, &mut worker, &frames)
    });
    let mut searched = |most: u32| {
        best(ROUNDS, |round| {
            let frames: Vec<_> = (0..PACKETS)
                .map(|n| round * PACKETS + n)
                .map(|n| frame(kind, scattered(n, count.min(most)), n))
                .collect();
            nanoseconds_each(&engine, &mut worker, &frames)
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
    let mut out = SealedBatch::with_capacity(0);
    let before = dropped(engine);
    let start = Clock::now();
    for frame in frames {
        let _ = engine.seal(worker, frame, NOW, &mut out);
    }
    let elapsed = start.elapsed();
    let count = u32::try_from(frames.len()).unwrap();
    assert_eq!(
        dropped(engine) - before,
        u64::from(count),
        "a packet missed its policy"
    );
    elapsed.as_secs_f64() * 1e9 / f64::from(count)
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
    };
    let local = match kind {
        Policies::Mixed if n % 8 < 4 => {
            TrafficSelector::new(network(0xc0a8_0000, 16), 17, Ports::Any).unwrap()
        }
        _ => any,
    };
    Change::AddPolicy(PolicyConfig {
        id: PolicyId(n),
        priority: 0,
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
    let by_port = match kind {
        Policies::PortsAndClasses => true,
        Policies::Mixed => n % 4 == 3,
        Policies::Hosts | Policies::Networks => false,
    };
    let (port, class) = if by_port {
        port_and_class_of(n)
    } else {
        (53, 0)
    };
    let destination = if by_port { 0x0a01_0203 } else { remote(n) };
    let [d0, d1] = port.to_be_bytes();
    let [_, s, s0, s1] = flow.to_be_bytes();
    let mut frame = vec![0; 10];
    frame.extend_from_slice(&[0x45, class, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 168, 0, s]);
    frame.extend_from_slice(&destination.to_be_bytes());
    frame.extend_from_slice(&[s0, s1, d0, d1, 0, 8, 0, 0]);
    frame
}
