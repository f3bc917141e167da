//! Who is at the ends of an SA: hosts and gateways, and what each may send through it (RFC 4301,
//! sections 3.1 and 4.1).

use crate::common::ends::*;
use crate::common::*;
use perilune_engine::*;

/// The packet from an end, or from a host behind it, to the other end or a host behind that.
fn between(ipv6: bool, from_end: bool, to_end: bool) -> Vec<u8> {
    let at = |is_end: bool, side| {
        if is_end {
            end(ipv6, side)
        } else {
            host(ipv6, side)
        }
    };
    datagram(at(from_end, 1), at(to_end, 2), 0, b"whose?")
}

/// Protocol 50 behind addresses of the ends.
fn is_esp_between_ends(ipv6: bool, sealed: &[u8]) -> bool {
    let outline = perilune_wire::ip::parse(sealed).unwrap();
    let ends = (end(ipv6, 1), end(ipv6, 2));
    outline.flow.protocol() == 50 && (outline.flow.source(), outline.flow.destination()) == ends
}

// covers R4301-3.1-1
#[test]
fn hosts_and_gateways_reach_each_other() {
    for mode in [Mode::Tunnel, Mode::Any] {
        for ipv6 in [false, true] {
            // Host and host, gateway and gateway, one of each; one and the same SA for all.
            let ends = Ends::new(&[sa(mode)], ipv6);
            for (from_end, to_end) in [(true, true), (false, false), (true, false), (false, true)] {
                let packet = between(ipv6, from_end, to_end);
                let sealed = ends.seal(&packet).remove(0);
                assert!(is_esp_between_ends(ipv6, &sealed));
                assert_eq!(
                    ends.open(&sealed),
                    [packet],
                    "{mode:?}, {from_end}, {to_end}"
                );
            }
        }
    }
}

// covers R4301-4.1-9
#[test]
fn what_hosts_behind_a_gateway_say_goes_in_tunnel_mode_alone() {
    for ipv6 in [false, true] {
        let (own, forwarded) = (between(ipv6, true, true), between(ipv6, false, false));
        let transport = Ends::new(&[sa(Mode::Transport)], ipv6);
        assert_eq!(transport.open(&transport.seal(&own)[0])[0], own);
        assert!(transport.seal(&forwarded).is_empty());
        assert_eq!(drops(&transport.sender, DropReason::NotOurOwn), 1);
        let any = Ends::new(&[sa(Mode::Any)], ipv6);
        let (own, forwarded) = (any.seal(&own).remove(0), any.seal(&forwarded).remove(0));
        assert!(is_esp_between_ends(ipv6, &forwarded));
        let outer = if ipv6 { 40 } else { 20 };
        assert_eq!(
            forwarded.len() - own.len(),
            outer,
            "with a header of its own"
        );
    }
}

// covers R4301-4.1-11
#[test]
fn in_transport_mode_source_and_destination_are_the_systems_own() {
    for ipv6 in [false, true] {
        let ends = Ends::new(&[sa(Mode::Transport)], ipv6);
        // Whether the peer's is its own is for the peer to know.
        for (to_end, is_opened) in [(true, 1), (false, 0)] {
            let sealed = ends.seal(&between(ipv6, true, to_end));
            assert_eq!(ends.open(&sealed[0]).len(), is_opened);
        }
        assert_eq!(drops(&ends.receiver, DropReason::NotOurOwn), 1);
        assert!(ends.seal(&between(ipv6, false, true)).is_empty());
    }
}

/// An SA for some DSCP values among several of the same selectors.
fn class_sa(mode: Mode, spi: u32, dscp: u8) -> SaConfig {
    let mut sa = SaConfig { spi, ..sa(mode) };
    sa.selectors.conditions.tos = Some(Masked {
        value: dscp << 2,
        mask: 0xfc,
    });
    sa
}

// covers R4301-4.1-5
// covers R4301-4.4.1.2-6
#[test]
fn each_class_of_traffic_has_its_sa_and_none_waits_for_another() {
    for mode in [Mode::Transport, Mode::Tunnel] {
        let classes = [(0x3000, 0), (0x3001, 10), (0x3002, 46)];
        let sas = classes.map(|(spi, dscp)| class_sa(mode, spi, dscp));
        let ends = Ends::new(&sas, false);
        let packet = |dscp: u8| datagram(end(false, 1), end(false, 2), dscp << 2, b"in its class");
        let mut slow = Vec::new();
        for _ in 0..200 {
            // What is not urgent is overtaken by far more than a window of what is.
            slow.extend([0, 10].map(|dscp| (dscp, ends.seal(&packet(dscp)).remove(0))));
            let urgent = ends.seal(&packet(46)).remove(0);
            assert_eq!(ends.open(&urgent), [packet(46)]);
        }
        for (dscp, sealed) in slow {
            assert_eq!(ends.open(&sealed), [packet(dscp)], "{mode:?}");
        }
        let carried: Vec<_> = ends
            .receiver
            .stats()
            .sas
            .iter()
            .map(|sa| sa.packets)
            .collect();
        assert_eq!(carried, [200; 3]);
    }
}

// covers R4301-4.4.2.1-4
#[test]
fn ends_whose_counters_differ_go_on_and_each_ends_by_its_own() {
    let limit = |packets| Lifetimes {
        hard: Limits {
            packets: Some(packets),
            ..Limits::default()
        },
        ..Lifetimes::default()
    };
    let mut sa = sa(Mode::Tunnel);
    sa.lifetimes = limit(20);
    let ends = Ends::new(&[sa], false);
    let counted = |engine: &Engine| engine.stats().sas[0].packets;
    let packet = between(false, false, false);
    for number in 0..20 {
        let sealed = ends.seal(&packet).remove(0);
        if number % 3 != 0 {
            assert_eq!(ends.open(&sealed), std::slice::from_ref(&packet));
        }
    }
    assert_eq!((counted(&ends.sender), counted(&ends.receiver)), (20, 13));
    assert!(ends.seal(&packet).is_empty(), "20 were sent");
    let is_expired = |engine: &Engine| engine.stats().sas[0].expired;
    assert!(is_expired(&ends.sender) && !is_expired(&ends.receiver));
}
