//! Every mode, inner and outer family, in UDP and without: what goes in comes out.

use crate::common::ends::*;
use crate::common::pieces::cut;
use crate::common::*;
use perilune_engine::*;
use perilune_wire::ip;
use proptest::prelude::*;

fn modes(ipv6: bool) -> impl Strategy<Value = Mode> {
    prop_oneof![
        Just(Mode::Any),
        Just(Mode::Transport),
        Just(Mode::Tunnel),
        Just(Mode::Beet {
            local: host(ipv6, 1),
            remote: host(ipv6, 2),
        }),
    ]
}

fn suites() -> impl Strategy<Value = Suite> {
    let macs = prop::sample::select(Integrity::ALL.to_vec());
    let ah = prop_oneof![
        macs.prop_filter("secure", |mac| mac.insecure().is_none())
            .prop_map(AhIntegrity::Mac),
        Just(AhIntegrity::AesGmac(AesKeyBits::Bits128)),
    ];
    let esp: Vec<_> = Suite::all()
        .into_iter()
        .filter(|suite| suite.insecure().is_none())
        .collect();
    prop_oneof![ah.prop_map(Suite::Ah), prop::sample::select(esp)]
}

proptest! {
    // covers R4301-4.1-10
    // covers R4301-5.1.2-2
    // covers R4301-5.1.2-4
    // covers R4303-3.4.4.1-2
    #[test]
    fn what_goes_in_comes_out(
        (inner6, mode) in any::<bool>().prop_flat_map(|ipv6| (Just(ipv6), modes(ipv6))),
        outer6: bool,
        in_udp: bool,
        at_ends: bool,
        tfc in prop_oneof![
            Just(TfcPadding::None),
            Just(TfcPadding::PathMtu),
            (1u16..1500).prop_map(TfcPadding::To),
        ],
        suite in suites(),
        esn: bool,
        compression in any::<Option<u16>>(),
        payload in prop::collection::vec(any::<u8>(), 0..1200),
        class in 0u8..64,
    ) {
        let is_beet = matches!(mode, Mode::Beet { .. });
        let outer6 = if mode == Mode::Transport || (mode == Mode::Any && at_ends) { inner6 } else { outer6 };
        let at = |side| if mode == Mode::Transport || (at_ends && !is_beet) {
            end(inner6, side)
        } else {
            host(inner6, side)
        };
        let mut sa = sa(mode);
        (sa.suite, sa.keys, sa.esn) = (suite, keys(suite, 7), esn);
        let is_ah = suite.protocol() == Protocol::Ah;
        let tfc = if is_ah { TfcPadding::None } else { tfc };
        sa.processing.tfc = tfc;
        sa.processing.compression = compression;
        if in_udp && !is_ah {
            sa.encapsulation = Encapsulation::Udp;
        }
        let ends = Ends::new(&[sa], outer6);
        let packet = datagram(at(1), at(2), class << 2, &payload);
        let sealed = ends.seal(&packet);
        prop_assert_eq!(sealed.len(), 1);
        prop_assert_eq!(sealed[0][0] >> 4, if outer6 { 6 } else { 4 });
        if let TfcPadding::To(octets) = tfc && mode == Mode::Tunnel && compression.is_none() {
            prop_assert!(sealed[0].len() > usize::from(octets));
        }
        let mut opened = ends.open(&sealed[0]);
        prop_assert_eq!(all_drops(&ends.receiver), 0, "{:?}", mode);
        // A datagram in transport mode may be followed by padding that its own length leaves out.
        opened[0].truncate(packet.len());
        if !inner6 && is_beet && outer6 {
            // An IPv6 header has no room for the identification.
            opened[0][4..6].copy_from_slice(&packet[4..6]);
        }
        ip::set_length(&mut opened[0]).unwrap();
        prop_assert_eq!(&opened[0], &packet);
        prop_assert!(ends.open(&sealed[0]).is_empty(), "a second time");
    }
}

/// Two SAs, the first within the second.
fn bundle(inner: Mode, outer: Mode) -> [SaConfig; 2] {
    let first = SaConfig {
        within: Some(SaId::new(Direction::Outbound, 0x3000, path_ab())),
        ..sa(inner)
    };
    let second = SaConfig {
        spi: 0x3000,
        ..sa(outer)
    };
    [first, second]
}

// covers R4301-5.2-8
#[test]
fn a_bundle_is_gone_through_in_both_directions() {
    for (inner, outer) in [
        (Mode::Transport, Mode::Transport),
        (Mode::Transport, Mode::Tunnel),
        (Mode::Tunnel, Mode::Transport),
        (Mode::Tunnel, Mode::Tunnel),
    ] {
        let ends = Ends::new(&bundle(inner, outer), false);
        let packet = datagram(end(false, 1), end(false, 2), 0, b"twice");
        let sealed = ends.seal(&packet);
        assert_eq!(ends.open(&sealed[0]), [packet], "{inner:?} in {outer:?}");
        let packets: Vec<_> = ends
            .receiver
            .stats()
            .sas
            .iter()
            .map(|sa| sa.packets)
            .collect();
        assert_eq!(packets, [1, 1]);
    }
}

#[test]
fn padding_to_the_path_mtu_leaves_room_for_the_whole_bundle() {
    for (inner, outer) in [
        (Mode::Tunnel, Mode::Transport),
        (Mode::Tunnel, Mode::Tunnel),
        (Mode::Any, Mode::Any),
    ] {
        let mut sas = bundle(inner, outer);
        sas[0].processing.tfc = TfcPadding::PathMtu;
        for path_mtu in [None, Some(1000), Some(1400)] {
            sas[0].processing.path_mtu = path_mtu;
            sas[1].processing.path_mtu = path_mtu;
            let ends = Ends::new(&sas, false);
            let packet = datagram(host(false, 1), host(false, 2), 0, b"as large as any other");
            let [sealed] = &ends.seal(&packet)[..] else {
                panic!("in several pieces");
            };
            let room = usize::from(path_mtu.unwrap_or(1280));
            assert!(
                (room - 64..=room).contains(&sealed.len()),
                "{}",
                sealed.len()
            );
            assert_eq!(ends.open(sealed), [packet], "{inner:?} in {outer:?}");
        }
    }
}

// covers R4302-2-1
// covers R4303-2-1
#[test]
fn ah_goes_over_esp() {
    let mut sas = bundle(Mode::Transport, Mode::Transport);
    sas[1].suite = Suite::Ah(AhIntegrity::Mac(Integrity::HmacSha2_256_128));
    sas[1].keys = keys(sas[1].suite, 9);
    let ends = Ends::new(&sas, false);
    let packet = datagram(end(false, 1), end(false, 2), 0, b"AH(ESP)");
    let sealed = ends.seal(&packet);
    assert_eq!((sealed[0][9], sealed[0][20]), (51, 50));
    assert_eq!(ends.open(&sealed[0]), [packet]);
}

// covers R4302-3.4.4-1
#[test]
fn what_ah_covers_cannot_be_changed() {
    let mut sa = sa(Mode::Transport);
    sa.suite = Suite::Ah(AhIntegrity::Mac(Integrity::HmacSha2_256_128));
    sa.keys = keys(sa.suite, 7);
    let packet = datagram(end(false, 1), end(false, 2), 0, b"plain to see");
    let sealed = Ends::new(&[sa.clone()], false).seal(&packet).remove(0);
    for at in 0..sealed.len() {
        let ends = Ends::new(&[sa.clone()], false);
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        let opened = ends.open(&changed);
        // TOS, TTL and checksum are for routers to change.
        assert_eq!(
            opened.len(),
            usize::from([1, 8, 10, 11].contains(&at)),
            "octet {at}"
        );
    }
}

/// What is inside of packets that come one after the other, in a batch that holds few of it.
fn open_all(receiver: &Engine, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (mut worker, mut out) = (receiver.inbound_worker(), OpenedBatch::with_capacity(0));
    let from = PathInfo {
        encapsulated: false,
        ..from_a()
    };
    let mut opened = Vec::new();
    for packet in packets {
        let mut packet = packet.clone();
        while receiver.open_packet(&mut worker, &mut packet, &from, NOW, &mut out) == Progress::Full
        {
            opened.extend(out.frames().map(|frame| frame[VIRTIO..].to_vec()));
            out.clear();
        }
    }
    opened.extend(out.frames().map(|frame| frame[VIRTIO..].to_vec()));
    opened
}

#[test]
fn a_full_batch_loses_nothing_that_is_longer_than_its_packet() {
    let packets: Vec<_> = (0..200)
        .map(|number| datagram(host(false, 1), host(false, 2), 0, &[number; 1000]))
        .collect();
    for compression in [None, Some(0x4711)] {
        let mut config = sa(Mode::Tunnel);
        config.processing.compression = compression;
        let ends = Ends::new(&[config], false);
        let sealed: Vec<_> = packets.iter().map(|one| ends.seal(one).remove(0)).collect();
        let arriving = match compression {
            // In fragments of the outer packet.
            None => (1..)
                .zip(&sealed)
                .flat_map(|(number, packet)| cut(packet, number))
                .collect(),
            Some(_) => sealed,
        };
        assert_eq!(open_all(&ends.receiver, &arriving), packets);
        assert_eq!(all_drops(&ends.receiver), 0);
    }
}

#[test]
fn compression_makes_packets_smaller_and_whole_again() {
    let mut compressed = sa(Mode::Tunnel);
    compressed.processing.compression = Some(0x4711);
    let ends = Ends::new(&[compressed.clone()], false);
    let plain = Ends::new(&[sa(Mode::Tunnel)], false);
    let packet = datagram(host(false, 1), host(false, 2), 0, &[b'a'; 1000]);
    let sealed = ends.seal(&packet).remove(0);
    assert!(sealed.len() < 200 && plain.seal(&packet)[0].len() > 1000);
    assert_eq!(ends.open(&sealed), std::slice::from_ref(&packet));
    assert!(plain.open(&sealed).is_empty(), "without compression");
    compressed.processing.compression = Some(0x4712);
    let other = Ends::new(&[compressed], false);
    assert!(other.open(&sealed).is_empty(), "another CPI");
    assert_eq!(drops(&other.receiver, DropReason::CompressionInvalid), 1);
}

#[test]
fn forms_that_cannot_be_are_refused() {
    let engine = Engine::new();
    let change = Change::AddPolicy(policy(1, Action::Protect, everything()));
    engine.apply(&[change], NOW).unwrap();
    let mut ah_in_udp = sa(Mode::Tunnel);
    ah_in_udp.suite = Suite::Ah(AhIntegrity::Mac(Integrity::HmacSha2_256_128));
    ah_in_udp.keys = keys(ah_in_udp.suite, 7);
    ah_in_udp.encapsulation = Encapsulation::Udp;
    let two_families = sa(Mode::Beet {
        local: host(false, 1),
        remote: host(true, 2),
    });
    let mut cut_first = sa(Mode::Transport);
    cut_first.processing.fragmentation = Fragmentation::Before;
    for refused in [ah_in_udp, two_families, cut_first] {
        let answer = engine.apply(&[add(refused)], NOW);
        assert!(matches!(answer, Err(EngineError::Form(_))), "{answer:?}");
    }
}

#[test]
fn a_packet_outside_its_bundle_is_refused() {
    let sas = bundle(Mode::Transport, Mode::Tunnel);
    let whole = Ends::new(&sas, false);
    let bare = Ends::new(
        &[SaConfig {
            within: None,
            ..sas[0].clone()
        }],
        false,
    );
    let packet = datagram(end(false, 1), end(false, 2), 0, b"once");
    let sealed = bare.seal(&packet);
    assert!(whole.open(&sealed[0]).is_empty());
    assert_eq!(drops(&whole.receiver, DropReason::BundleIncomplete), 1);
    assert!(matches!(
        whole.receiver.take_events(1)[..],
        [Event::Audit {
            reason: DropReason::BundleIncomplete,
            spi: SPI_AB,
            ..
        }]
    ));
}

#[test]
fn nesting_has_an_end() {
    let chain = |count: u32| -> Vec<_> {
        let sa_within = |n: u32| SaConfig {
            spi: 0x3000 + n,
            within: (n + 1 < count)
                .then(|| SaId::new(Direction::Outbound, 0x3001 + n, path(false, 1))),
            ..sa(Mode::Tunnel)
        };
        (0..count).map(sa_within).collect()
    };
    let packet = datagram(end(false, 1), end(false, 2), 0, b"deep");
    let four = Ends::new(&chain(4), false);
    assert_eq!(
        four.open(&four.seal(&packet)[0]),
        std::slice::from_ref(&packet)
    );
    let five = Ends::new(&chain(5), false);
    assert!(five.seal(&packet).is_empty());
    assert_eq!(drops(&five.sender, DropReason::NestingTooDeep), 1);
}

// covers R4302-3.4.1-1
// covers R4303-3.4.1-1
#[test]
fn a_fragment_with_esp_in_it_is_refused() {
    let first = sa(Mode::Transport);
    let second = SaConfig {
        spi: 0x3000,
        ..sa(Mode::Tunnel)
    };
    let receiver = Ends::new(&[first.clone(), second.clone()], false);
    let packet = datagram(end(false, 1), end(false, 2), 0, b"in parts");
    let mut sealed = Ends::new(&[first], false).seal(&packet).remove(0);
    sealed[6] |= 0x20;
    ip::set_length(&mut sealed).unwrap();
    let in_tunnel = Ends::new(&[second], false).seal(&sealed).remove(0);
    assert!(receiver.open(&in_tunnel).is_empty());
    assert_eq!(drops(&receiver.receiver, DropReason::FragmentWithIpsec), 1);
    assert!(receiver.receiver.has_events());
}

// covers R4301-5.1.2-1
// covers R4301-5.1.2-3
// covers R4301-5.1.2-5
#[test]
fn dscp_and_df_outside_are_as_configured() {
    let packet = datagram(host(false, 1), host(false, 2), 0xb9, b"marked");
    let outer = |change: fn(&mut Processing)| {
        let mut sa = sa(Mode::Tunnel);
        change(&mut sa.processing);
        let sealed = Ends::new(&[sa], false).seal(&packet).remove(0);
        (sealed[1], sealed[6] & 0x40 != 0, sealed[8])
    };
    assert_eq!(outer(|_| {}), (0xb9, false, 64));
    assert_eq!(outer(|form| form.df = DontFragment::Set), (0xb9, true, 64));
    assert_eq!(
        outer(|form| form.dscp = Dscp::Map(DscpMap::new([10; 64]).unwrap())),
        (0x29, false, 64)
    );
    assert_eq!(outer(|form| form.hop_limit = 9), (0xb9, false, 9));
}

// covers R4301-8.1-1
#[test]
fn df_is_copied_set_or_cleared() {
    let mut packet = datagram(host(false, 1), host(false, 2), 0, b"whole");
    packet[6] |= 0x40;
    ip::set_length(&mut packet).unwrap();
    for (df, expected) in [
        (DontFragment::Clear, false),
        (DontFragment::Copy, true),
        (DontFragment::Set, true),
    ] {
        let mut sa = sa(Mode::Tunnel);
        sa.processing.df = df;
        let sealed = Ends::new(&[sa], false).seal(&packet).remove(0);
        assert_eq!(sealed[6] & 0x40 != 0, expected, "{df:?}");
    }
}

#[test]
fn addresses_are_preserved_where_asked() {
    let packet = datagram(host(false, 1), host(false, 2), 0, b"to all");
    let mut sa = sa(Mode::Tunnel);
    sa.processing.preserved = PreservedAddresses {
        source: true,
        destination: true,
    };
    let sealed = Ends::new(&[sa], false).seal(&packet).remove(0);
    assert_eq!(sealed[12..20], packet[12..20]);
}

// covers R4303-2.6-2
// covers R4303-2.6-1
#[test]
fn dummies_look_like_packets_and_are_dropped() {
    for mode in [Mode::Tunnel, Mode::Transport] {
        let ends = Ends::new(&[sa(mode)], false);
        let id = SaId::new(Direction::Outbound, SPI_AB, path(false, 1));
        let mut batch = SealedBatch::with_capacity(0);
        let mut worker = ends.sender.outbound_worker();
        let sent = ends
            .sender
            .send_dummy(&mut worker, id, 300, NOW, &mut batch);
        assert_eq!(sent, Ok(true));
        let dummy = batch.to_packets().remove(0);
        assert!(dummy.len() > 300 && ends.open(&dummy).is_empty());
        assert_eq!(drops(&ends.receiver, DropReason::DummyPacket), 1);
        assert_eq!(ends.receiver.stats().sas[0].errors, 0);
        assert!(!ends.receiver.has_events());
    }
}

#[test]
fn dummies_fill_up_what_traffic_leaves() {
    let ends = Ends::new(&[sa(Mode::Tunnel)], false);
    let id = SaId::new(Direction::Outbound, SPI_AB, path(false, 1));
    let mut batch = SealedBatch::with_capacity(0);
    let mut worker = ends.sender.outbound_worker();
    let mut fill = |least| {
        batch.clear();
        let sender = &ends.sender;
        let sent = sender.fill_with_dummies(&mut worker, (id, least), 100, NOW, &mut batch);
        (sent, batch.to_packets().len())
    };
    assert_eq!(fill(0), (Ok(0), 0));
    assert_eq!(fill(3), (Ok(3), 3));
    assert_eq!(fill(3), (Ok(3), 0));
    let packet = datagram(host(false, 1), host(false, 2), 0, b"real");
    assert_eq!(ends.seal(&packet).len(), 1);
    assert_eq!(fill(5), (Ok(5), 1), "the real one counts");
    assert_eq!(fill(1000), (Ok(69), 64), "not too many at a time");

    let gone = SaId::new(Direction::Outbound, 7, path(false, 1));
    let sent = ends
        .sender
        .fill_with_dummies(&mut worker, (gone, 1), 100, NOW, &mut batch);
    assert_eq!(sent, Err(EngineError::UnknownSa(gone)));
}
