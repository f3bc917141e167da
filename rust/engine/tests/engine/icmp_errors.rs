//! ICMP errors through SAs, about packets of these and of others (RFC 4301, section 6.2).

use std::net::IpAddr;

use crate::common::ends::*;
use crate::common::*;
use perilune_engine::*;
use perilune_wire::checksum::Sum;
use perilune_wire::icmp::{Problem, write_error};
use proptest::prelude::*;

/// A router whose addresses no selector has.
fn router(ipv6: bool) -> IpAddr {
    let text = if ipv6 {
        "2001:db8:ffff::1"
    } else {
        "203.0.113.1"
    };
    text.parse().unwrap()
}

/// What a host says about a packet that did not arrive.
fn error(problem: Problem, about: &[u8], source: IpAddr) -> Vec<u8> {
    let mut error = vec![0; 1280];
    let octets = write_error(problem, about, source, &mut error).unwrap();
    error.truncate(octets);
    error
}

/// From a host behind the peer to one behind us, as its ICMP error here would quote it.
fn arrived(ipv6: bool) -> Vec<u8> {
    datagram(host(ipv6, 2), host(ipv6, 1), 0, b"never delivered")
}

fn policy_with(icmp_errors: IcmpErrors, selectors: SelectorPair) -> PolicyConfig {
    PolicyConfig {
        icmp_errors,
        ..policy(1, Action::Protect, selectors)
    }
}

/// Two gateways with an SA from site 1 to site 2 that carries what is between the sites, and an entry
/// behind that of the SA that carries nothing.
fn gateways(icmp_errors: IcmpErrors, last: Option<&PolicyConfig>) -> Ends {
    let ends = Ends {
        sender: Engine::new(),
        receiver: Engine::new(),
    };
    for (engine, direction, here, there) in [
        (&ends.sender, Direction::Outbound, 1, 2),
        (&ends.receiver, Direction::Inbound, 2, 1),
    ] {
        let mut sa = sa_ab(direction, GCM);
        sa.encapsulation = Encapsulation::None;
        let entry = policy_with(icmp_errors, nets(here, there));
        let last = last.cloned().map(Change::AddPolicy);
        let changes: Vec<_> = [Change::AddPolicy(entry), add(sa)]
            .into_iter()
            .chain(last)
            .collect();
        engine.apply(&changes, NOW).unwrap();
    }
    ends
}

// covers R4301-6.2-2
// covers R4301-6.2-3
#[test]
fn an_error_of_a_router_goes_with_the_answers_to_what_caused_it() {
    let drop_the_rest = policy(9, Action::Discard, everything());
    for last in [None, Some(&drop_the_rest)] {
        let ends = gateways(IcmpErrors::Related, last);
        for ipv6 in [false, true] {
            for problem in [
                Problem::Unreachable,
                Problem::Prohibited,
                Problem::PacketTooBig { mtu: 1300 },
            ] {
                let error = error(problem, &arrived(ipv6), router(ipv6));
                let sealed = ends.seal(&error);
                assert_eq!(sealed.len(), 1, "{problem:?}");
                assert_eq!(ends.open(&sealed[0]), [error], "{problem:?}");
            }
        }
        assert_eq!(all_drops(&ends.sender) + all_drops(&ends.receiver), 0);
    }
}

// covers R4301-6.2-2
#[test]
fn an_error_about_what_no_sa_answers_asks_for_no_sa_and_is_audited() {
    let ends = gateways(IcmpErrors::Related, None);
    let elsewhere = datagram("10.3.0.7".parse().unwrap(), host(false, 1), 0, b"");
    let about_elsewhere = error(Problem::Unreachable, &elsewhere, router(false));
    assert!(ends.seal(&about_elsewhere).is_empty());
    let id = SaId::new(Direction::Outbound, SPI_AB, path_ab());
    ends.sender.apply(&[Change::RemoveSa(id)], NOW).unwrap();
    let in_vain = error(Problem::Unreachable, &arrived(false), router(false));
    assert!(ends.seal(&in_vain).is_empty());
    let unrelated = DropReason::IcmpErrorUnrelated;
    assert_eq!(drops(&ends.sender, unrelated), 2);
    let events = ends.sender.take_events(9);
    let is_audit =
        |event: &Event| matches!(event, Event::Audit { reason, .. } if *reason == unrelated);
    assert!(
        events.len() == 2 && events.iter().all(is_audit),
        "{events:?}"
    );
}

// covers R4301-6.2-3
#[test]
fn each_error_of_a_bundle_is_asked_what_it_is_about() {
    let hostile = Ends::new(&[sa(Mode::Tunnel)], false).sender;
    let ends = Ends {
        sender: hostile,
        ..gateways(IcmpErrors::Related, None)
    };
    for (ipv6, foreign) in [(false, 1), (true, 2)] {
        let elsewhere = datagram(host(ipv6, 2), host(ipv6, 3), 0, b"never delivered");
        let errors = [arrived(ipv6), elsewhere]
            .map(|about| error(Problem::Unreachable, &about, router(ipv6)));
        let sealed = errors.each_ref().map(|error| ends.seal(error).remove(0));
        let esp = sealed.each_ref().map(|packet| &packet[20..]);
        let (mut worker, mut out) = (
            ends.receiver.inbound_worker(),
            OpenedBatch::with_capacity(0),
        );
        let (mut bundle, segment) = (esp.concat(), esp[0].len());
        let receiver = &ends.receiver;
        let progress =
            receiver.open_bundle(&mut worker, &mut bundle, segment, &from_a(), NOW, &mut out);
        assert_eq!(progress, Progress::Done);
        let opened: Vec<_> = out.frames().map(|frame| &frame[VIRTIO..]).collect();
        assert_eq!(opened, [&errors[0]]);
        assert_eq!(drops(&ends.receiver, DropReason::IcmpErrorForeign), foreign);
    }
}

#[test]
fn an_entry_that_names_icmp_means_it() {
    let icmp: Vec<_> = [(EVERYTHING[0], 1), (EVERYTHING[1], 58)]
        .map(|(range, protocol)| selector(range, protocol, Ports::Any))
        .into();
    let no_icmp = policy(9, Action::Discard, SelectorPair::new(icmp.clone(), icmp));
    let ends = gateways(IcmpErrors::Related, Some(&no_icmp));
    for ipv6 in [false, true] {
        let error = error(Problem::Unreachable, &arrived(ipv6), router(ipv6));
        assert!(ends.seal(&error).is_empty());
    }
    assert_eq!(drops(&ends.sender, DropReason::PolicyDiscard), 2);
}

/// An SA end that lets everything out, as a peer does that has the keys and means harm.
fn hostile_peer(to: &Ends) -> Ends {
    let mut sa = sa(Mode::Tunnel);
    sa.selectors = everything();
    let Ends { sender, .. } = Ends::new(&[sa], false);
    let receiver = Engine::new();
    let entry = policy_with(IcmpErrors::Related, nets(2, 1));
    let mut inbound = sa_ab(Direction::Inbound, GCM);
    inbound.encapsulation = Encapsulation::None;
    receiver
        .apply(&[Change::AddPolicy(entry), add(inbound)], NOW)
        .unwrap();
    assert_eq!(to.receiver.stats().sas.len(), 1);
    Ends { sender, receiver }
}

// covers R4301-6.2-3
// covers R4301-6.2-4
// covers R4301-6.2-5
#[test]
fn an_error_about_other_traffic_is_not_forwarded() {
    let ends = hostile_peer(&gateways(IcmpErrors::Related, None));
    let ours = |there: &str| datagram(host(false, 2), there.parse().unwrap(), 0, b"out");
    let from_router = |about: &[u8]| error(Problem::Unreachable, about, router(false));
    let genuine = from_router(&ours("10.1.0.7"));
    let of_another_peer = from_router(&ours("198.51.100.1"));
    let mut to_a_neighbour = genuine.clone();
    to_a_neighbour[19] = 99;
    perilune_wire::ip::set_length(&mut to_a_neighbour).unwrap();
    let mut damaged = genuine.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let redirect = with_type(&genuine, 5);
    let echo = with_type(&genuine, 8);
    for hostile in [of_another_peer, to_a_neighbour, damaged, redirect] {
        assert!(ends.open(&ends.seal(&hostile)[0]).is_empty());
        let foreign = DropReason::IcmpErrorForeign;
        assert_eq!(audited(&ends.receiver), [foreign]);
    }
    assert!(ends.open(&ends.seal(&echo)[0]).is_empty());
    assert_eq!(audited(&ends.receiver), [DropReason::SelectorMismatch]);
    assert_eq!(ends.open(&ends.seal(&genuine)[0]), [genuine]);
}

/// The same IPv4 message as one of another type, its checksum right.
fn with_type(error: &[u8], kind: u8) -> Vec<u8> {
    let mut changed = error.to_vec();
    changed[20] = kind;
    changed[22..24].fill(0);
    let checksum = Sum::default().with(&changed[20..]).checksum();
    changed[22..24].copy_from_slice(&checksum);
    changed
}

// covers R4301-6.2-1
#[test]
fn errors_that_selectors_select_are_looked_into_where_that_is_asked_for() {
    let about_another_peer = {
        let out = datagram(host(false, 2), "198.51.100.1".parse().unwrap(), 0, b"out");
        error(Problem::Unreachable, &out, host(false, 1))
    };
    let genuine = {
        let out = datagram(host(false, 2), host(false, 1), 0, b"out");
        error(Problem::Unreachable, &out, host(false, 1))
    };
    let of_a_router = error(Problem::Unreachable, &arrived(false), router(false));
    for (carried, other_passes, router_passes) in [
        (IcmpErrors::Checked, false, true),
        (IcmpErrors::Related, true, true),
        (IcmpErrors::Selected, true, false),
    ] {
        let ends = gateways(carried, None);
        let passes = |packet: &Vec<u8>| {
            let sealed = ends.seal(packet);
            sealed.iter().any(|packet| !ends.open(packet).is_empty())
        };
        assert!(passes(&genuine), "{carried:?}");
        assert_eq!(passes(&about_another_peer), other_passes, "{carried:?}");
        assert_eq!(passes(&of_a_router), router_passes, "{carried:?}");
    }
}

#[test]
fn an_entry_that_changes_is_the_one_that_its_sas_are_checked_by() {
    let ends = gateways(IcmpErrors::Related, None);
    let of_a_router = error(Problem::Unreachable, &arrived(false), router(false));
    let sealed: Vec<_> = (0..2).flat_map(|_| ends.seal(&of_a_router)).collect();
    assert_eq!(ends.open(&sealed[0]).len(), 1);
    let changed = policy_with(IcmpErrors::Selected, nets(2, 1));
    let change = Change::AddPolicy(changed);
    ends.receiver.apply(&[change], NOW).unwrap();
    assert!(ends.open(&sealed[1]).is_empty());
    assert_eq!(drops(&ends.receiver, DropReason::SelectorMismatch), 1);
}

// covers R4301-6.2-5
#[test]
fn an_error_from_inside_a_tunnel_changes_no_path() {
    let ends = gateways(IcmpErrors::Related, None);
    let out = sa_ab(Direction::Outbound, GCM);
    let back = SaConfig {
        spi: SPI_BA,
        path: path_ba(),
        selectors: nets(2, 1),
        ..out
    };
    ends.receiver.apply(&[add(back)], NOW).unwrap();
    let problem = Problem::PacketTooBig { mtu: 600 };
    let too_big = error(problem, &arrived(false), router(false));
    assert_eq!(ends.open(&ends.seal(&too_big)[0]), [too_big]);
    let stats = ends.receiver.stats();
    assert!(stats.sas.iter().all(|sa| sa.path_mtu.is_none()));
}

proptest! {
    /// What a peer with the keys puts inside an ICMP error reaches nobody but the sender of what is
    /// quoted, and only where the SA's selectors have that.
    #[test]
    fn whatever_is_quoted_the_error_goes_to_hosts_of_the_sa(
        payload in prop::collection::vec(any::<u8>(), 0..40),
        change in proptest::option::of((0usize..28, any::<u8>())),
        to_sender: bool,
        destination: [u8; 4],
    ) {
        let ends = hostile_peer(&gateways(IcmpErrors::Related, None));
        let mut about = datagram(host(false, 2), host(false, 1), 0, &payload);
        if let Some((octet, value)) = change {
            about[octet] = value;
        }
        let to = if to_sender { about[12..16].first_chunk().copied().unwrap() } else { destination };
        let mut packet = datagram(router(false), to.into(), 0, &[]);
        packet[9] = 1;
        packet[20..28].copy_from_slice(&[3, 1, 0, 0, 0, 0, 0, 0]);
        packet.extend_from_slice(&about);
        perilune_wire::ip::set_length(&mut packet).unwrap();
        let opened = ends.open(&ends.seal(&with_type(&packet, 3))[0]);
        let is_genuine = change.is_none() && to_sender;
        prop_assert!(!is_genuine || opened.len() == 1);
        for packet in opened {
            prop_assert_eq!(&packet[16..18], [10, 2]);
            prop_assert_eq!(&packet[40..42], [10, 2], "of whom we sent");
            prop_assert_eq!(&packet[44..46], [10, 1], "to the peer's site");
        }
    }
}
