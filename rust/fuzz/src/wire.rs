//! Every parser and writer of `perilune-wire`, told apart by the first octet.
//!
//! `rust/wire/tests/corpus.rs` runs the saved corpus through the same functions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use perilune_wire::ah::AhHeader;
use perilune_wire::coalesce::Coalescer;
use perilune_wire::demux::{Payload, classify};
use perilune_wire::esp::EspHeader;
use perilune_wire::ethernet::{EthernetHeader, MAX_HEADER_OCTETS};
use perilune_wire::extension_header::{ESP, HeaderChain};
use perilune_wire::fragment::Fragments;
use perilune_wire::icmp::{IcmpError, Problem, Quoted, write_error};
use perilune_wire::immutable::zero_mutable;
use perilune_wire::ip;
use perilune_wire::ipcomp::{Compressor, Decompressor, IpCompHeader};
use perilune_wire::neighbor;
use perilune_wire::reassembly::{
    FragmentTracker, Reassembler, ReassemblyLimits, Refusal, TrackingLimits,
};
use perilune_wire::segment::Superpacket;

/// By first octet; new ones go to the end, so that the saved corpus keeps its meaning.
const PARSERS: [fn(&[u8]); 12] = [
    outline,
    header_chain,
    authentication_header,
    immutable_fields,
    fragments,
    reassembly,
    icmp_received,
    icmp_written,
    ipcomp,
    superpacket,
    coalescer,
    link,
];

const MOST_OCTETS: usize = 66_000;

/// Run one input.
pub(crate) fn run(data: &[u8]) {
    if let [first, octets @ ..] = data
        && let Some(parser) = PARSERS.get(usize::from(*first))
    {
        parser(octets);
    }
}

fn outline(octets: &[u8]) {
    let Some(packet) = ip::parse(octets) else {
        return;
    };
    assert!(packet.transport <= packet.total && packet.total <= octets.len());
    let chain = HeaderChain::parse(octets).expect("a sound packet has a sound chain");
    assert_eq!(chain.next_layer.offset, packet.transport);
    assert_eq!(chain.protocol, packet.flow.protocol());
    let mut summed = octets.to_vec();
    if ip::set_transport_checksum(&mut summed).is_some() {
        assert_eq!(ip::parse(&summed), Some(packet));
    }
    let mut shorter = octets[..packet.transport].to_vec();
    assert!(ip::set_length(&mut shorter).is_some());
    for ecn in 0..4 {
        let mut marked = octets.to_vec();
        ip::set_ecn(&mut marked, ecn);
        let marked = ip::parse(&marked).expect("a mark changes no length");
        assert_eq!(marked.traffic_class, (packet.traffic_class & !3) | ecn);
    }
}

fn header_chain(octets: &[u8]) {
    let Some(chain) = HeaderChain::parse(octets) else {
        return;
    };
    assert!(chain.per_fragment.offset <= chain.before_options.offset);
    assert!(chain.before_options.offset <= chain.next_layer.offset);
    assert!(chain.next_layer.offset <= chain.total && chain.total <= octets.len());
    for inside in [true, false] {
        let mut renamed = octets.to_vec();
        let place = chain.transport_place(inside);
        assert!(place.rename(&mut renamed, ESP).is_some());
        let renamed = HeaderChain::parse(&renamed).expect("ESP ends the chain");
        let is_hidden = renamed.is_later_fragment() && renamed.next_layer != place;
        assert!(is_hidden || (renamed.protocol, renamed.next_layer) == (ESP, place));
    }
}

fn authentication_header(octets: &[u8]) {
    if let Some(header) = AhHeader::parse(octets) {
        let mut written = octets.to_vec();
        header
            .write(&mut written)
            .expect("there was room to read it");
        assert_eq!(AhHeader::parse(&written), Some(header));
        assert_eq!(written[header.octets..], octets[header.octets..]);
    }
}

fn immutable_fields(octets: &[u8]) {
    let mut once = octets.to_vec();
    let Ok(length) = zero_mutable(&mut once) else {
        return;
    };
    assert!(length <= octets.len());
    once.truncate(length);
    let mut changed = octets.to_vec();
    // What a router may change does not matter.
    let mutable: &[usize] = if octets[0] >> 4 == 4 {
        &[1, 8, 10, 11]
    } else {
        &[1, 2, 3, 7]
    };
    for at in mutable {
        changed[*at] ^= 0xff;
    }
    let length = zero_mutable(&mut changed).expect("no length was changed");
    changed.truncate(length);
    assert_eq!(once, changed);
}

fn fragments(octets: &[u8]) {
    let Some((mtu, packet)) = octets.split_first_chunk() else {
        return;
    };
    let mtu = usize::from(u16::from_be_bytes(*mtu));
    let Ok(plan) = Fragments::plan(packet, mtu, 7) else {
        return;
    };
    let chain = HeaderChain::parse(packet).expect("planned, so sound");
    let mut reassembler = Reassembler::new(ReassemblyLimits {
        octets: 1 << 30,
        fragments: 10_000,
        ..ReassemblyLimits::default()
    });
    let mut tracker = FragmentTracker::new(TrackingLimits {
        packets: 1,
        fragments: 10_000,
        timeout_ns: 1,
    });
    let mut place = vec![0; MOST_OCTETS];
    for index in 0..plan.count() {
        let written = plan.write(index, &mut place).expect("there is room");
        if plan.count() == 1 {
            assert_eq!(place[..written], packet[..chain.total]);
            return;
        }
        assert!(written <= mtu);
        if chain.fragment.is_some() {
            continue;
        }
        let is_last = index == plan.count() - 1;
        let followed = tracker.follow(0, &place[..written], 0);
        match reassembler.insert(&place[..written], 0) {
            Ok(Some(whole)) => {
                assert!(is_last);
                assert_same_packet(whole, &packet[..chain.total]);
            }
            Ok(None) => assert!(!is_last),
            Err(Refusal::Tiny) => return assert_eq!(followed, Err(Refusal::Tiny)),
            Err(refusal) => panic!("{refusal:?} of fragment {index}"),
        }
        let ports = ip::parse(packet).expect("planned, so sound").flow.ports();
        assert_eq!(followed.map(|of| of.first.ports()), Ok(ports));
    }
}

/// Compare without IPv4's checksum, which reassembly sets right.
fn assert_same_packet(mut whole: Vec<u8>, packet: &[u8]) {
    let mut packet = packet.to_vec();
    if packet[0] >> 4 == 4 {
        whole[10..12].fill(0);
        packet[10..12].fill(0);
    }
    assert_eq!(whole, packet);
}

fn reassembly(octets: &[u8]) {
    let limits = ReassemblyLimits {
        packets: 3,
        octets: 4096,
        fragments: 5,
        timeout_ns: 1000,
    };
    let mut reassembler = Reassembler::new(limits);
    let mut tracker = FragmentTracker::new(TrackingLimits {
        packets: 3,
        fragments: 5,
        timeout_ns: 1000,
    });
    let mut now = 0;
    for fragment in pieces(octets) {
        now += u64::from(fragment.first().copied().unwrap_or(0)) & 0xf;
        if let Ok(Some(whole)) = reassembler.insert(fragment, now) {
            let chain = HeaderChain::parse(&whole);
            let is_sound = chain.is_none_or(|chain| chain.total == whole.len());
            assert!(is_sound, "lengths are set right");
        }
        assert!(reassembler.len() <= 3 && reassembler.octets() <= 4096);
        let is_first = HeaderChain::parse(fragment).is_some_and(|chain| !chain.is_later_fragment());
        let before = tracker.len();
        let _ = tracker.follow(0, fragment, now);
        assert!(tracker.len() <= if is_first { 3 } else { before });
    }
    reassembler.expire(now + 1000);
    assert_eq!((reassembler.len(), reassembler.octets()), (0, 0));
}

/// Cut an input into pieces, each behind an octet with its length.
fn pieces(mut octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = octets.split_first()?;
        let (piece, rest) = rest
            .split_at_checked(usize::from(*length))
            .unwrap_or((rest, &[]));
        octets = rest;
        Some(piece)
    })
}

fn icmp_received(octets: &[u8]) {
    if let Some(error) = IcmpError::parse(octets) {
        let _ = error.quoted.spi();
    }
    if let Some(quoted) = Quoted::parse(octets) {
        let _ = quoted.spi();
        assert!(quoted.next_layer.len() <= octets.len());
    }
}

fn icmp_written(octets: &[u8]) {
    let mut place = [0; 1280];
    let ours: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for source in ours {
        for problem in [Problem::PacketTooBig { mtu: 1400 }, Problem::Prohibited] {
            let Some(written) = write_error(problem, octets, source, &mut place) else {
                continue;
            };
            let about = ip::parse(octets).expect("it was written about a sound packet");
            let most = if source.is_ipv4() { 576 } else { 1280 };
            assert!(written <= most);
            if about.transport < 400 {
                let error = IcmpError::parse(&place[..written]).expect("we wrote it");
                assert_eq!(error.quoted.total, about.total);
                // A label counts where it is, on the error itself.
                assert_eq!(error.quoted.flow, about.flow.with_level(None));
            }
        }
    }
}

fn ipcomp(octets: &[u8]) {
    let _ = IpCompHeader::parse(octets);
    let mut place = vec![0; 4096];
    if let Ok(plain) = Decompressor::new().decompress(octets, &mut place) {
        assert!(plain <= place.len());
    }
    if let Some(written) = Compressor::new().compress(octets, &mut place) {
        assert!(written + 4 < octets.len());
        let mut plain = vec![0; octets.len()];
        let length = Decompressor::new().decompress(&place[..written], &mut plain);
        assert_eq!(length, Ok(octets.len()));
        assert_eq!(plain, octets);
    }
}

fn superpacket(octets: &[u8]) {
    let Some(packet) = Superpacket::parse(octets) else {
        return;
    };
    let total: usize = (0..packet.count()).map(|index| packet.octets(index)).sum();
    assert_eq!(total, packet.total_octets());
    for index in 0..packet.count().min(64) {
        let mut place = vec![0; packet.octets(index)];
        packet.write(index, &mut place);
        let segment = ip::parse(&place).expect("a segment is a packet");
        assert_eq!(segment.flow, packet.ip().flow);
        assert_eq!(segment.total, place.len());
    }
}

fn coalescer(octets: &[u8]) {
    let Some((first, rest)) = octets.split_first() else {
        return;
    };
    let mut coalescer = Coalescer::with_capacity(MOST_OCTETS);
    coalescer.join_udp(first & 1 != 0);
    let mut pushed = 0;
    for piece in pieces(rest) {
        if let Some(packet) = ip::parse(piece) {
            pushed += usize::from(coalescer.push(piece, &packet));
        }
    }
    let frames = coalescer.frames().map(|frame| {
        let packet = Superpacket::parse(frame).expect("what we join can be cut");
        packet.count()
    });
    assert_eq!(frames.sum::<usize>(), pushed);
}

fn link(octets: &[u8]) {
    if classify(octets) == Payload::Esp {
        assert!(EspHeader::parse(octets).is_some_and(|header| header.spi != 0));
    }
    let _ = neighbor::is_neighbor_discovery(octets);
    if let Some(header) = EthernetHeader::parse(octets) {
        let (start, payload) = octets.split_at(header.octets());
        assert_eq!(header.write(&mut [0; MAX_HEADER_OCTETS]), start);
        let _ = neighbor::sender(&header, payload);
    }
}
