//! Packets that are larger than their path takes (RFC 4301, section 8).
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod common;

use common::ends::*;
use common::*;
use perilune_engine::*;
use perilune_wire::icmp::{IcmpError, Problem, write_error};
use proptest::prelude::*;

const PATH_MTU: u16 = 1000;

fn narrow(mode: Mode) -> SaConfig {
    let mut sa = sa(mode);
    sa.processing.path_mtu = Some(PATH_MTU);
    sa
}

fn large(ipv6: bool) -> Vec<u8> {
    datagram(host(ipv6, 1), host(ipv6, 2), 0, &[7; 1200])
}

fn with_df(mut packet: Vec<u8>) -> Vec<u8> {
    packet[6] |= 0x40;
    perilune_wire::ip::set_length(&mut packet).unwrap();
    packet
}

/// What the one ICMP error that the sender's engine made says.
fn told(ends: &Ends) -> u32 {
    let replies = ends.sender.take_replies();
    assert_eq!(replies.len(), 1);
    IcmpError::parse(&replies[0]).unwrap().mtu.unwrap()
}

// covers R4301-5.1-5
// covers R4301-8.2.1-5
// covers R4303-3.3.4-1
// covers R4301-8.2.1-1
#[test]
fn the_sender_of_what_may_not_be_cut_is_told_what_fits() {
    for packet in [with_df(large(false)), large(true)] {
        let mut sa = narrow(Mode::Tunnel);
        sa.processing.path_mtu = Some(1400);
        let ends = Ends::new(&[sa], false);
        let packet = if packet[0] >> 4 == 6 {
            datagram(host(true, 1), host(true, 2), 0, &[7; 1400])
        } else {
            with_df(datagram(host(false, 1), host(false, 2), 0, &[7; 1400]))
        };
        assert!(ends.seal(&packet).is_empty());
        assert_eq!(drops(&ends.sender, DropReason::PathMtuExceeded), 1);
        let mtu = usize::try_from(told(&ends)).unwrap();
        // The largest that fits fits, and one octet more does not.
        let header = packet.len() - 1400;
        let sized = |octets: usize| {
            let plain = if packet[0] >> 4 == 6 {
                datagram(host(true, 1), host(true, 2), 0, &vec![7; octets - header])
            } else {
                with_df(datagram(
                    host(false, 1),
                    host(false, 2),
                    0,
                    &vec![7; octets - header],
                ))
            };
            ends.seal(&plain)
        };
        let fits = sized(mtu);
        assert!(fits[0].len() <= 1400 && fits[0].len() > 1396);
        assert!(sized(mtu + 1).is_empty());
    }
}

// covers R4301-5.1-4
#[test]
fn what_may_be_cut_is_cut_behind_or_before() {
    for (when, outer6) in [
        (Fragmentation::After, false),
        (Fragmentation::After, true),
        (Fragmentation::Before, false),
        (Fragmentation::Before, true),
    ] {
        let mut sa = narrow(Mode::Tunnel);
        sa.processing.fragmentation = when;
        let ends = Ends::new(&[sa], outer6);
        let packet = large(false);
        let sealed = ends.seal(&packet);
        assert_eq!(sealed.len(), 2, "{when:?}");
        assert!(
            sealed
                .iter()
                .all(|piece| piece.len() <= usize::from(PATH_MTU))
        );
        let opened: Vec<_> = sealed.iter().flat_map(|piece| ends.open(piece)).collect();
        match when {
            Fragmentation::After => assert_eq!(opened, [packet]),
            Fragmentation::Before => assert_eq!(opened.len(), 2),
        }
        assert_eq!(all_drops(&ends.receiver), 0);
        assert!(!ends.sender.has_replies());
    }
}

// covers R4301-7-1
// covers R4302-3.3.4-1
// covers R4303-3.3.1-1
#[test]
fn transport_mode_joins_fragments_first() {
    let ends = Ends::new(&[sa(Mode::Transport)], false);
    let packet = datagram(end(false, 1), end(false, 2), 0, &[3; 2000]);
    let plan = perilune_wire::fragment::Fragments::plan(&packet, 900, 0).unwrap();
    let mut sealed = Vec::new();
    for index in 0..plan.count() {
        let mut piece = vec![0; 900];
        let octets = plan.write(index, &mut piece).unwrap();
        sealed.extend(ends.seal(&piece[..octets]));
    }
    assert_eq!(sealed.len(), 1);
    assert_eq!(ends.open(&sealed[0]), [packet]);
}

fn icmp_about(sealed: &[u8], mtu: u32) -> Vec<u8> {
    let mut error = vec![0; 1280];
    let router = "203.0.113.9".parse().unwrap();
    let octets = write_error(Problem::PacketTooBig { mtu }, sealed, router, &mut error).unwrap();
    error.truncate(octets);
    error
}

// covers R4301-8.2.1-2
#[test]
fn an_icmp_error_lowers_the_path_mtu_of_the_sa_it_is_about() {
    for encapsulation in [Encapsulation::None, Encapsulation::Udp] {
        let mut sa = sa(Mode::Tunnel);
        sa.encapsulation = encapsulation;
        let ends = Ends::new(&[sa], false);
        let packet = with_df(large(false));
        let sealed = ends.seal(&packet);
        assert!(
            ends.sender
                .note_icmp_error(&icmp_about(&sealed[0], 1000), NOW)
        );
        assert!(ends.seal(&packet).is_empty());
        assert!(told(&ends) < 1000);
        let known = ends.sender.stats().sas[0].path_mtu.unwrap();
        assert_eq!(known.0, 1000);
    }
}

#[test]
fn an_icmp_error_is_believed_only_where_it_may_be() {
    let about = |change: fn(&mut SaConfig), bend: fn(&mut Vec<u8>)| {
        let mut sa = sa(Mode::Tunnel);
        change(&mut sa);
        let ends = Ends::new(&[sa], false);
        let mut error = icmp_about(&ends.seal(&large(false))[0], 1000);
        bend(&mut error);
        ends.sender.note_icmp_error(&error, NOW)
    };
    assert!(about(|_| {}, |_| {}));
    assert!(!about(|sa| sa.processing.believe_icmp = false, |_| {}));
    assert!(
        !about(|_| {}, |error| error[28 + 20] ^= 1),
        "another SPI, and the checksum is wrong"
    );
    assert!(!about(|_| {}, |error| error.truncate(40)));
}

#[test]
fn what_the_system_knows_is_believed_always() {
    let mut sa = sa(Mode::Tunnel);
    sa.processing.believe_icmp = false;
    let ends = Ends::new(&[sa], false);
    ends.sender.note_path_mtu(end(false, 2), 1000, NOW);
    assert!(ends.seal(&with_df(large(false))).is_empty());
}

proptest! {
    #[test]
    fn any_octets_can_be_an_icmp_error(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let ends = Ends::new(&[sa(Mode::Tunnel)], false);
        ends.sender.note_icmp_error(&octets, NOW);
    }

    #[test]
    fn whatever_the_path_takes_nothing_larger_is_sent(
        mtu in 552u16..1500,
        octets in 0usize..3000,
        mode in prop_oneof![Just(Mode::Tunnel), Just(Mode::Any)],
        udp: bool,
        nested: bool,
    ) {
        let mut inner = sa(mode);
        if udp && !nested {
            inner.encapsulation = Encapsulation::Udp;
        }
        inner.processing.path_mtu = Some(mtu);
        let mut sas = vec![inner];
        if nested {
            sas[0].within = Some(SaId::new(Direction::Outbound, 0x3000, path_ab()));
            sas.push(SaConfig { spi: 0x3000, ..sas[0].clone() });
            sas[1].within = None;
        }
        let ends = Ends::new(&sas, false);
        let packet = datagram(host(false, 1), host(false, 2), 0, &vec![5; octets]);
        let sealed = ends.seal(&packet);
        prop_assert!(sealed.iter().all(|piece| piece.len() <= usize::from(mtu)));
        let opened: Vec<_> = sealed.iter().flat_map(|piece| ends.open(piece)).collect();
        prop_assert_eq!(opened, vec![packet]);
    }
}
