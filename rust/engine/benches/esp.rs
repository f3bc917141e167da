//! Time to seal and open a packet: `cargo bench -p perilune-engine`; a word behind `--` chooses the
//! suites whose names have it.
//!
//! Superpackets of 40 equal UDP datagrams go from one engine to another in memory, so that
//! classification, sequence numbers, checksums, sealing, the replay window, opening, selector
//! checks and joining are all in. One line for each suite and size, in nanoseconds a
//! packet in the best of many rounds, which a busy machine disturbs least.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot start shall say so"
)]

use std::time::Instant as Clock;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use perilune_engine::{
    Action, AesKeyBits, Change, Direction, Encapsulation, Engine, IcmpErrors, Instant, Integrity,
    Keys, Lifetimes, Lookup, Mode, OpenedBatch, Path, PathInfo, PolicyConfig, PolicyId, Populate,
    Ports, Processing, Progress, SaConfig, SealedBatch, SelectorPair, SequenceState, Suite,
    TrafficSelector,
};

const SEGMENTS: usize = 40;
const ROUNDS: u32 = 2000;
const NOW: Instant = Instant(1);

fn main() {
    println!(
        "{:<44} {:>6} {:>9} {:>9} {:>9} {:>9}",
        "suite", "octets", "seal ns", "bare", "open ns", "bare"
    );
    let cbc = Suite::aes_cbc(AesKeyBits::Bits256, Integrity::HmacSha2_256_128);
    let suites = [
        Suite::aes_gcm_16(AesKeyBits::Bits128),
        Suite::aes_gcm_16(AesKeyBits::Bits256),
        Suite::chacha20_poly1305(),
        cbc,
    ];
    let wanted = std::env::args()
        .skip(1)
        .find(|word| !word.starts_with('-'))
        .unwrap_or_default();
    for suite in suites
        .into_iter()
        .filter(|suite| format!("{suite:?}").contains(&wanted))
    {
        for octets in [64, 512, 1400] {
            let (seal, open) = measure(suite, octets);
            let (bare_seal, bare_open) = bare(suite, octets);
            println!(
                "{:<44} {octets:>6} {seal:>9.0} {bare_seal:>9} {open:>9.0} {bare_open:>9}",
                format!("{suite:?}")
            );
        }
    }
}

/// Nanoseconds a packet of so many octets to seal and to open it.
fn measure(suite: Suite, octets: usize) -> (f64, f64) {
    let (sender, receiver) = (
        engine(suite, Direction::Outbound),
        engine(suite, Direction::Inbound),
    );
    let (mut outbound, mut inbound) = (sender.outbound_worker(), receiver.inbound_worker());
    let mut sealed = SealedBatch::with_capacity(SealedBatch::DEFAULT_OCTETS);
    let mut opened = OpenedBatch::with_capacity(OpenedBatch::DEFAULT_OCTETS);
    opened.join_udp(true);
    let frame = superpacket(octets);
    let from = PathInfo {
        local: address(2),
        remote: address(1),
        encapsulated: true,
        traffic_class: 0,
        hop_limit: 0,
        flow_label: 0,
    };
    let (mut seal_ns, mut open_ns) = (u128::MAX, u128::MAX);
    for _ in 0..ROUNDS {
        let start = Clock::now();
        assert_eq!(
            sender.seal(&mut outbound, &frame, NOW, &mut sealed),
            Progress::Done
        );
        seal_ns = seal_ns.min(start.elapsed().as_nanos());
        let run = sealed.runs()[0];
        let mut packets = sealed.octets(&run).to_vec();
        let start = Clock::now();
        for packet in packets.chunks_mut(run.segment_size) {
            assert_eq!(
                receiver.open(&mut inbound, packet, &from, NOW, &mut opened),
                Progress::Done
            );
        }
        open_ns = open_ns.min(start.elapsed().as_nanos());
        assert_eq!(opened.frames().len(), 1);
        sealed.clear();
        opened.clear();
    }
    let each = |round: u128| f64::from(u32::try_from(round).unwrap()) / 40.0;
    (each(seal_ns), each(open_ns))
}

/// The same for nothing but the library's AEAD over the plaintext and its trailer; a dash where the
/// suite has none.
fn bare(suite: Suite, octets: usize) -> (String, String) {
    let algorithm = match format!("{suite:?}").as_str() {
        "Combined(AesGcm(Bits128, Sixteen))" => &AES_128_GCM,
        "Combined(AesGcm(Bits256, Sixteen))" => &AES_256_GCM,
        "Combined(ChaCha20Poly1305)" => &CHACHA20_POLY1305,
        _ => return ("-".into(), "-".into()),
    };
    let secret = vec![1; algorithm.key_len()];
    let key = LessSafeKey::new(UnboundKey::new(algorithm, &secret).unwrap());
    let nonce = || Nonce::assume_unique_for_key([7; 12]);
    let mut packets = vec![vec![0x5a_u8; (octets + 2).next_multiple_of(4)]; SEGMENTS];
    let mut sealed = packets.clone();
    let (mut seal_ns, mut open_ns) = (u128::MAX, u128::MAX);
    for _ in 0..ROUNDS {
        let start = Clock::now();
        let mut tags = Vec::with_capacity(SEGMENTS);
        for packet in &mut packets {
            let tag = key.seal_in_place_separate_tag(nonce(), Aad::from([3; 8]), packet);
            tags.push(tag.unwrap());
        }
        seal_ns = seal_ns.min(start.elapsed().as_nanos());
        for ((packet, sealed), tag) in packets.iter().zip(&mut sealed).zip(&tags) {
            sealed.clear();
            sealed.extend_from_slice(packet);
            sealed.extend_from_slice(tag.as_ref());
        }
        let start = Clock::now();
        for packet in &mut sealed {
            key.open_in_place(nonce(), Aad::from([3; 8]), packet)
                .unwrap();
        }
        open_ns = open_ns.min(start.elapsed().as_nanos());
    }
    let each = |round: u128| format!("{:.0}", f64::from(u32::try_from(round).unwrap()) / 40.0);
    (each(seal_ns), each(open_ns))
}

fn engine(suite: Suite, direction: Direction) -> Engine {
    let engine = Engine::new();
    let all = "0.0.0.0".parse().unwrap()..="255.255.255.255".parse().unwrap();
    let all = vec![TrafficSelector::new(all, 0, Ports::Any).unwrap()];
    let selectors = SelectorPair::new(all.clone(), all);
    let id = PolicyId(1);
    let policy = PolicyConfig {
        id,
        priority: 0,
        action: Action::Protect,
        selectors: selectors.clone(),
        direction: None,
        populate: Populate::default(),
        hold: false,
        icmp_errors: IcmpErrors::default(),
    };
    let is_outbound = direction == Direction::Outbound;
    let (local, remote) = if is_outbound { (1, 2) } else { (2, 1) };
    let sa = SaConfig {
        spi: 0x1000,
        direction,
        policy: id,
        peer_spi: 0x2000,
        path: Path {
            local: address(local),
            remote: address(remote),
        },
        encapsulation: Encapsulation::Udp,
        processing: Processing::of(Mode::Tunnel),
        lookup: Lookup::Spi,
        within: None,
        suite,
        allow_insecure: false,
        keys: Keys::new(
            vec![1; suite.encryption_key_octets()],
            vec![2; suite.integrity_key_octets()],
        ),
        esn: true,
        replay_window: 1024,
        selectors,
        stateful_fragments: false,
        lifetimes: Lifetimes::default(),
        ready_after: None,
        sequence: SequenceState::default(),
    };
    engine
        .apply(
            &[Change::AddPolicy(policy), Change::AddSa(Box::new(sa))],
            NOW,
        )
        .unwrap();
    engine
}

fn address(last: u8) -> std::net::SocketAddr {
    ([192, 0, 2, last], 4500).into()
}

/// A USO superpacket of the device whose segments are IPv4 packets of so many octets.
fn superpacket(octets: usize) -> Vec<u8> {
    let payload = octets - 28;
    let total = u16::try_from(28 + payload * SEGMENTS).unwrap();
    let [t0, t1] = total.to_be_bytes();
    let [l0, l1] = (total - 20).to_be_bytes();
    let mut frame = vec![1, 5];
    for field in [28, u16::try_from(payload).unwrap(), 20, 6] {
        frame.extend_from_slice(&field.to_ne_bytes());
    }
    frame.extend_from_slice(&[
        0x45, 0, t0, t1, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    frame.extend_from_slice(&[1, 2, 3, 4, l0, l1, 0, 0]);
    frame.resize(frame.len() + payload * SEGMENTS, 0x5a);
    frame
}
