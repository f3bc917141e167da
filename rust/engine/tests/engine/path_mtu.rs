//! Packets that are larger than their path takes (RFC 4301, section 8).

use crate::common::ends::*;
use crate::common::*;
use perilune_engine::*;
use perilune_wire::icmp::IcmpError;
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

/// A checksum that is right again, after something was changed.
fn summed(mut error: Vec<u8>) -> Vec<u8> {
    perilune_wire::ip::set_length(&mut error).unwrap();
    error[22..24].fill(0);
    let sum = perilune_wire::checksum::Sum::default().with(&error[20..]);
    let checksum = sum.checksum();
    error[22..24].copy_from_slice(&checksum);
    error
}

// covers R4301-6.1.1-2
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

/// What becomes of an ICMP error that says 1000 octets, changed in some way.
fn after(
    controls: IcmpControls,
    change: fn(&mut SaConfig),
    bend: fn(&mut Vec<u8>),
) -> (bool, Vec<DropReason>) {
    let mut sa = sa(Mode::Tunnel);
    change(&mut sa);
    let ends = Ends::with_icmp(&[sa], controls);
    let mut error = icmp_about(&ends.seal(&large(false))[0], 1000);
    bend(&mut error);
    let lowered = ends.sender.note_icmp_error(&summed(error), NOW);
    let audited = ends.sender.take_events(99).into_iter();
    let reasons = audited.map(|event| match event {
        Event::Audit {
            reason,
            source,
            destination,
            time,
            ..
        } => {
            let router: std::net::IpAddr = "203.0.113.9".parse().unwrap();
            assert_eq!((source, destination, time), (router, end(false, 1), NOW));
            assert_eq!(drops(&ends.sender, reason), 1);
            reason
        }
        other => panic!("{other:?}"),
    });
    (lowered, reasons.collect())
}

// covers R4301-6.1.1-1
#[test]
fn an_icmp_error_is_accepted_as_the_administrator_says() {
    let just = |kind: IcmpKind| IcmpControls {
        accepted: vec![kind],
        ..IcmpControls::default()
    };
    let unreachable = |code| IcmpKind {
        is_ipv6: false,
        kind: 3,
        code,
    };
    let default = IcmpControls::default;
    let is_too_big = |_: &mut Vec<u8>| {};
    let is_host_unreachable = |error: &mut Vec<u8>| error[21] = 1;
    let is_time_exceeded = |error: &mut Vec<u8>| error[20] = 11;
    let rejected = (false, vec![DropReason::IcmpRejected]);
    let noted = (false, vec![DropReason::IcmpWithoutEffect]);
    let obeyed = (true, vec![]);
    assert_eq!(after(default(), |_| {}, is_too_big), obeyed);
    assert_eq!(after(default(), |_| {}, is_host_unreachable), rejected);
    assert_eq!(after(default(), |_| {}, is_time_exceeded), rejected);
    let all_codes = || just(unreachable(None));
    assert_eq!(after(all_codes(), |_| {}, is_too_big), obeyed);
    assert_eq!(after(all_codes(), |_| {}, is_host_unreachable), noted);
    assert_eq!(after(all_codes(), |_| {}, is_time_exceeded), rejected);
    let one_code = || just(unreachable(Some(1)));
    assert_eq!(after(one_code(), |_| {}, is_too_big), rejected);
    assert_eq!(after(one_code(), |_| {}, is_host_unreachable), noted);
    let of_ipv6 = || just(IcmpKind::PACKET_TOO_BIG);
    assert_eq!(after(of_ipv6(), |_| {}, is_too_big), rejected);
    let deaf = |sa: &mut SaConfig| sa.processing.believe_icmp = false;
    assert_eq!(after(default(), deaf, is_too_big), rejected);
}

// covers R4301-6.1.1-2
#[test]
fn an_icmp_error_about_what_no_sa_sent_is_told_from_one_about_other_traffic() {
    let unmatched = (false, vec![DropReason::IcmpUnmatched]);
    let default = IcmpControls::default;
    let other_spi = |error: &mut Vec<u8>| error[28 + 20] ^= 1;
    assert_eq!(after(default(), |_| {}, other_spi), unmatched);
    let other_end = |error: &mut Vec<u8>| error[28 + 19] ^= 1;
    assert_eq!(after(default(), |_| {}, other_end), unmatched);
    let of_tcp = |error: &mut Vec<u8>| error[28 + 9] = 6;
    assert_eq!(after(default(), |_| {}, of_tcp), (false, vec![]));
    let cut_short = |error: &mut Vec<u8>| error.truncate(40);
    assert_eq!(after(default(), |_| {}, cut_short), (false, vec![]));
}

#[test]
fn in_udp_ports_tell_whose_packet_an_icmp_error_is_about() {
    for (port, is_ours) in [(4500_u16, true), (53, false)] {
        let mut sa = sa(Mode::Tunnel);
        sa.encapsulation = Encapsulation::Udp;
        let ends = Ends::new(&[sa], false);
        let mut error = icmp_about(&ends.seal(&large(false))[0], 1000);
        // As little as RFC 792 asks for: the ports are there, the SPI is not.
        error.truncate(28 + 28);
        error[28 + 22..28 + 24].copy_from_slice(&port.to_be_bytes());
        assert_eq!(ends.sender.note_icmp_error(&summed(error), NOW), is_ours);
    }
}

// covers R4301-6.1.1-3
#[test]
fn a_forged_too_big_does_not_strangle_a_tunnel() {
    for said in [1, 36, 68] {
        let ends = Ends::new(&[sa(Mode::Tunnel)], false);
        let (small, packet) = (with_df(sized(480)), with_df(large(false)));
        let sealed = ends.seal(&packet);
        assert_eq!(sealed[0][6] & 0x40, 0x40);
        let error = icmp_about(&sealed[0], said);
        assert!(ends.sender.note_icmp_error(&error, NOW));
        assert_eq!(drops(&ends.sender, DropReason::IcmpMtuTooSmall), 1);
        assert!(ends.seal(&packet).is_empty());
        assert!((500..576).contains(&told(&ends)));
        // Should it be true after all, routers may cut what is sent now.
        let sealed = ends.seal(&small);
        assert_eq!((sealed.len(), sealed[0][6] & 0x40), (1, 0));
        assert_eq!(ends.open(&sealed[0]), [small]);
    }
}

fn sized(octets: usize) -> Vec<u8> {
    datagram(host(false, 1), host(false, 2), 0, &vec![7; octets])
}

#[test]
fn the_least_path_mtu_is_the_administrators() {
    let controls = IcmpControls {
        least_path_mtu: 1200,
        ..IcmpControls::default()
    };
    let ends = Ends::with_icmp(&[sa(Mode::Tunnel)], controls);
    let error = icmp_about(&ends.seal(&large(false))[0], 1000);
    assert!(ends.sender.note_icmp_error(&error, NOW));
    assert_eq!(ends.sender.stats().sas[0].path_mtu.unwrap().0, 1200);
}

// covers R4301-8.2.1-5
#[test]
fn what_the_first_hop_takes_is_told_before_anything_is_lost() {
    let mut sa = sa(Mode::Tunnel);
    sa.processing.believe_icmp = false;
    let id = SaId::new(Direction::Outbound, sa.spi, sa.path);
    let ends = Ends::new(&[sa], false);
    let packet = with_df(large(false));
    ends.sender.set_first_hop(id, Some(1000));
    assert!(ends.seal(&packet).is_empty());
    assert!((900..1000).contains(&told(&ends)));
    let path = path_ab();
    ends.sender
        .note_first_hop(path.local.ip(), path.remote.ip(), Some(1500));
    assert_eq!(ends.seal(&packet).len(), 1, "the interface was changed");
}

// covers R4301-8.1-1
#[test]
fn where_the_tunnel_forbids_fragments_it_is_the_inner_packet_that_is_cut() {
    let mut sa = narrow(Mode::Tunnel);
    sa.processing.df = DontFragment::Set;
    let ends = Ends::new(&[sa], false);
    let sealed = ends.seal(&large(false));
    assert_eq!(sealed.len(), 2);
    assert!(sealed.iter().all(|piece| piece[6] & 0x40 != 0));
    let opened: Vec<_> = sealed.iter().flat_map(|piece| ends.open(piece)).collect();
    assert_eq!(opened.len(), 2, "its fragments");
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
