//! Two engines joined by nothing but the test, and packets of hosts behind them.

pub(crate) mod ends;
pub(crate) mod pieces;

use std::net::{IpAddr, SocketAddr};

use perilune_engine::*;

/// Octets of the header in front of each frame of the device.
pub(crate) const VIRTIO: usize = 10;
pub(crate) const POLICY: PolicyId = PolicyId(1);
/// SPI of the SA from `a` to `b`, and of the one back.
pub(crate) const SPI_AB: u32 = 0x1000;
pub(crate) const SPI_BA: u32 = 0x2000;
pub(crate) const NOW: Instant = Instant(1_000_000_000);

pub(crate) fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 4500))
}

/// From gateway 1 to gateway 2.
pub(crate) fn path_ab() -> Path {
    Path {
        local: address(1),
        remote: address(2),
    }
}

pub(crate) fn path_ba() -> Path {
    Path {
        local: address(2),
        remote: address(1),
    }
}

pub(crate) fn selector(range: &str, protocol: u8, ports: Ports) -> TrafficSelector {
    let (first, last) = range.split_once('-').unwrap();
    let addresses: std::ops::RangeInclusive<IpAddr> =
        first.parse().unwrap()..=last.parse().unwrap();
    TrafficSelector::new(addresses, protocol, ports).unwrap()
}

/// `10.1/16` and `fd01::/16` here, `10.2/16` and `fd02::/16` there.
pub(crate) fn nets(local: u8, remote: u8) -> SelectorPair {
    let side = |n: u8| {
        vec![
            selector(&format!("10.{n}.0.0-10.{n}.255.255"), 0, Ports::Any),
            selector(
                &format!("fd0{n}::-fd0{n}:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
                0,
                Ports::Any,
            ),
        ]
    };
    SelectorPair::new(side(local), side(remote))
}

pub(crate) fn keys(suite: Suite, seed: u8) -> Keys {
    let octets = |count: usize| (seed..).take(count).collect();
    Keys::new(
        octets(suite.encryption_key_octets()),
        octets(suite.integrity_key_octets()),
    )
}

/// An SA from 1 to 2, as gateway 1 (outbound) or gateway 2 (inbound) sees it.
pub(crate) fn sa_ab(direction: Direction, suite: Suite) -> SaConfig {
    let is_outbound = direction == Direction::Outbound;
    SaConfig {
        spi: SPI_AB,
        direction,
        policy: POLICY,
        peer_spi: SPI_BA,
        path: if is_outbound { path_ab() } else { path_ba() },
        encapsulation: Encapsulation::Udp,
        processing: Processing::of(Mode::Tunnel),
        lookup: Lookup::Spi,
        within: None,
        suite,
        allow_insecure: true,
        keys: keys(suite, 7),
        esn: false,
        replay_window: if suite.has_integrity() { 64 } else { 0 },
        selectors: if is_outbound { nets(1, 2) } else { nets(2, 1) },
        stateful_fragments: false,
        lifetimes: Lifetimes::default(),
        ready_after: None,
        sequence: SequenceState::default(),
    }
}

pub(crate) fn policy(id: u32, action: Action, selectors: SelectorPair) -> PolicyConfig {
    PolicyConfig {
        id: PolicyId(id),
        priority: id,
        action,
        selectors,
        direction: None,
        populate: Populate::default(),
        hold: true,
        icmp_errors: IcmpErrors::default(),
    }
}

pub(crate) fn add(sa: SaConfig) -> Change {
    Change::AddSa(Box::new(sa))
}

pub(crate) const GCM: Suite = Suite::aes_gcm_16(AesKeyBits::Bits256);

/// Gateway 1 sends, gateway 2 receives.
pub(crate) struct Pair {
    pub(crate) a: Engine,
    pub(crate) b: Engine,
    pub(crate) sealer: OutboundWorker,
    pub(crate) opener: InboundWorker,
}

impl Pair {
    /// Both with a policy and an SA from 1 to 2, changed by `change` on both sides.
    pub(crate) fn with(suite: Suite, change: impl Fn(&mut SaConfig)) -> Self {
        let pair = Self::without_sas();
        for (engine, direction) in [
            (&pair.a, Direction::Outbound),
            (&pair.b, Direction::Inbound),
        ] {
            let mut sa = sa_ab(direction, suite);
            change(&mut sa);
            engine.apply(&[add(sa)], NOW).unwrap();
        }
        pair
    }

    pub(crate) fn new(suite: Suite) -> Self {
        Self::with(suite, |_| {})
    }

    pub(crate) fn without_sas() -> Self {
        let (a, b) = (Engine::new(), Engine::new());
        a.apply(
            &[Change::AddPolicy(policy(1, Action::Protect, nets(1, 2)))],
            NOW,
        )
        .unwrap();
        b.apply(
            &[Change::AddPolicy(policy(1, Action::Protect, nets(2, 1)))],
            NOW,
        )
        .unwrap();
        let (sealer, opener) = (a.outbound_worker(), b.inbound_worker());
        Self {
            a,
            b,
            sealer,
            opener,
        }
    }

    /// Seal a frame and give each ESP packet that came of it.
    pub(crate) fn seal(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        self.seal_at(frame, NOW)
    }

    pub(crate) fn seal_at(&mut self, frame: &[u8], now: Instant) -> Vec<Vec<u8>> {
        let mut batch = SealedBatch::with_capacity(0);
        let mut packets = Vec::new();
        loop {
            let progress = self.a.seal(&mut self.sealer, frame, now, &mut batch);
            packets.extend(packets_of(&batch));
            batch.clear();
            if progress == Progress::Done {
                return packets;
            }
        }
    }

    pub(crate) fn release(&mut self) -> Vec<Vec<u8>> {
        let mut batch = SealedBatch::with_capacity(SealedBatch::DEFAULT_OCTETS);
        assert_eq!(
            self.a.release_held(&mut self.sealer, NOW, &mut batch),
            Progress::Done
        );
        packets_of(&batch)
    }

    /// Open packets on the way and give the frames that came of them.
    pub(crate) fn open(&mut self, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.open_from(packets, &from_a())
    }

    pub(crate) fn open_from(&mut self, packets: &[Vec<u8>], from: &PathInfo) -> Vec<Vec<u8>> {
        let mut batch = OpenedBatch::with_capacity(0);
        batch.join_udp(true);
        let mut frames = Vec::new();
        for packet in packets {
            let mut packet = packet.clone();
            while self
                .b
                .open(&mut self.opener, &mut packet, from, NOW, &mut batch)
                == Progress::Full
            {
                frames.extend(batch.frames().map(<[u8]>::to_vec));
                batch.clear();
            }
        }
        frames.extend(batch.frames().map(<[u8]>::to_vec));
        frames
    }
}

pub(crate) fn from_a() -> PathInfo {
    PathInfo {
        local: address(2),
        remote: address(1),
        encapsulated: true,
        traffic_class: 0,
        hop_limit: 0,
        flow_label: 0,
    }
}

pub(crate) fn packets_of(batch: &SealedBatch) -> Vec<Vec<u8>> {
    let runs = batch.runs().iter();
    runs.flat_map(|run| {
        assert_eq!(
            batch.octets(run).len().div_ceil(run.segment_size),
            run.count
        );
        batch
            .octets(run)
            .chunks(run.segment_size)
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    })
    .collect()
}

/// How often a reason was counted.
pub(crate) fn drops(engine: &Engine, reason: DropReason) -> u64 {
    engine
        .stats()
        .drops
        .iter()
        .find(|(of, _)| *of == reason)
        .unwrap()
        .1
}

pub(crate) fn all_drops(engine: &Engine) -> u64 {
    engine.stats().drops.iter().map(|(_, count)| count).sum()
}

/// Events without audit records.
pub(crate) fn events(engine: &Engine) -> Vec<Event> {
    let events = engine.take_events(usize::MAX);
    events
        .into_iter()
        .filter(|event| !matches!(event, Event::Audit { .. }))
        .collect()
}

/// A UDP datagram of 10.`from`.0.1 to 10.`to`.0.1 as a frame of the device, checksum complete.
pub(crate) fn udp(from: u8, to: u8, port: u16, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(28 + payload.len()).unwrap();
    let [t0, t1] = total.to_be_bytes();
    let mut packet = vec![
        0x45, 0, t0, t1, 0, 1, 0, 0, 64, 17, 0, 0, 10, from, 0, 1, 10, to, 0, 1,
    ];
    let sum = sum(&packet);
    packet[10..12].copy_from_slice(&(!sum).to_be_bytes());
    packet.extend_from_slice(&[0x30, 0x39]);
    packet.extend_from_slice(&port.to_be_bytes());
    packet.extend_from_slice(&(total - 20).to_be_bytes());
    packet.extend_from_slice(&[0, 0]);
    packet.extend_from_slice(payload);
    [vec![0; VIRTIO], packet].concat()
}

/// A TCP superpacket of the device, IPv4 or IPv6, to be cut into segments of `size` octets.
pub(crate) fn tcp_superpacket(ipv6: bool, size: u16, payload: &[u8]) -> Vec<u8> {
    let transport = if ipv6 { 40u16 } else { 20 };
    let segment = u16::try_from(20 + payload.len()).unwrap();
    let gso = if ipv6 { 4 } else { 1 };
    let mut frame = vec![1, gso];
    for field in [transport + 20, size, transport, 16] {
        frame.extend_from_slice(&field.to_ne_bytes());
    }
    let mut pseudo = Vec::new();
    if ipv6 {
        let host = |n: u8| [0xfd, n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        let [l0, l1] = segment.to_be_bytes();
        frame.extend_from_slice(&[0x60, 0, 0, 0, l0, l1, 6, 64]);
        pseudo = [host(1), host(2)].concat();
        frame.extend_from_slice(&pseudo);
    } else {
        let [l0, l1] = (20 + segment).to_be_bytes();
        let mut header = vec![
            0x45, 0, l0, l1, 9, 9, 0x40, 0, 64, 6, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1,
        ];
        let sum = sum(&header);
        header[10..12].copy_from_slice(&(!sum).to_be_bytes());
        pseudo.extend_from_slice(&header[12..20]);
        frame.extend_from_slice(&header);
    }
    pseudo.extend_from_slice(&[0, 6]);
    pseudo.extend_from_slice(&segment.to_be_bytes());
    frame.extend_from_slice(&[0x30, 0x39, 0, 80, 0, 0, 1, 0, 0, 0, 2, 0, 0x50, 0x10, 1, 0]);
    frame.extend_from_slice(&sum(&pseudo).to_be_bytes());
    frame.extend_from_slice(&[0, 0]);
    frame.extend_from_slice(payload);
    frame
}

fn sum(octets: &[u8]) -> u16 {
    let words = octets
        .chunks(2)
        .map(|pair| u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

pub(crate) fn outbound(spi: u32) -> SaConfig {
    SaConfig {
        spi,
        ..sa_ab(Direction::Outbound, GCM)
    }
}

pub(crate) fn inbound(spi: u32) -> SaConfig {
    SaConfig {
        spi,
        ..sa_ab(Direction::Inbound, GCM)
    }
}

/// The SA from the peer, as the sender of the other SA sees it.
pub(crate) fn way_back(spi: u32) -> SaConfig {
    SaConfig {
        path: path_ab(),
        selectors: nets(1, 2),
        ..inbound(spi)
    }
}

pub(crate) fn spi_of(packets: &[Vec<u8>]) -> Vec<u32> {
    packets
        .iter()
        .map(|packet| u32::from_be_bytes(*packet.first_chunk().unwrap()))
        .collect()
}

pub(crate) fn any_udp() -> Vec<u8> {
    udp(1, 2, 53, &[0; 20])
}

/// Why packets were dropped, as far as that is audited.
pub(crate) fn audited(engine: &Engine) -> Vec<DropReason> {
    let events = engine.take_events(usize::MAX).into_iter();
    events
        .filter_map(|event| match event {
            Event::Audit { reason, .. } => Some(reason),
            _ => None,
        })
        .collect()
}
