//! What the benchmarks of whole packets share: an engine with one SA, and frames for it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each benchmark is a program of its own and uses a part of this"
)]

use std::net::{Ipv4Addr, SocketAddr};

use perilune_engine::{
    Action, Change, Direction, Encapsulation, Engine, IcmpErrors, Instant, Keys, Lifetimes, Lookup,
    Mode, Path, PathInfo, PolicyConfig, PolicyId, Populate, Ports, Processing, SaConfig,
    SelectorPair, SequenceState, Suite, TrafficSelector,
};

/// Datagrams in a superpacket.
pub const SEGMENTS: usize = 40;
/// Octets of the headers of IPv4 and UDP.
const HEADERS: usize = 28;
/// Where [`superpacket`] and the first [`datagram`] go.
const DESTINATION: u32 = 0x0a00_0002;

pub const NOW: Instant = Instant(1);

/// Where the packets of [`engine`] come from, for the one that opens.
pub fn from() -> PathInfo {
    PathInfo {
        local: address(2),
        remote: address(1),
        encapsulated: true,
        traffic_class: 0,
        hop_limit: 0,
        flow_label: 0,
    }
}

/// One end of two that fit together, with so many policies and an SA for each.
///
/// A lone policy is for all packets; of several each is for [`datagram`] of its number.
pub fn engine(suite: Suite, direction: Direction, count: u32) -> Engine {
    let engine = Engine::new();
    let changes: Vec<_> = (0..count)
        .flat_map(|n| {
            let own = if count == 1 { any() } else { host(n) };
            let selectors = match direction {
                Direction::Outbound => SelectorPair::new(any(), own),
                Direction::Inbound => SelectorPair::new(own, any()),
            };
            [
                Change::AddPolicy(policy(n, selectors.clone())),
                Change::AddSa(Box::new(sa(n, suite, direction, selectors))),
            ]
        })
        .collect();
    engine.apply(&changes, NOW).unwrap();
    engine
}

fn policy(n: u32, selectors: SelectorPair) -> PolicyConfig {
    PolicyConfig {
        id: PolicyId(n),
        priority: 0,
        action: Action::Protect,
        selectors,
        direction: None,
        populate: Populate::default(),
        hold: false,
        icmp_errors: IcmpErrors::default(),
    }
}

fn sa(n: u32, suite: Suite, direction: Direction, selectors: SelectorPair) -> SaConfig {
    let (local, remote) = match direction {
        Direction::Outbound => (1, 2),
        Direction::Inbound => (2, 1),
    };
    SaConfig {
        spi: 0x1000 + n,
        direction,
        policy: PolicyId(n),
        peer_spi: 0x2_0000 + n,
        path: Path {
            local: address(local),
            remote: address(remote),
        },
        encapsulation: Encapsulation::Udp,
        processing: Processing::of(Mode::Tunnel),
        lookup: Lookup::Spi,
        within: None,
        suite,
        allow_insecure: false,
        keys: Keys::new(
            vec![1; suite.encryption_key_octets()],
            vec![2; suite.integrity_key_octets()],
        ),
        esn: true,
        replay_window: 1024,
        selectors,
        stateful_fragments: false,
        lifetimes: Lifetimes::default(),
        ready_after: None,
        sequence: SequenceState::default(),
    }
}

fn any() -> Vec<TrafficSelector> {
    let all = "0.0.0.0".parse().unwrap()..="255.255.255.255".parse().unwrap();
    vec![TrafficSelector::new(all, 0, Ports::Any).unwrap()]
}

fn host(n: u32) -> Vec<TrafficSelector> {
    let address = Ipv4Addr::from_bits(DESTINATION + n).into();
    vec![TrafficSelector::new(address..=address, 0, Ports::Any).unwrap()]
}

fn address(last: u8) -> SocketAddr {
    ([192, 0, 2, last], 4500).into()
}

/// A USO superpacket of the device whose segments are IPv4 packets of so many octets.
pub fn superpacket(octets: usize) -> Vec<u8> {
    let payload = octets - HEADERS;
    let mut frame = vec![1, 5];
    for field in [28, u16::try_from(payload).unwrap(), 20, 6] {
        frame.extend_from_slice(&field.to_ne_bytes());
    }
    append_packet(&mut frame, 0, payload * SEGMENTS);
    frame
}

/// One IPv4 packet of 64 octets in a frame of its own, for the policy of a number.
pub fn datagram(n: u32) -> Vec<u8> {
    let mut frame = vec![0; 10];
    append_packet(&mut frame, n, 64 - HEADERS);
    frame
}

fn append_packet(frame: &mut Vec<u8>, n: u32, payload: usize) {
    let total = u16::try_from(HEADERS + payload).unwrap();
    let [t0, t1] = total.to_be_bytes();
    let [l0, l1] = (total - 20).to_be_bytes();
    frame.extend_from_slice(&[0x45, 0, t0, t1, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1]);
    frame.extend_from_slice(&(DESTINATION + n).to_be_bytes());
    frame.extend_from_slice(&[1, 2, 3, 4, l0, l1, 0, 0]);
    frame.resize(frame.len() + payload, 0x5a);
}
