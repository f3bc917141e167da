//! Cutting and joining superpackets: each undoes the other, and no input makes either panic.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use perilune_wire::checksum::Sum;
use perilune_wire::coalesce::{Coalescer, MAX_UDP_SEGMENTS};
use perilune_wire::ip;
use perilune_wire::segment::Superpacket;
use perilune_wire::virtio_net_hdr::{Gso, NEEDS_CSUM, OCTETS, VirtioNetHdr};
use proptest::prelude::*;

/// A superpacket as a device hands it over: pseudo header sum in the checksum field.
#[derive(Debug, Clone)]
struct Shape {
    ipv6: bool,
    is_tcp: bool,
    options: usize,
    payload: Vec<u8>,
    size: usize,
    flags: u8,
    identification: u16,
    sequence: u32,
}

impl Shape {
    fn transport(&self) -> usize {
        if self.ipv6 { 40 } else { 20 }
    }

    fn headers(&self) -> usize {
        self.transport()
            + if self.is_tcp {
                20 + self.options * 4
            } else {
                8
            }
    }

    fn packet(&self) -> Vec<u8> {
        let total = self.headers() + self.payload.len();
        let length = |octets: usize| u16::try_from(octets).unwrap().to_be_bytes();
        let protocol = if self.is_tcp { 6 } else { 17 };
        let mut packet = Vec::new();
        if self.ipv6 {
            packet.extend_from_slice(&[0x60, 0x12, 0x34, 0x56]);
            packet.extend_from_slice(&length(total - 40));
            packet.extend_from_slice(&[protocol, 61]);
            packet.extend_from_slice(&[0x2a; 32]);
        } else {
            packet.extend_from_slice(&[0x45, 2]);
            packet.extend_from_slice(&length(total));
            packet.extend_from_slice(&self.identification.to_be_bytes());
            packet.extend_from_slice(&[0, 0, 61, protocol, 0, 0, 10, 1, 0, 1, 10, 2, 0, 9]);
            let checksum = Sum::default().with(&packet).checksum();
            packet[10..12].copy_from_slice(&checksum);
        }
        packet.extend_from_slice(&[0x12, 0x34, 0, 80]);
        if self.is_tcp {
            packet.extend_from_slice(&self.sequence.to_be_bytes());
            let offset = u8::try_from((5 + self.options) << 4).unwrap();
            packet.extend_from_slice(&[9, 9, 9, 9, offset, self.flags, 1, 0, 0, 0, 0, 0]);
            packet.extend(std::iter::repeat_n(1, self.options * 4));
        } else {
            packet.extend_from_slice(&length(total - self.transport()));
            packet.extend_from_slice(&[0, 0]);
        }
        packet.extend_from_slice(&self.payload);
        let outline = ip::parse(&packet).unwrap();
        let pseudo = outline.pseudo_header(total - self.transport()).folded();
        let field = self.transport() + if self.is_tcp { 16 } else { 6 };
        packet[field..field + 2].copy_from_slice(&pseudo);
        packet
    }

    fn frame(&self) -> Vec<u8> {
        let field = |octets: usize| u16::try_from(octets).unwrap();
        let header = VirtioNetHdr {
            flags: NEEDS_CSUM,
            gso: match (self.is_tcp, self.ipv6) {
                (true, false) => Gso::TcpV4,
                (true, true) => Gso::TcpV6,
                (false, _) => Gso::UdpL4,
            },
            ecn: false,
            hdr_len: field(self.headers()),
            gso_size: field(self.size),
            csum_start: field(self.transport()),
            csum_offset: if self.is_tcp { 16 } else { 6 },
        };
        [header.to_octets().as_slice(), &self.packet()].concat()
    }
}

prop_compose! {
    fn shapes()(
        (ipv6, is_tcp, push) in any::<(bool, bool, bool)>(),
        options in 0usize..=10,
        payload in prop::collection::vec(any::<u8>(), 2..=100 * MAX_UDP_SEGMENTS),
        size in 100usize..1500,
        identification: u16,
        sequence: u32,
    ) -> Shape {
        let size = size.min(payload.len() - 1);
        let flags = 0x10 | if push { 8 } else { 0 };
        Shape { ipv6, is_tcp, options, payload, size, flags, identification, sequence }
    }
}

fn cut(frame: &[u8]) -> Vec<Vec<u8>> {
    let superpacket = Superpacket::parse(frame).unwrap();
    let segments: Vec<Vec<u8>> = (0..superpacket.count())
        .map(|index| {
            let mut segment = vec![0; superpacket.octets(index)];
            superpacket.write(index, &mut segment);
            segment
        })
        .collect();
    assert_eq!(
        segments.iter().map(Vec::len).sum::<usize>(),
        superpacket.total_octets()
    );
    segments
}

fn join(segments: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut coalescer = Coalescer::with_capacity(0);
    coalescer.join_udp(true);
    for segment in segments {
        assert!(coalescer.push(segment, &ip::parse(segment).unwrap()));
    }
    coalescer.frames().map(<[u8]>::to_vec).collect()
}

fn plain_frame(packet: &[u8]) -> Vec<u8> {
    [VirtioNetHdr::PLAIN.to_octets().as_slice(), packet].concat()
}

fn assert_valid(segment: &[u8]) {
    let outline = ip::parse(segment).unwrap();
    assert_eq!(outline.total, segment.len());
    if !outline.flow.is_ipv6() {
        assert!(
            Sum::default().with(&segment[..20]).is_valid(),
            "IPv4 header checksum"
        );
    }
    let transport = &segment[outline.transport..];
    assert!(
        outline
            .pseudo_header(transport.len())
            .with(transport)
            .is_valid()
    );
}

proptest! {
    #[test]
    fn segments_are_valid_and_join_to_what_they_were_cut_from(shape in shapes()) {
        let frame = shape.frame();
        let segments = cut(&frame);
        for segment in &segments {
            assert_valid(segment);
        }
        let joined: Vec<u8> = segments.iter().flat_map(|s| s[shape.headers()..].to_vec()).collect();
        prop_assert_eq!(&joined, &shape.payload);
        prop_assert_eq!(join(&segments), [frame]);
    }

    #[test]
    fn a_damaged_segment_passes_as_it_is(shape in shapes(), which: prop::sample::Index, at: prop::sample::Index) {
        let mut segments = cut(&shape.frame());
        let damaged = which.index(segments.len());
        let at = shape.headers() + at.index(segments[damaged].len() - shape.headers());
        segments[damaged][at] ^= 0x40;
        let frames = join(&segments);
        prop_assert!(frames.contains(&plain_frame(&segments[damaged])));
        let others: usize = segments.iter().map(|s| s.len() - shape.headers()).sum();
        let kept: usize = frames.iter().map(|f| f.len() - OCTETS - shape.headers()).sum();
        prop_assert_eq!(others, kept, "nothing lost, nothing doubled");
    }

    #[test]
    fn any_frame_is_cut_without_panic(
        mut frame in prop::collection::vec(any::<u8>(), 0..400),
        kind in 0u8..7,
        version in prop_oneof![Just(0x45u8), Just(0x60), any::<u8>()],
        protocol in prop_oneof![Just(6u8), Just(17)],
    ) {
        if let [_, gso, ..] = frame.as_mut_slice() { *gso = kind; }
        if let Some(first) = frame.get_mut(OCTETS) { *first = version; }
        for at in [OCTETS + 6, OCTETS + 9] {
            if let Some(place) = frame.get_mut(at) { *place = protocol; }
        }
        for at in [OCTETS + 2, OCTETS + 4] {
            if let Some(place) = frame.get_mut(at) { *place = 0; }
        }
        if let Some(superpacket) = Superpacket::parse(&frame) {
            for index in 0..superpacket.count() {
                superpacket.write(index, &mut vec![0; superpacket.octets(index)]);
            }
        }
    }

    #[test]
    fn any_packets_are_joined_without_panic(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 60..90), 1..8),
        protocol in prop_oneof![Just(6u8), Just(17)],
    ) {
        let mut coalescer = Coalescer::with_capacity(0);
        coalescer.join_udp(true);
        for mut packet in packets {
            packet[..10].copy_from_slice(&[0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, protocol]);
            packet[12..24].fill(1);
            if let Some(outline) = ip::parse(&packet) {
                coalescer.push(&packet, &outline);
            }
        }
        for frame in coalescer.frames() {
            prop_assert!(Superpacket::parse(frame).is_some());
        }
    }
}

fn tcp(payload: &[u8], sequence: u32, flags: u8) -> Vec<u8> {
    let shape = Shape {
        ipv6: false,
        is_tcp: true,
        options: 3,
        payload: payload.to_vec(),
        size: 1400,
        flags,
        identification: 0,
        sequence,
    };
    let mut packet = cut(&shape.frame()).remove(0);
    // With DF the identification, which is always the same here, means nothing.
    packet[6] |= 0x40;
    ip::set_length(&mut packet).unwrap();
    packet
}

#[test]
fn what_goes_on_is_joined() {
    let packets = [tcp(b"hello!", 100, 0x10), tcp(b"there", 106, 0x10)];
    assert_eq!(join(&packets).len(), 1);
}

#[test]
fn no_frame_has_more_datagrams_than_the_kernel_takes() {
    let shape = Shape {
        ipv6: false,
        is_tcp: false,
        options: 0,
        payload: vec![1; 10 * (2 * MAX_UDP_SEGMENTS + 3)],
        size: 10,
        flags: 0,
        identification: 0,
        sequence: 0,
    };
    let frames = join(&cut(&shape.frame()));
    let counts = frames
        .iter()
        .map(|frame| Superpacket::parse(frame).unwrap().count());
    assert_eq!(
        counts.collect::<Vec<_>>(),
        [MAX_UDP_SEGMENTS, MAX_UDP_SEGMENTS, 3]
    );
}

#[test]
fn what_reserved_bits_say_is_not_lost() {
    let mut second = tcp(b"there", 106, 0x10);
    // AE of RFC 9768, which the other packet does not have.
    second[32] ^= 1;
    second[36..38].fill(0);
    let outline = ip::parse(&second).unwrap();
    let sum = outline.pseudo_header(second.len() - 20).with(&second[20..]);
    second[36..38].copy_from_slice(&sum.checksum());
    let packets = [tcp(b"hello!", 100, 0x10), second];
    let alone = packets.each_ref().map(|packet| plain_frame(packet));
    assert_eq!(join(&packets), alone);
}

#[test]
fn segments_with_other_flags_pass_alone() {
    for flags in [0x11, 0x14, 0x12, 0x50, 0x90, 0x30] {
        let packets = [tcp(&[1; 100], 1, 0x10), tcp(&[2; 100], 101, flags)];
        assert_eq!(join(&packets).len(), 2, "flags {flags:#x}");
    }
}

#[test]
fn a_gap_in_the_stream_begins_another_frame() {
    let packets = [tcp(&[1; 100], 1, 0x10), tcp(&[2; 100], 102, 0x10)];
    assert_eq!(join(&packets), packets.map(|packet| plain_frame(&packet)));
}

#[test]
fn acknowledgements_pass_alone() {
    let packets = [tcp(&[], 1, 0x10), tcp(&[], 1, 0x10)];
    assert_eq!(join(&packets).len(), 2);
}

#[test]
fn flags_go_to_the_segments_they_belong_to() {
    let shape = Shape {
        ipv6: true,
        is_tcp: true,
        options: 0,
        payload: vec![7; 300],
        size: 100,
        flags: 0x99,
        identification: 0,
        sequence: u32::MAX - 50,
    };
    let flags: Vec<u8> = cut(&shape.frame())
        .iter()
        .map(|segment| segment[53])
        .collect();
    assert_eq!(flags, [0x90, 0x10, 0x19], "CWR first, FIN and PSH last");
}

#[test]
fn a_missing_checksum_is_completed() {
    let shape = Shape {
        ipv6: false,
        is_tcp: false,
        options: 0,
        payload: vec![3; 33],
        size: 33,
        flags: 0,
        identification: 1,
        sequence: 0,
    };
    let header = VirtioNetHdr {
        flags: NEEDS_CSUM,
        csum_start: 20,
        csum_offset: 6,
        ..VirtioNetHdr::PLAIN
    };
    let frame = [header.to_octets().as_slice(), &shape.packet()].concat();
    assert_valid(&cut(&frame)[0]);
    let outside = VirtioNetHdr {
        csum_start: 60,
        ..header
    };
    let frame = [outside.to_octets().as_slice(), &shape.packet()].concat();
    assert!(Superpacket::parse(&frame).is_none());
}

/// A device that puts its checksum where addresses, protocol or ports are could send a packet past
/// the policy that was asked about another one.
#[test]
fn a_checksum_is_never_where_a_policy_looks() {
    for (protocol, first) in [(6, 4), (17, 4), (132, 4), (1, 2), (58, 2)] {
        for ipv6 in [false, true] {
            let shape = Shape {
                ipv6,
                is_tcp: true,
                options: 0,
                payload: vec![3; 5],
                size: 5,
                flags: 0,
                identification: 1,
                sequence: 0,
            };
            let mut packet = shape.packet();
            packet[if ipv6 { 6 } else { 9 }] = protocol;
            let transport = shape.transport();
            for start in 0..transport + 2 {
                for field in start..packet.len() {
                    let header = VirtioNetHdr {
                        flags: NEEDS_CSUM,
                        csum_start: u16::try_from(start).unwrap(),
                        csum_offset: u16::try_from(field - start).unwrap(),
                        ..VirtioNetHdr::PLAIN
                    };
                    let frame = [&header.to_octets(), &packet[..]].concat();
                    let may_be = field >= transport + first && field + 2 <= packet.len();
                    let cut = Superpacket::parse(&frame);
                    assert_eq!(cut.is_some(), may_be, "{protocol} {start} {field}");
                    if let Some(cut) = cut {
                        let mut written = vec![0; cut.octets(0)];
                        cut.write(0, &mut written);
                        assert_eq!(ip::parse(&written).unwrap().flow, cut.ip().flow);
                    }
                }
            }
        }
    }
}
