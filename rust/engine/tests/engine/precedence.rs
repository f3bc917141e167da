//! What comes out of an SA is held against the whole SPD in its order (RFC 4301, section 4.4.1).

use crate::common::ends::*;
use crate::common::*;
use perilune_engine::*;
use std::net::SocketAddr;

/// An entry of gateway 2 about one host behind gateway 1, in another place than the tunnel's.
fn about_host(id: u32, priority: u32, action: Action) -> PolicyConfig {
    PolicyConfig {
        priority,
        ..policy(
            id,
            action,
            SelectorPair {
                remote: vec![selector("10.1.0.1-10.1.0.1", 0, Ports::Any)],
                ..nets(2, 1)
            },
        )
    }
}

/// Gateway 2 has the entry; whether the packet of that host still comes out of the tunnel.
fn passes(pair: &mut Pair, port: u16) -> bool {
    let packets = pair.seal(&udp(1, 2, port, &[0; 20]));
    assert_eq!(packets.len(), 1);
    pair.open(&packets).len() == 1
}

fn change(pair: &Pair, changes: &[Change]) {
    pair.b.apply(changes, NOW).unwrap();
}

// covers R4301-4.4.1-11
#[test]
fn an_earlier_entry_decides_about_what_an_sa_brings() {
    for action in [Action::Discard, Action::Bypass] {
        let mut pair = Pair::new(GCM);
        assert!(passes(&mut pair, 53));
        change(&pair, &[Change::AddPolicy(about_host(7, 0, action))]);
        assert!(!passes(&mut pair, 53), "{action:?}");
        assert_eq!(drops(&pair.b, DropReason::EarlierPolicy), 1);
        change(&pair, &[Change::AddPolicy(about_host(7, 9, action))]);
        assert!(passes(&mut pair, 53), "it comes later now");
    }
}

// covers R4301-4.4.1-11
#[test]
fn it_decides_in_every_mode() {
    for mode in [Mode::Any, Mode::Transport, Mode::Tunnel] {
        let mut sa = sa(mode);
        sa.processing.flow_label = 1;
        let ends = Ends::new(&[sa], false);
        let packet = datagram(end(false, 1), end(false, 2), 0, b"again");
        let sealed = [0, 1].map(|_| ends.seal(&packet).remove(0));
        assert_eq!(ends.open(&sealed[0]), [packet]);
        let first = policy(0, Action::Discard, everything());
        let changes = [Change::AddPolicy(first)];
        ends.receiver.apply(&changes, NOW).unwrap();
        assert!(ends.open(&sealed[1]).is_empty(), "{mode:?}");
        assert_eq!(drops(&ends.receiver, DropReason::EarlierPolicy), 1);
    }
}

// covers R4301-4.4.1-11
#[test]
fn a_peer_does_not_speak_for_those_of_another() {
    let mut pair = Pair::new(GCM);
    change(
        &pair,
        &[Change::AddPolicy(about_host(7, 0, Action::Protect))],
    );
    assert!(passes(&mut pair, 53), "nobody has an SA for that host");
    let sa_to = |peer| SaConfig {
        spi: 0x7000,
        policy: PolicyId(7),
        path: Path {
            local: address(2),
            remote: peer,
        },
        selectors: about_host(7, 0, Action::Protect).selectors,
        ..sa_ab(Direction::Outbound, GCM)
    };
    for (peer, is_passed) in [(address(9), false), (address(1), true)] {
        change(&pair, &[add(sa_to(peer))]);
        assert_eq!(passes(&mut pair, 53), is_passed, "{peer}");
        change(&pair, &[Change::RemoveSa(sa_to(peer).id())]);
    }
    let audits = pair.b.take_events(usize::MAX);
    let is_told = |event: &Event| {
        let ends: SocketAddr = address(1);
        matches!(event, Event::Audit { reason: DropReason::EarlierPolicy, source, .. } if *source == ends.ip())
    };
    assert!(audits.iter().any(is_told));
}

#[test]
fn two_ways_to_one_network_are_both_open() {
    // The tunnel's own entry is 1 in name and priority; of equal ones the lower name is tried first.
    for (priority, is_passed) in [(0, false), (1, true)] {
        let mut pair = Pair::new(GCM);
        let other_way = about_host(0, priority, Action::Protect);
        let sa = SaConfig {
            spi: 0x7000,
            policy: other_way.id,
            path: Path {
                local: address(2),
                remote: address(9),
            },
            selectors: other_way.selectors.clone(),
            ..sa_ab(Direction::Outbound, GCM)
        };
        change(&pair, &[Change::AddPolicy(other_way), add(sa)]);
        assert_eq!(passes(&mut pair, 53), is_passed, "priority {priority}");
    }
}

// covers R4301-4.4.1-11
#[test]
fn what_no_receiver_can_tell_decides_nothing() {
    let mut pair = Pair::new(GCM);
    let mut by_class = about_host(7, 0, Action::Discard);
    by_class.selectors.conditions.tos = Some(Masked {
        value: 0,
        mask: 0xfc,
    });
    let mut by_user = about_host(8, 0, Action::Discard);
    by_user.selectors.conditions.user = Some(1000);
    change(
        &pair,
        &[Change::AddPolicy(by_class), Change::AddPolicy(by_user)],
    );
    assert!(passes(&mut pair, 53));
}
