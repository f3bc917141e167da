//! What an SA costs in memory, as the C library counts what it gave out: Rust's structures and the keys
//! that the library of ciphers prepares. (It is here because to ask it is `unsafe`.)
#![cfg(target_env = "gnu")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use perilune_engine::{
    Action, AesKeyBits, Change, Direction, Encapsulation, Engine, IcmpErrors, Instant, Keys,
    Lifetimes, Lookup, Mode, Path, PolicyConfig, PolicyId, Populate, Ports, Processing, SaConfig,
    SelectorPair, SequenceState, Suite, TrafficSelector,
};

const NOW: Instant = Instant(1);
const SUITE: Suite = Suite::aes_gcm_16(AesKeyBits::Bits256);
/// As full as tables of 100,000 are, each of which is larger by a power of two.
const COUNT: u32 = 12_500;
const CHUNK: usize = 500;
const MOST_OCTETS: usize = 1024;

#[test]
fn an_sa_takes_at_most_a_kibibyte() {
    let engine = Engine::new();
    let policies = added(&engine, policy);
    let outbound = added(&engine, |n| sa(Direction::Outbound, n));
    let inbound = added(&engine, |n| sa(Direction::Inbound, n));
    println!("octets of a policy {policies}, an outbound SA {outbound}, an inbound SA {inbound}");
    assert!(
        outbound.max(inbound) <= MOST_OCTETS,
        "{outbound}, {inbound}"
    );
}

/// Octets that one of [`COUNT`] changes takes.
fn added(engine: &Engine, change: impl Fn(u32) -> Change) -> usize {
    let before = allocated_octets();
    let numbers: Vec<u32> = (0..COUNT).collect();
    for chunk in numbers.chunks(CHUNK) {
        let changes: Vec<_> = chunk.iter().copied().map(&change).collect();
        engine.apply(&changes, NOW).unwrap();
    }
    drop(numbers);
    // What transactions have replaced.
    drop(engine.take_events(0));
    (allocated_octets() - before) / usize::try_from(COUNT).unwrap()
}

fn allocated_octets() -> usize {
    // SAFETY: it reads counters of the C library's and has no arguments.
    let counters = unsafe { libc::mallinfo2() };
    counters.uordblks + counters.hblkhd
}

fn policy(n: u32) -> Change {
    Change::AddPolicy(PolicyConfig {
        id: PolicyId(n),
        priority: 0,
        action: Action::Protect,
        selectors: selectors(n),
        direction: None,
        populate: Populate::default(),
        hold: false,
        icmp_errors: IcmpErrors::default(),
    })
}

fn sa(direction: Direction, n: u32) -> Change {
    Change::AddSa(Box::new(SaConfig {
        spi: 0x1000 + n,
        direction,
        policy: PolicyId(n),
        peer_spi: 0x1000 + n,
        path: Path {
            local: SocketAddr::from(([192, 0, 2, 1], 4500)),
            remote: (Ipv4Addr::from_bits(0xc633_0000 + n), 4500).into(),
        },
        encapsulation: Encapsulation::Udp,
        processing: Processing::of(Mode::Tunnel),
        lookup: Lookup::Spi,
        within: None,
        suite: SUITE,
        allow_insecure: false,
        keys: Keys::new(vec![7; SUITE.encryption_key_octets()], Vec::new()),
        esn: true,
        replay_window: 64,
        selectors: selectors(n),
        stateful_fragments: false,
        lifetimes: Lifetimes::default(),
        ready_after: None,
        sequence: SequenceState::default(),
    }))
}

/// Between one host and the network of a number.
fn selectors(n: u32) -> SelectorPair {
    let network = |base: u32, last: u32| {
        let addresses: std::ops::RangeInclusive<IpAddr> =
            Ipv4Addr::from_bits(base).into()..=Ipv4Addr::from_bits(base | last).into();
        vec![TrafficSelector::new(addresses, 0, Ports::Any).unwrap()]
    };
    SelectorPair::new(
        network(0xc0a8_0001, 0),
        network(0x1400_0000 + (n << 8), 0xff),
    )
}
