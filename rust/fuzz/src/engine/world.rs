//! Both ends of one SA, and time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use aws_lc_rs::digest;
use perilune_engine::*;
use perilune_wire::ip;
use perilune_wire::ipcomp::CPI_DEFLATE;
use perilune_wire::segment::Superpacket;

use super::forgery::{KEY, SPI};
use super::oracle::{assert_sound, segments};

const POLICY: PolicyId = PolicyId(1);

/// What kind of SA it is.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    first: u8,
    second: u8,
    /// Of the input, so that the fuzzer cannot learn what an encrypted octet will be.
    secret: [u8; 32],
}

pub(super) struct World {
    pub(super) shape: Shape,
    pub(super) sender: Engine,
    receiver: Engine,
    sealer: OutboundWorker,
    opener: InboundWorker,
    pub(super) now: Instant,
    /// How many packets the receiver's host got.
    delivered: u64,
    /// Packets that a frame has not become, as the sender counted them.
    pub(super) not_sealed: u64,
}

/// A packet on its way.
pub(super) struct OnWire {
    /// With its IP header.
    pub(super) whole: Vec<u8>,
    /// Its ESP alone, where a socket makes the header.
    pub(super) bare: Option<Vec<u8>>,
}

impl Shape {
    pub(super) fn of(first: u8, second: u8, input: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, input);
        Self {
            first,
            second,
            secret: *digest.as_ref().first_chunk().expect("32 octets"),
        }
    }

    pub(super) fn is_ipv6(self) -> bool {
        self.first & 0x04 != 0
    }

    pub(super) fn has_window(self) -> bool {
        self.second & 0x20 != 0
    }

    /// Whether packets come out as they went in, one for one.
    pub(super) fn is_transparent(self) -> bool {
        let processing = self.processing(1);
        let is_whole =
            processing.path_mtu.is_none() && processing.fragmentation != Fragmentation::Before;
        processing.mode == Mode::Tunnel && is_whole
    }

    /// Whether nobody without the key can read anything.
    pub(super) fn is_secret(self) -> bool {
        matches!(self.suite(), Suite::Combined(_))
    }

    fn mode(self, local: u8) -> Mode {
        match self.first & 0x03 {
            0 => Mode::Tunnel,
            1 => Mode::Transport,
            2 => Mode::Any,
            _ => Mode::Beet {
                local: host(self.first & 0x80 != 0, local),
                remote: host(self.first & 0x80 != 0, 3 - local),
            },
        }
    }

    fn suite(self) -> Suite {
        match self.first & 0x18 {
            0x08 => Suite::Ah(AhIntegrity::Mac(Integrity::HmacSha2_256_128)),
            0x10 => Suite::aes_gcm_16(AesKeyBits::Bits128),
            _ => Suite::IntegrityOnly(Integrity::HmacSha2_256_128),
        }
    }

    fn processing(self, local: u8) -> Processing {
        let mut processing = Processing::of(self.mode(local));
        if self.second & 0x01 != 0 {
            processing.path_mtu = Some(1280);
        }
        if self.second & 0x02 != 0 {
            processing.fragmentation = Fragmentation::Before;
        }
        if self.second & 0x04 != 0 {
            processing.tfc = TfcPadding::To(200);
        }
        if self.second & 0x08 != 0 {
            processing.destination_options = DestinationOptions::Outside;
        }
        if self.second & 0x10 != 0 {
            processing.df = DontFragment::Clear;
        }
        if self.second & 0x40 != 0 {
            processing.compression = Some(CPI_DEFLATE);
        }
        processing
    }

    fn sa(self, direction: Direction) -> SaConfig {
        let local = if direction == Direction::Outbound {
            1
        } else {
            2
        };
        let suite = self.suite();
        let keys = Keys::new(
            self.secret[..suite.encryption_key_octets()].to_vec(),
            KEY[..suite.integrity_key_octets()].to_vec(),
        );
        let is_udp = self.first & 0x20 != 0 && suite.protocol() == Protocol::Esp;
        SaConfig {
            spi: SPI,
            direction,
            policy: POLICY,
            peer_spi: SPI,
            path: Path {
                local: end(self.is_ipv6(), local),
                remote: end(self.is_ipv6(), 3 - local),
            },
            encapsulation: if is_udp {
                Encapsulation::Udp
            } else {
                Encapsulation::None
            },
            processing: self.processing(local),
            lookup: Lookup::Spi,
            within: None,
            suite,
            allow_insecure: true,
            keys,
            esn: self.first & 0x40 != 0,
            sequence: SequenceState::default(),
            replay_window: if self.has_window() { 64 } else { 0 },
            selectors: everything(),
            stateful_fragments: false,
            lifetimes: Lifetimes::default(),
            ready_after: None,
        }
    }
}

impl World {
    pub(super) fn new(shape: Shape) -> Self {
        let (sender, receiver) = (Engine::new(), Engine::new());
        let now = Instant(1_000_000_000);
        for (engine, direction) in [
            (&sender, Direction::Outbound),
            (&receiver, Direction::Inbound),
        ] {
            engine
                .apply(&[Change::AddPolicy(policy())], now)
                .expect("a policy");
            // Some combinations are none: then packets meet an engine without an SA.
            let _ = engine.apply(&[Change::AddSa(Box::new(shape.sa(direction)))], now);
        }
        let (sealer, opener) = (sender.outbound_worker(), receiver.inbound_worker());
        Self {
            shape,
            sender,
            receiver,
            sealer,
            opener,
            now,
            delivered: 0,
            not_sealed: 0,
        }
    }

    /// Seal a frame of the device, and tell each packet that leaves.
    pub(super) fn seal(&mut self, frame: &[u8]) -> Vec<OnWire> {
        let mut batch = SealedBatch::with_capacity(0);
        let mut packets = Vec::new();
        let before = drops(&self.sender);
        for _ in 0..1000 {
            let progress = self
                .sender
                .seal(&mut self.sealer, frame, self.now, &mut batch);
            assert_eq!(batch.bypass().len(), 0, "all traffic is to be protected");
            packets.extend(on_wire(&batch));
            batch.clear();
            if progress == Progress::Done {
                self.not_sealed = drops(&self.sender) - before;
                return packets;
            }
        }
        panic!("one frame fills a thousand batches");
    }

    /// A whole IP packet comes from the network; returned is what the host gets.
    pub(super) fn arrive(&mut self, octets: &[u8]) -> Vec<Vec<u8>> {
        let Some(outline) = ip::parse(octets) else {
            return Vec::new();
        };
        let from = PathInfo {
            local: SocketAddr::new(outline.flow.destination(), 4500),
            remote: SocketAddr::new(outline.flow.source(), 4500),
            encapsulated: false,
            traffic_class: outline.traffic_class,
            hop_limit: 64,
            flow_label: outline.flow_label,
        };
        let mut packet = octets.to_vec();
        let before = drops(&self.receiver);
        let (engine, now) = (&self.receiver, self.now);
        let opened =
            take_all(|out| engine.open_packet(&mut self.opener, &mut packet, &from, now, out));
        if !outline.is_fragment {
            self.note(&opened, before);
        }
        opened
    }

    /// ESP comes out of a socket; returned is what the host gets.
    pub(super) fn arrive_esp(&mut self, octets: &[u8]) -> Vec<Vec<u8>> {
        let from = PathInfo {
            local: end(self.shape.is_ipv6(), 2),
            remote: end(self.shape.is_ipv6(), 1),
            encapsulated: true,
            traffic_class: octets.first().copied().unwrap_or(0),
            hop_limit: 0,
            flow_label: 0,
        };
        let mut packet = octets.to_vec();
        let before = drops(&self.receiver);
        let (engine, now) = (&self.receiver, self.now);
        let opened = take_all(|out| engine.open(&mut self.opener, &mut packet, &from, now, out));
        self.note(&opened, before);
        opened
    }

    /// One packet came, and it is with the host or counted as dropped.
    fn note(&mut self, opened: &[Vec<u8>], before: u64) {
        let delivered = u64::try_from(opened.len()).expect("few");
        assert_eq!(
            delivered + drops(&self.receiver) - before,
            1,
            "accounted for once"
        );
        self.delivered += delivered;
    }

    pub(super) fn is_let_in(&mut self, packet: &Superpacket<'_>) -> bool {
        self.receiver
            .inbound_clear(&mut self.opener, packet, self.now)
    }

    /// So many seconds pass as the octets say.
    pub(super) fn wait(&mut self, octets: &[u8]) {
        let seconds = octets.iter().map(|octet| u64::from(*octet)).sum::<u64>();
        self.now = Instant(self.now.0 + seconds * 1_000_000_000);
        for engine in [&self.sender, &self.receiver] {
            let next = engine.on_time(self.now);
            assert!(next.is_none_or(|next| next > self.now));
        }
    }

    /// What is left behind is in order.
    pub(super) fn check(&self) {
        for engine in [&self.sender, &self.receiver] {
            for reply in engine.take_replies() {
                assert_sound(&reply);
            }
            let _ = engine.take_events(usize::MAX);
        }
        let sas = self.receiver.stats().sas;
        let carried: u64 = sas.iter().map(|sa| sa.packets).sum();
        assert!(
            self.delivered <= carried,
            "only what an SA carried is delivered"
        );
    }
}

/// What is in a batch, in order.
fn on_wire(batch: &SealedBatch) -> Vec<OnWire> {
    let runs = batch.runs().iter();
    let mut bare = runs.flat_map(|run| batch.octets(run).chunks(run.segment_size));
    let packets = batch.to_packets().into_iter().map(|whole| {
        assert_sound(&whole);
        let bare = bare.next().map(<[u8]>::to_vec);
        OnWire { whole, bare }
    });
    packets.collect()
}

fn drops(engine: &Engine) -> u64 {
    engine.stats().drops.iter().map(|(_, count)| count).sum()
}

/// Take everything out of batches until the engine is done, packet by packet.
fn take_all(mut open: impl FnMut(&mut OpenedBatch) -> Progress) -> Vec<Vec<u8>> {
    let mut batch = OpenedBatch::with_capacity(0);
    let mut packets = Vec::new();
    for _ in 0..10 {
        let progress = open(&mut batch);
        for frame in batch.frames() {
            packets.extend(segments(frame).expect("the device takes it"));
        }
        batch.clear();
        if progress == Progress::Done {
            return packets;
        }
    }
    panic!("one packet fills ten batches");
}

fn policy() -> PolicyConfig {
    PolicyConfig {
        id: POLICY,
        priority: 1,
        action: Action::Protect,
        selectors: everything(),
        direction: None,
        populate: Populate::default(),
        hold: true,
        icmp_errors: IcmpErrors::default(),
    }
}

fn everything() -> SelectorPair {
    let v4 = IpAddr::from([0; 4])..=IpAddr::from([255; 4]);
    let v6 = IpAddr::from([0; 16])..=IpAddr::from([255; 16]);
    let all: Vec<_> = [v4, v6]
        .into_iter()
        .map(|range| TrafficSelector::new(range, 0, Ports::Any).expect("a range"))
        .collect();
    SelectorPair::new(all.clone(), all)
}

/// 192.0.2.x, or `2001:db8::x`.
fn end(is_ipv6: bool, side: u8) -> SocketAddr {
    let address: IpAddr = if is_ipv6 {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, side.into()).into()
    } else {
        Ipv4Addr::new(192, 0, 2, side).into()
    };
    SocketAddr::new(address, 4500)
}

/// 10.x.0.7, or `fd0x::7`.
fn host(is_ipv6: bool, side: u8) -> IpAddr {
    if is_ipv6 {
        Ipv6Addr::new(0xfd00 + u16::from(side), 0, 0, 0, 0, 0, 0, 7).into()
    } else {
        Ipv4Addr::new(10, side, 0, 7).into()
    }
}
