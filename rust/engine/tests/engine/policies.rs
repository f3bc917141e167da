//! SPD entries of one direction, and SAs whose selectors come from packets.

use crate::common::*;
use perilune_engine::*;
use perilune_wire::segment::Superpacket;

fn engine_with(policies: &[PolicyConfig]) -> Engine {
    let engine = Engine::new();
    let changes: Vec<_> = policies.iter().cloned().map(Change::AddPolicy).collect();
    engine.apply(&changes, NOW).unwrap();
    engine
}

/// What the engine does with a packet from site 1 to site 2, and with one the other way in the clear.
fn passes(engine: &Engine) -> (bool, bool) {
    let (out, back) = (udp(1, 2, 53, &[]), udp(2, 1, 53, &[]));
    let (out, back) = (
        Superpacket::parse(&out).unwrap(),
        Superpacket::parse(&back).unwrap(),
    );
    let action = engine.outbound_action(&mut engine.outbound_worker(), &out, NOW);
    let comes_in = engine.inbound_clear(&mut engine.inbound_worker(), &back, NOW);
    (action == Some(Action::Bypass), comes_in)
}

// covers R4301-4.4.1-5
// covers R4301-4.4.1-7
#[test]
fn bypass_may_be_one_way() {
    let one_way = |direction| PolicyConfig {
        direction,
        ..policy(1, Action::Bypass, nets(1, 2))
    };
    assert_eq!(passes(&engine_with(&[one_way(None)])), (true, true));
    let out = engine_with(&[one_way(Some(Direction::Outbound))]);
    assert_eq!(passes(&out), (true, false));
    assert_eq!(drops(&out, DropReason::NoPolicy), 1);
    let inward = engine_with(&[one_way(Some(Direction::Inbound))]);
    assert_eq!(passes(&inward), (false, true));
}

#[test]
fn an_earlier_entry_of_one_direction_does_not_hide_a_later_one_from_the_other() {
    let discard_in = PolicyConfig {
        direction: Some(Direction::Inbound),
        ..policy(1, Action::Discard, nets(1, 2))
    };
    let engine = engine_with(&[discard_in, policy(2, Action::Bypass, nets(1, 2))]);
    assert_eq!(passes(&engine), (true, false));
    assert_eq!(drops(&engine, DropReason::PolicyDiscard), 1);
}

#[test]
fn protection_is_not_one_way() {
    let change = Change::AddPolicy(PolicyConfig {
        direction: Some(Direction::Outbound),
        ..policy(1, Action::Protect, nets(1, 2))
    });
    let refused = Engine::new().apply(&[change], NOW);
    assert_eq!(refused, Err(EngineError::OneWay(PolicyId(1))));
}

/// The SA that the packet of an `Acquire` wants: for its destination alone.
fn populated_sa(spi: u32, flow: FlowKey) -> SaConfig {
    let host = TrafficSelector::new(flow.destination()..=flow.destination(), 0, Ports::Any);
    let sa = sa_ab(Direction::Outbound, GCM);
    SaConfig {
        spi,
        selectors: SelectorPair {
            remote: vec![host.unwrap()],
            ..nets(1, 2)
        },
        ..sa
    }
}

// covers R4301-4.4.1.2-2
#[test]
fn each_host_gets_an_sa_of_its_own_where_its_address_populates() {
    let each_host = PolicyConfig {
        populate: Populate {
            remote_address: true,
            ..Populate::default()
        },
        ..policy(1, Action::Protect, nets(1, 2))
    };
    let engine = engine_with(&[each_host]);
    let mut sealer = engine.outbound_worker();
    let mut out = SealedBatch::with_capacity(0);
    let to_host = |last| {
        let mut frame = udp(1, 2, 53, &[0; 20]);
        frame[VIRTIO + 19] = last;
        frame
    };
    for last in 1..=30 {
        let progress = engine.seal(&mut sealer, &to_host(last), NOW, &mut out);
        assert_eq!(progress, Progress::Done);
        assert_eq!(
            engine.seal(&mut sealer, &to_host(last), NOW, &mut out),
            Progress::Done
        );
    }
    let flows: Vec<_> = engine
        .take_events(99)
        .into_iter()
        .map(|event| match event {
            Event::Acquire { flow, .. } => flow,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(flows.len(), 30, "one for each host");
    assert_eq!(engine.stats().policies[0].held, 60);
    for (spi, flow) in (0x3000..).zip(&flows) {
        engine.apply(&[add(populated_sa(spi, *flow))], NOW).unwrap();
        assert!(engine.has_released(&sealer));
        let progress = engine.release_held(&mut sealer, NOW, &mut out);
        assert_eq!(progress, Progress::Done);
        let spis: Vec<_> = out
            .runs()
            .iter()
            .map(|run| out.octets(run)[..4].to_vec())
            .collect();
        assert!(!spis.is_empty());
        assert!(spis.iter().all(|octets| *octets == spi.to_be_bytes()));
        out.clear();
    }
    assert_eq!(engine.stats().policies[0].held, 0);
    let packets: Vec<_> = engine.stats().sas.iter().map(|sa| sa.packets).collect();
    assert_eq!(packets, [2; 30], "each SA carried the packets of its host");
}

// covers R4301-5.1-1
#[test]
fn a_packet_that_leaves_goes_where_its_entry_says_and_asks_for_an_sa_that_is_missing() {
    let to_port = |port, action| PolicyConfig {
        selectors: SelectorPair {
            remote: vec![selector(
                "10.2.0.0-10.2.255.255",
                17,
                Ports::Range(port, port),
            )],
            ..nets(1, 2)
        },
        ..policy(u32::from(port), action, nets(1, 2))
    };
    let engine = engine_with(&[
        to_port(1, Action::Bypass),
        to_port(2, Action::Discard),
        to_port(3, Action::Protect),
    ]);
    let mut sealer = engine.outbound_worker();
    let mut send = |port| {
        let mut out = SealedBatch::with_capacity(0);
        let done = engine.seal(&mut sealer, &udp(1, 2, port, &[0; 20]), NOW, &mut out);
        assert_eq!(done, Progress::Done);
        (out.bypass().count(), packets_of(&out).len())
    };
    // The first packet of a flow is looked up in the SPD, the second is found in the cache.
    for count in 1..=2 {
        assert_eq!(send(1), (1, 0));
        assert_eq!(send(2), (0, 0));
        assert_eq!(drops(&engine, DropReason::PolicyDiscard), count);
        assert_eq!(send(4), (0, 0));
        assert_eq!(drops(&engine, DropReason::NoPolicy), count);
    }
    assert!(events(&engine).is_empty(), "none of these needs an SA");
    assert_eq!(send(3), (0, 0));
    let asked = events(&engine);
    assert!(matches!(
        asked[..],
        [Event::Acquire {
            policy: PolicyId(3),
            ..
        }]
    ));
    let sa = SaConfig {
        policy: PolicyId(3),
        ..sa_ab(Direction::Outbound, GCM)
    };
    engine.apply(&[add(sa)], NOW).unwrap();
    for _ in 0..2 {
        assert_eq!(send(3), (0, 1));
    }
    assert!(events(&engine).is_empty());
}
