use super::*;
use perilune_wire::esp::EspHeader;

use crate::change::{
    Action, Change, Direction, Lifetimes, PolicyConfig, PolicyId, SaConfig, SequenceState,
};
use crate::icmp_errors::IcmpErrors;
use crate::path::Path;
use crate::populate::Populate;
use crate::processing::{Lookup, Mode, Processing};
use crate::selector::{Ports, SelectorPair, TrafficSelector};
use crate::suite::{Keys, Suite};
use crate::transform::Sequence;
use crate::transform::Transform;
use perilune_wire::esp::NEXT_HEADER_DUMMY;
use proptest::prelude::*;

proptest! {
    /// A peer that knows the key may still put anything inside.
    #[test]
    fn anything_authentic_can_be_inside(
        mut inner in prop::collection::vec(any::<u8>(), 2..200),
        next_header in prop_oneof![Just(4u8), Just(41), Just(59), any::<u8>()],
        padding in prop_oneof![3 => Just(0u8), 1 => any::<u8>()],
        version in prop_oneof![Just(0x45u8), Just(0x60), any::<u8>()],
    ) {
        inner[0] = version;
        let engine = engine();
        let mut packet = authentic(&inner, padding, next_header);
        let mut worker = engine.inbound_worker();
        let mut out = OpenedBatch::with_capacity(0);
        let progress = engine.open(&mut worker, &mut packet, &from(), NOW, &mut out);
        prop_assert_eq!(progress, Progress::Done);
        let dropped: u64 = engine.stats().drops.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(dropped, u64::from(out.is_empty()), "one verdict for each packet");
        prop_assert_eq!(engine.stats().sas[0].sequence, 1, "it was authentic");
    }
}

#[test]
fn dummies_vanish_without_blame() {
    let engine = engine();
    let mut packet = authentic(&[1, 2, 3], 0, NEXT_HEADER_DUMMY);
    let mut out = OpenedBatch::with_capacity(0);
    let progress = engine.open(
        &mut engine.inbound_worker(),
        &mut packet,
        &from(),
        NOW,
        &mut out,
    );
    assert_eq!((progress, out.is_empty()), (Progress::Done, true));
    let stats = engine.stats();
    assert!(stats.drops.contains(&(DropReason::DummyPacket, 1)));
    assert_eq!(stats.sas[0].errors, 0);
    assert!(!engine.has_events());
}

const NOW: Instant = Instant(7);
const SUITE: Suite = Suite::chacha20_poly1305();

fn keys() -> Keys {
    Keys::new(vec![1; 36], vec![])
}

fn from() -> PathInfo {
    let address = "192.0.2.1:4500".parse().unwrap();
    PathInfo {
        local: address,
        remote: address,
        encapsulated: true,
        traffic_class: 0,
        hop_limit: 0,
        flow_label: 0,
    }
}

/// The first packet of the SA, with this payload, pad length and next header.
fn authentic(payload: &[u8], padding: u8, next_header: u8) -> Vec<u8> {
    let transform = Transform::new(SUITE, &keys()).unwrap();
    let mut packet = vec![0; transform.layout().packet(payload.len())];
    packet[..8].copy_from_slice(
        &EspHeader {
            spi: 0x1000,
            sequence: 1,
        }
        .to_octets(),
    );
    packet[16..16 + payload.len()].copy_from_slice(payload);
    let end = packet.len() - 16;
    let filled = end - 18 - payload.len();
    for (octet, value) in packet[end - 2 - filled..].iter_mut().zip(1..).take(filled) {
        *octet = value;
    }
    packet[end - 2] = padding.max(u8::try_from(filled).unwrap());
    packet[end - 1] = next_header;
    transform
        .seal(
            &mut packet,
            Sequence {
                number: 1,
                esn: false,
            },
        )
        .unwrap();
    packet
}

fn engine() -> Engine {
    let engine = Engine::new();
    let range = |first: &str, last: &str| {
        let addresses = first.parse().unwrap()..=last.parse().unwrap();
        TrafficSelector::new(addresses, 0, Ports::Any).unwrap()
    };
    let all = vec![
        range("0.0.0.0", "255.255.255.255"),
        range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ];
    let selectors = SelectorPair::new(all.clone(), all);
    let (id, action) = (PolicyId(1), Action::Protect);
    let policy = PolicyConfig {
        id,
        priority: 0,
        action,
        selectors: selectors.clone(),
        direction: None,
        populate: Populate::default(),
        hold: true,
        icmp_errors: IcmpErrors::default(),
    };
    let path = Path {
        local: from().local,
        remote: from().remote,
    };
    let sa = SaConfig {
        spi: 0x1000,
        direction: Direction::Inbound,
        policy: id,
        peer_spi: 0x2000,
        path,
        encapsulation: Encapsulation::Udp,
        processing: Processing::of(Mode::Tunnel),
        lookup: Lookup::Spi,
        within: None,
        suite: SUITE,
        allow_insecure: false,
        keys: keys(),
        esn: false,
        replay_window: 32,
        selectors,
        stateful_fragments: false,
        lifetimes: Lifetimes::default(),
        ready_after: None,
        sequence: SequenceState::default(),
    };
    engine
        .apply(
            &[Change::AddPolicy(policy), Change::AddSa(Box::new(sa))],
            NOW,
        )
        .unwrap();
    engine
}
