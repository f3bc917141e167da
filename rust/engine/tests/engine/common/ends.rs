//! Two engines with the same SAs, and whole packets between them.

use std::net::{IpAddr, SocketAddr};

use perilune_engine::*;
use perilune_wire::icmp::{Problem, write_error};
use perilune_wire::ip;

use super::*;

pub(crate) const EVERYTHING: [&str; 2] = [
    "0.0.0.0-255.255.255.255",
    "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];

/// The ends of the SA in each family, and hosts behind them.
pub(crate) fn end(ipv6: bool, side: u8) -> IpAddr {
    let text = if ipv6 {
        format!("2001:db8::{side}")
    } else {
        format!("192.0.2.{side}")
    };
    text.parse().unwrap()
}

pub(crate) fn host(ipv6: bool, side: u8) -> IpAddr {
    let text = if ipv6 {
        format!("fd0{side}::7")
    } else {
        format!("10.{side}.0.7")
    };
    text.parse().unwrap()
}

pub(crate) fn everything() -> SelectorPair {
    let all: Vec<_> = EVERYTHING
        .iter()
        .map(|range| selector(range, 0, Ports::Any))
        .collect();
    SelectorPair::new(all.clone(), all)
}

pub(crate) fn path(ipv6: bool, local: u8) -> Path {
    let at = |side| SocketAddr::new(end(ipv6, side), 4500);
    Path {
        local: at(local),
        remote: at(3 - local),
    }
}

/// A UDP datagram, complete.
pub(crate) fn datagram(source: IpAddr, destination: IpAddr, class: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let mut packet = match (source, destination) {
        (IpAddr::V4(s), IpAddr::V4(d)) => {
            let mut head = vec![0x45, class, 0, 0, 0, 9, 0, 0, 61, 17, 0, 0];
            head.extend_from_slice(&[s.octets(), d.octets()].concat());
            head
        }
        (IpAddr::V6(s), IpAddr::V6(d)) => {
            let mut head = vec![0x60 | (class >> 4), class << 4, 0, 0, 0, 0, 17, 61];
            head.extend_from_slice(&[s.octets(), d.octets()].concat());
            head
        }
        _ => unreachable!(),
    };
    packet.extend_from_slice(&[0x30, 0x39, 0, 53]);
    packet.extend_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(&[0, 0]);
    packet.extend_from_slice(payload);
    ip::set_length(&mut packet).unwrap();
    ip::set_transport_checksum(&mut packet).unwrap();
    packet
}

/// A sender and a receiver of one SA, or of a bundle of SAs.
pub(crate) struct Ends {
    pub(crate) sender: Engine,
    pub(crate) receiver: Engine,
}

impl Ends {
    pub(crate) fn new(sas: &[SaConfig], ipv6_outside: bool) -> Self {
        Self::between(Engine::new(), sas, ipv6_outside)
    }

    /// Over IPv4, with a sender that treats ICMP in another way.
    pub(crate) fn with_icmp(sas: &[SaConfig], controls: IcmpControls) -> Self {
        Self::between(Engine::with_icmp(controls), sas, false)
    }

    fn between(sender: Engine, sas: &[SaConfig], ipv6_outside: bool) -> Self {
        let receiver = Engine::new();
        for (engine, direction, local) in [
            (&sender, Direction::Outbound, 1),
            (&receiver, Direction::Inbound, 2),
        ] {
            let policy = policy(1, Action::Protect, everything());
            engine.apply(&[Change::AddPolicy(policy)], NOW).unwrap();
            for sa in sas {
                let mut sa = sa.clone();
                sa.direction = direction;
                sa.path = path(ipv6_outside, local);
                sa.within = sa.within.map(|id| SaId::new(direction, id.spi, sa.path));
                if let Mode::Beet { local, remote } = sa.processing.mode
                    && direction == Direction::Inbound
                {
                    sa.processing.mode = Mode::Beet {
                        local: remote,
                        remote: local,
                    };
                }
                engine.apply(&[add(sa)], NOW).unwrap();
            }
        }
        Self { sender, receiver }
    }

    pub(crate) fn seal(&self, packet: &[u8]) -> Vec<Vec<u8>> {
        let mut batch = SealedBatch::with_capacity(0);
        let frame = [&[0; VIRTIO], packet].concat();
        let mut worker = self.sender.outbound_worker();
        let progress = self.sender.seal(&mut worker, &frame, NOW, &mut batch);
        assert_eq!(progress, Progress::Done);
        batch.to_packets()
    }

    pub(crate) fn open(&self, packet: &[u8]) -> Vec<Vec<u8>> {
        let mut out = OpenedBatch::with_capacity(0);
        let Some(outline) = ip::parse(packet) else {
            return Vec::new();
        };
        let from = PathInfo {
            local: SocketAddr::new(outline.flow.destination(), 4500),
            remote: SocketAddr::new(outline.flow.source(), 4500),
            encapsulated: false,
            traffic_class: outline.traffic_class,
            hop_limit: 0,
            flow_label: 0,
        };
        let mut worker = self.receiver.inbound_worker();
        let mut packet = packet.to_vec();
        let progress = self
            .receiver
            .open_packet(&mut worker, &mut packet, &from, NOW, &mut out);
        assert_eq!(progress, Progress::Done);
        out.frames().map(|frame| frame[VIRTIO..].to_vec()).collect()
    }
}

pub(crate) fn sa(mode: Mode) -> SaConfig {
    SaConfig {
        encapsulation: Encapsulation::None,
        processing: Processing::of(mode),
        selectors: everything(),
        ..sa_ab(Direction::Outbound, GCM)
    }
}

/// What a router says about a packet that is too big for the next hop.
pub(crate) fn icmp_about(sealed: &[u8], mtu: u32) -> Vec<u8> {
    let mut error = vec![0; 1280];
    let router = "203.0.113.9".parse().unwrap();
    let octets = write_error(Problem::PacketTooBig { mtu }, sealed, router, &mut error).unwrap();
    error.truncate(octets);
    error
}
