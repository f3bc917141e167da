use super::*;
use crate::change::{
    Change, Direction, Lifetimes, PolicyConfig, PolicyId, SaConfig, SequenceState,
};
use crate::icmp_errors::IcmpErrors;
use crate::path::{Encapsulation, Path};
use crate::populate::Populate;
use crate::processing::{Lookup, Mode, Processing};
use crate::selector::{Ports, SelectorPair, TrafficSelector};
use crate::suite::{Keys, Suite};

const NOW: Instant = Instant(7);
const POLICY: PolicyId = PolicyId(1);

fn everything() -> SelectorPair {
    let all = "0.0.0.0".parse().unwrap()..="255.255.255.255".parse().unwrap();
    let all = vec![TrafficSelector::new(all, 0, Ports::Any).unwrap()];
    SelectorPair::new(all.clone(), all)
}

fn add_sa(engine: &Engine) {
    let address = "192.0.2.1:4500".parse().unwrap();
    let sa = SaConfig {
        spi: 0x1000,
        direction: Direction::Outbound,
        policy: POLICY,
        peer_spi: 0x2000,
        path: Path {
            local: address,
            remote: address,
        },
        encapsulation: Encapsulation::Udp,
        processing: Processing::of(Mode::Tunnel),
        lookup: Lookup::Spi,
        within: None,
        suite: Suite::chacha20_poly1305(),
        allow_insecure: false,
        keys: Keys::new(vec![1; 36], vec![]),
        esn: false,
        replay_window: 0,
        selectors: everything(),
        stateful_fragments: false,
        lifetimes: Lifetimes::default(),
        ready_after: None,
        sequence: SequenceState::default(),
    };
    engine.apply(&[Change::AddSa(Box::new(sa))], NOW).unwrap();
}

fn engine() -> Engine {
    let engine = Engine::new();
    let (action, selectors) = (Action::Protect, everything());
    let policy = PolicyConfig {
        id: POLICY,
        priority: 0,
        action,
        selectors,
        direction: None,
        populate: Populate::default(),
        hold: true,
        icmp_errors: IcmpErrors::default(),
    };
    engine.apply(&[Change::AddPolicy(policy)], NOW).unwrap();
    engine
}

fn frame() -> Vec<u8> {
    let packet = [
        0x45, 0, 0, 20, 0, 0, 0, 0, 64, 47, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    [[0; 10].as_slice(), &packet].concat()
}

// covers R4303-3.3.3-1
// covers R4302-3.3.2-1
// covers R4302-2.5-1
//= https://www.rfc-editor.org/rfc/rfc4303#section-3.3.3
//= type=test
//# the sender MUST NOT send a packet on an SA if doing so would cause the sequence number
//# to cycle.
#[test]
fn the_last_sequence_number_ends_the_sa() {
    let engine = engine();
    add_sa(&engine);
    let mut worker = engine.outbound_worker();
    let mut out = SealedBatch::with_capacity(0);
    let tables = worker.tables.load();
    tables
        .spd
        .entry(0)
        .unwrap()
        .sas
        .get(0)
        .unwrap()
        .sa
        .sequence
        .skip_to(u64::from(u32::MAX) - 1);
    assert_eq!(
        engine.seal(&mut worker, &frame(), NOW, &mut out),
        Progress::Done
    );
    assert_eq!(out.runs().len(), 1);
    let exhausted = Event::SequenceExhausted {
        spi: 0x1000,
        peer_spi: 0x2000,
        policy: POLICY,
    };
    assert_eq!(engine.take_events(9), [exhausted]);
    out.clear();
    assert_eq!(
        engine.seal(&mut worker, &frame(), NOW, &mut out),
        Progress::Done
    );
    assert!(out.is_empty());
    assert!(matches!(
        engine.take_events(9)[..],
        [Event::Acquire { policy: POLICY, .. }]
    ));
}

#[test]
fn an_sa_that_comes_while_a_packet_is_put_on_hold_frees_it() {
    let engine = engine();
    let frame = frame();
    let packet = Superpacket::parse(&frame).unwrap();
    let outgoing = Outgoing {
        frame: &frame,
        packet,
        from: 0,
        was_held: false,
        now: NOW,
    };
    let mut worker = engine.outbound_worker();
    let before = Tables::clone(worker.tables.load());
    add_sa(&engine);
    let policy = before.spd.entry(0).unwrap();
    assert_eq!(
        engine.wait_for_sa(
            policy,
            outgoing.packet.ip().flow,
            &outgoing,
            before.generation
        ),
        Flow::Continue(())
    );
    assert!(engine.has_released(&worker));
    let mut out = SealedBatch::with_capacity(0);
    assert_eq!(
        engine.release_held(&mut worker, NOW, &mut out),
        Progress::Done
    );
    assert_eq!(out.runs().len(), 1);
}

/// One entry for a user, behind it one that lets everybody else by.
fn engine_for(user: u32) -> Engine {
    let engine = Engine::new();
    let mut selectors = everything();
    selectors.conditions.user = Some(user);
    let policy = |id, action, selectors| {
        Change::AddPolicy(PolicyConfig {
            id: PolicyId(id),
            priority: id,
            action,
            selectors,
            direction: None,
            populate: Populate::default(),
            hold: true,
            icmp_errors: IcmpErrors::default(),
        })
    };
    let changes = [
        policy(POLICY.0, Action::Protect, selectors),
        policy(2, Action::Bypass, everything()),
    ];
    engine.apply(&changes, NOW).unwrap();
    engine
}

/// How many packets of a user were sealed and how many let by.
fn sent(engine: &Engine, worker: &mut OutboundWorker, user: Option<u32>) -> (usize, usize) {
    let mut out = SealedBatch::with_capacity(0);
    let progress = engine.seal_of(user, worker, &frame(), NOW, &mut out);
    assert_eq!(progress, Progress::Done);
    (out.runs().len(), out.bypass().count())
}

#[test]
fn the_sa_of_a_user_is_nobody_else_s() {
    let engine = engine_for(1000);
    add_sa(&engine);
    let mut worker = engine.outbound_worker();
    // Twice, as the second time the flow is known.
    for _ in 0..2 {
        assert_eq!(sent(&engine, &mut worker, Some(1000)), (1, 0));
        for other in [Some(1001), Some(0), None] {
            assert_eq!(sent(&engine, &mut worker, other), (0, 1));
        }
    }
}

#[test]
fn a_packet_that_waits_for_its_sa_stays_its_user_s() {
    let engine = engine_for(1000);
    let mut worker = engine.outbound_worker();
    assert_eq!(sent(&engine, &mut worker, Some(1000)), (0, 0));
    assert_eq!(sent(&engine, &mut worker, Some(1001)), (0, 1));
    add_sa(&engine);
    let mut out = SealedBatch::with_capacity(0);
    let progress = engine.release_held(&mut worker, NOW, &mut out);
    assert_eq!(progress, Progress::Done);
    assert_eq!((out.runs().len(), out.bypass().count()), (1, 0));
}
