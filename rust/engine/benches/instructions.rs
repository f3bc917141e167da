//! What a packet costs in instructions, which no other program on the machine disturbs.
//!
//! `python -m benchmarks.instructions` runs this program under callgrind, leaves out what the
//! cipher's library and the C library do, as they choose their code by the model of the processor,
//! and compares the rest to the numbers in `instructions.toml`. Alone it only prints the names of
//! its cases and how many packets each has: callgrind writes one profile for each call of `counted`.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that cannot start shall say so"
)]

mod common;

use std::hint::black_box;

use common::{NOW, SEGMENTS, datagram, engine, from, superpacket};
use perilune_engine::{
    AesKeyBits, Direction, Engine, InboundWorker, Integrity, OpenedBatch, OutboundWorker, Progress,
    SealedBatch, Suite,
};

const LONERS: u32 = 1000;

fn main() {
    let gcm = Suite::aes_gcm_16(AesKeyBits::Bits256);
    let cbc = Suite::aes_cbc(AesKeyBits::Bits256, Integrity::HmacSha2_256_128);
    let suites = [
        ("AES-256-GCM", gcm),
        ("ChaCha20-Poly1305", Suite::chacha20_poly1305()),
        ("AES-256-CBC", cbc),
    ];
    for (name, suite) in suites {
        for octets in [64, 512, 1400] {
            bulk(name, suite, octets);
        }
    }
    scattered(gcm);
}

/// Packets of one flow and one SA, as they come in bulk.
fn bulk(name: &str, suite: Suite, octets: usize) {
    let mut ends = Ends::new(suite, 1);
    let frame = superpacket(octets);
    ends.seal(&frame);
    ends.open();
    count(&format!("seal {name} {octets}"), SEGMENTS, || {
        ends.seal(&frame);
    });
    count(&format!("open {name} {octets}"), SEGMENTS, || ends.open());
}

/// Packets that have nothing to do with the one before: policy and SA are looked up for each.
fn scattered(suite: Suite) {
    let mut ends = Ends::new(suite, LONERS);
    let frames: Vec<_> = (0..LONERS).map(datagram).collect();
    count("seal, a policy to look up", frames.len(), || {
        for frame in &frames {
            ends.seal(frame);
        }
    });
    count("open, an SA to look up", frames.len(), || ends.open());
}

/// Say what is counted, and call it in a function that callgrind finds by its name.
fn count(name: &str, packets: usize, mut run: impl FnMut()) {
    println!("{name}\t{packets}");
    counted(&mut run);
}

#[inline(never)]
fn counted(run: &mut dyn FnMut()) {
    run();
    // Something to come back to, or callgrind sees a jump and no return.
    black_box(());
}

/// Both ends of so many SAs.
struct Ends {
    sender: Engine,
    receiver: Engine,
    outbound: OutboundWorker,
    inbound: InboundWorker,
    sealed: SealedBatch,
    opened: OpenedBatch,
}

impl Ends {
    fn new(suite: Suite, count: u32) -> Self {
        let sender = engine(suite, Direction::Outbound, count);
        let receiver = engine(suite, Direction::Inbound, count);
        let mut opened = OpenedBatch::with_capacity(OpenedBatch::DEFAULT_OCTETS);
        opened.join_udp(true);
        Self {
            outbound: sender.outbound_worker(),
            inbound: receiver.inbound_worker(),
            sender,
            receiver,
            sealed: SealedBatch::with_capacity(SealedBatch::DEFAULT_OCTETS),
            opened,
        }
    }

    fn seal(&mut self, frame: &[u8]) {
        let (worker, out) = (&mut self.outbound, &mut self.sealed);
        assert_eq!(self.sender.seal(worker, frame, NOW, out), Progress::Done);
    }

    /// Open everything that was sealed.
    fn open(&mut self) {
        let (worker, out) = (&mut self.inbound, &mut self.opened);
        for run in self.sealed.runs() {
            let mut octets = self.sealed.octets(run).to_vec();
            let segment = run.segment_size;
            let engine = &self.receiver;
            let progress = engine.open_bundle(worker, &mut octets, segment, &from(), NOW, out);
            assert_eq!(progress, Progress::Done);
        }
        assert_ne!(out.frames().len(), 0);
        out.clear();
        self.sealed.clear();
    }
}
