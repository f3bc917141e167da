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

mod common;

use std::time::Instant as Clock;

use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use common::{NOW, SEGMENTS, engine, from, superpacket};
use perilune_engine::{
    AesKeyBits, Direction, Integrity, OpenedBatch, Progress, SealedBatch, Suite,
};

const ROUNDS: u32 = 2000;

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
        engine(suite, Direction::Outbound, 1),
        engine(suite, Direction::Inbound, 1),
    );
    let (mut outbound, mut inbound) = (sender.outbound_worker(), receiver.inbound_worker());
    let mut sealed = SealedBatch::with_capacity(SealedBatch::DEFAULT_OCTETS);
    let mut opened = OpenedBatch::with_capacity(OpenedBatch::DEFAULT_OCTETS);
    opened.join_udp(true);
    let frame = superpacket(octets);
    let from = from();
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
        let segment = run.segment_size;
        assert_eq!(
            receiver.open_bundle(&mut inbound, &mut packets, segment, &from, NOW, &mut opened),
            Progress::Done
        );
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
    let text = (octets + 2).next_multiple_of(4);
    let mut packets = vec![vec![0x5a_u8; text + 16]; SEGMENTS];
    let (mut seal_ns, mut open_ns) = (u128::MAX, u128::MAX);
    for _ in 0..ROUNDS {
        let start = Clock::now();
        for packet in &mut packets {
            let (text, tag) = packet.split_last_chunk_mut::<16>().unwrap();
            key.seal_in_place_scatter(nonce(), Aad::from([3; 12]), text, &[], tag)
                .unwrap();
        }
        seal_ns = seal_ns.min(start.elapsed().as_nanos());
        let start = Clock::now();
        for packet in &mut packets {
            let (text, tag) = packet.split_last_chunk_mut::<16>().unwrap();
            key.open_in_place_separate_tag(nonce(), Aad::from([3; 12]), tag, text)
                .unwrap();
        }
        open_ns = open_ns.min(start.elapsed().as_nanos());
    }
    let each = |round: u128| format!("{:.0}", f64::from(u32::try_from(round).unwrap()) / 40.0);
    (each(seal_ns), each(open_ns))
}
