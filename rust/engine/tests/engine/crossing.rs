//! Packets that cross the boundary more than once, and which entry's SA takes them (RFC 4301, sections
//! 4.4.2, 5.1 and 5.2, and appendix E).

use std::net::{IpAddr, SocketAddr};

use crate::common::ends::*;
use crate::common::*;
use perilune_engine::*;
use perilune_wire::segment::Superpacket;

const ESP: u8 = 50;
const ICMP: u8 = 1;

fn one(address: IpAddr, protocol: u8, ports: Ports) -> TrafficSelector {
    TrafficSelector::new(address..=address, protocol, ports).unwrap()
}

fn between(local: IpAddr, remote: IpAddr, protocols: &[u8]) -> SelectorPair {
    let side = |address| {
        protocols
            .iter()
            .map(move |protocol| one(address, *protocol, Ports::Any))
    };
    SelectorPair::new(side(local).collect(), side(remote).collect())
}

fn path_to(remote: IpAddr) -> Path {
    Path {
        local: SocketAddr::new(end(false, 1), 4500),
        remote: SocketAddr::new(remote, 4500),
    }
}

fn comes_in(engine: &Engine, packet: &[u8]) -> bool {
    let frame = [&[0; VIRTIO], packet].concat();
    let packet = Superpacket::parse(&frame).unwrap();
    engine.inbound_clear(&mut engine.inbound_worker(), &packet, NOW)
}

/// What leaves for a packet: sealed, or in the clear.
fn goes_out(engine: &Engine, packet: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let frame = [&[0; VIRTIO], packet].concat();
    let mut batch = SealedBatch::with_capacity(0);
    let mut worker = engine.outbound_worker();
    let progress = engine.seal(&mut worker, &frame, NOW, &mut batch);
    assert_eq!(progress, Progress::Done);
    let bypass = batch.bypass().map(<[u8]>::to_vec).collect();
    (batch.to_packets(), bypass)
}

/// A's SPD of appendix E, its first rule last: a laptop A, a firewall B and a server C behind that.
fn laptop() -> (Engine, Change) {
    let (a, b, c) = (end(false, 1), end(false, 2), end(false, 3));
    let entries = [
        policy(1, Action::Bypass, between(c, a, &[ESP])),
        policy(2, Action::Protect, between(a, c, &[ICMP, ESP])),
        policy(3, Action::Protect, between(a, c, &[0])),
    ];
    let outbound = |spi, policy, mode, remote, selectors| {
        let sa = SaConfig {
            spi,
            policy: PolicyId(policy),
            path: path_to(remote),
            selectors,
            ..sa(mode)
        };
        add(sa)
    };
    let engine = Engine::new();
    let [loops_back, of_tunnel, of_server] = entries;
    let changes = [
        outbound(0x2002, 2, Mode::Tunnel, b, of_tunnel.selectors.clone()),
        outbound(0x3003, 3, Mode::Transport, c, of_server.selectors.clone()),
    ];
    let entries = [of_tunnel, of_server].map(Change::AddPolicy);
    engine.apply(&entries, NOW).unwrap();
    engine.apply(&changes, NOW).unwrap();
    (engine, Change::AddPolicy(loops_back))
}

/// Destination and SPI of ESP without UDP.
fn way_of(packet: &[u8]) -> (u8, u32) {
    let spi = u32::from_be_bytes(*packet[20..].first_chunk().unwrap());
    assert_eq!(packet[9], ESP);
    (packet[19], spi)
}

// covers R4301-5.1-3
#[test]
fn what_is_passed_back_for_more_protection_needs_an_entry_that_lets_it_in() {
    let (laptop, loops_back) = laptop();
    let packet = datagram(end(false, 1), end(false, 3), 0, b"to the server");
    let (sealed, _) = goes_out(&laptop, &packet);
    assert_eq!(way_of(&sealed[0]), (3, 0x3003));
    assert!(!comes_in(&laptop, &sealed[0]));
    assert_eq!(drops(&laptop, DropReason::NoPolicy), 1);
    laptop.apply(&[loops_back], NOW).unwrap();
    assert!(comes_in(&laptop, &sealed[0]));
    let (twice, _) = goes_out(&laptop, &sealed[0]);
    assert_eq!(way_of(&twice[0]), (2, 0x2002));
}

// covers R4301-5.2-9
#[test]
fn what_was_let_in_and_goes_on_outside_needs_an_entry_that_lets_it_out() {
    let engine = Engine::new();
    let (a, c) = (end(false, 1), end(false, 3));
    let inward = PolicyConfig {
        direction: Some(Direction::Inbound),
        ..policy(1, Action::Bypass, between(a, c, &[0]))
    };
    engine.apply(&[Change::AddPolicy(inward)], NOW).unwrap();
    let from_server = datagram(c, a, 0, b"to the laptop");
    assert!(comes_in(&engine, &from_server));
    assert_eq!(goes_out(&engine, &from_server), (vec![], vec![]));
    assert_eq!(drops(&engine, DropReason::NoPolicy), 1);
    let outward = PolicyConfig {
        direction: Some(Direction::Outbound),
        ..policy(2, Action::Bypass, between(c, a, &[0]))
    };
    engine.apply(&[Change::AddPolicy(outward)], NOW).unwrap();
    assert_eq!(goes_out(&engine, &from_server), (vec![], vec![from_server]));
}

// covers R4301-5.2-2
#[test]
fn ike_is_let_by_where_an_entry_says_so() {
    let (a, b) = (end(false, 1), end(false, 2));
    for port in [500u16, 4500] {
        let mut arrives = datagram(b, a, 0, &[0; 32]);
        arrives[22..24].copy_from_slice(&port.to_be_bytes());
        let mut leaves = datagram(a, b, 0, &[0; 32]);
        leaves[20..22].copy_from_slice(&port.to_be_bytes());
        let engine = Engine::new();
        assert!(!comes_in(&engine, &arrives));
        assert_eq!(goes_out(&engine, &leaves), (vec![], vec![]));
        assert_eq!(drops(&engine, DropReason::NoPolicy), 2);
        let ike = SelectorPair::new(
            vec![one(a, 17, Ports::Range(port, port))],
            vec![one(b, 17, Ports::Any)],
        );
        let entry = policy(1, Action::Bypass, ike);
        engine.apply(&[Change::AddPolicy(entry)], NOW).unwrap();
        assert!(comes_in(&engine, &arrives));
        assert_eq!(goes_out(&engine, &leaves), (vec![], vec![leaves]));
    }
}

// covers R4301-4.4.2-2
#[test]
fn an_sa_carries_packets_of_its_own_entry_whatever_others_would_select() {
    let engine = Engine::new();
    let (a, b) = (end(false, 1), end(false, 2));
    let dns = SelectorPair::new(
        vec![one(a, 17, Ports::Any)],
        vec![one(b, 17, Ports::Range(53, 53))],
    );
    let of_entry = |policy, spi| SaConfig {
        spi,
        policy: PolicyId(policy),
        path: path_to(b),
        selectors: between(a, b, &[0]),
        ..sa(Mode::Tunnel)
    };
    let entries = [
        policy(1, Action::Protect, dns),
        policy(2, Action::Protect, between(a, b, &[0])),
    ];
    engine.apply(&entries.map(Change::AddPolicy), NOW).unwrap();
    let packet = datagram(a, b, 0, b"a question");
    engine.apply(&[add(of_entry(2, 0x2002))], NOW).unwrap();
    assert_eq!(goes_out(&engine, &packet), (vec![], vec![]));
    let asked = engine.take_events(9);
    assert!(
        matches!(
            asked[..],
            [Event::Acquire {
                policy: PolicyId(1),
                ..
            }]
        ),
        "{asked:?}"
    );
    engine.apply(&[add(of_entry(1, 0x1001))], NOW).unwrap();
    engine.apply(&[add(of_entry(2, 0x2003))], NOW).unwrap();
    let (sealed, _) = goes_out(&engine, &packet);
    assert_eq!(way_of(&sealed[0]).1, 0x1001);
}
