//! From the protected side to the network: classify, seal, send.

use std::net::SocketAddr;
use std::sync::Arc;

use perilune_engine::{
    Encapsulation, Instant, OutboundWorker as EngineWorker, Path, Progress, SealedBatch,
};
use perilune_wire::ip;
use perilune_wire::virtio_net_hdr::VirtioNetHdr;

use crate::clock;
use crate::counters::{IoDrop, add};
use crate::datagram_socket::Run;
use crate::device::{Boundary, DeviceError, Lost};
use crate::frame_buffer::FrameBuffer;
use crate::shared::Shared;

/// Most frames read before what they became is sent and the time is looked at.
const BURST_FRAMES: usize = 64;

/// The half of a worker that reads a queue of the protected side's device.
pub(crate) struct OutboundWorker {
    shared: Arc<Shared>,
    number: usize,
    engine: EngineWorker,
    frame: FrameBuffer,
    batch: SealedBatch,
}

impl OutboundWorker {
    pub(crate) fn new(shared: Arc<Shared>, number: usize) -> Self {
        let engine = shared.engine.outbound_worker();
        let batch = SealedBatch::in_turn(SealedBatch::DEFAULT_OCTETS);
        Self {
            shared,
            number,
            engine,
            frame: FrameBuffer::new(),
            batch,
        }
    }

    /// Read until the queue is empty or a burst is full, and send what came of it.
    pub(crate) fn read_burst(&mut self) -> Result<Burst, Lost> {
        let shared = Arc::clone(&self.shared);
        let mut burst = Burst::More;
        shared.device.pass_turn(self.number);
        for _ in 0..BURST_FRAMES {
            match shared.device.read(self.number, &mut self.frame) {
                Ok(()) => self.seal(),
                Err(DeviceError::WouldBlock) => {
                    burst = Burst::Drained;
                    break;
                }
                Err(DeviceError::Packet) => {
                    shared
                        .counters(self.number)
                        .drop_packets(IoDrop::DeviceRead, 1);
                    burst = Burst::Drained;
                    break;
                }
                Err(DeviceError::Gone(lost)) => return Err(lost),
            }
        }
        self.send();
        // Its SA may have come while a packet was put aside to wait for it, and the worker that sends such
        // packets may have looked before.
        if shared.engine.has_released(&self.engine) {
            shared.kick(0).raise();
        }
        Ok(burst)
    }

    fn seal(&mut self) {
        let (shared, batch, now) = (&self.shared, &mut self.batch, clock::now());
        let (engine, counters) = (shared.engine.as_ref(), shared.counters(self.number));
        add(&counters.work.device_reads, 1);
        let boundary = Boundary {
            engine,
            counters,
            now,
        };
        let user = self.frame.user();
        let to_seal = shared
            .device
            .to_seal(&mut self.frame, &mut self.engine, boundary);
        let Some(frame) = to_seal else {
            return;
        };
        while engine.seal_of(user, &mut self.engine, frame, now, batch) == Progress::Full {
            send_batch(shared, self.number, batch);
        }
    }

    /// Send what was sealed, run by run, and what bypasses IPsec.
    fn send(&mut self) {
        send_batch(&self.shared, self.number, &mut self.batch);
    }

    /// Send what was held and has an SA now.
    pub(crate) fn release_held(&mut self, now: Instant) {
        let engine = Arc::clone(&self.shared.engine);
        while engine.has_released(&self.engine) {
            // Whether the batch was full is told by the next look.
            let _ = engine.release_held(&mut self.engine, now, &mut self.batch);
            self.send();
        }
    }

    /// Let go of what was removed.
    pub(crate) fn refresh(&mut self) {
        self.engine.refresh();
    }
}

/// Whether the device may have more to read.
pub(crate) enum Burst {
    More,
    Drained,
}

/// Send the runs, the whole packets and the bypassed ones of a batch through the sockets of a worker,
/// and empty it; tell senders what the engine has to tell them.
pub(crate) fn send_batch(shared: &Shared, worker: usize, batch: &mut SealedBatch) {
    for run in batch.runs() {
        let Path { local, remote } = run.path;
        let payload = batch.octets(run);
        let run_out = Run {
            local,
            remote,
            traffic_class: run.traffic_class,
            dont_fragment: run.dont_fragment,
            payload,
            segment_octets: run.segment_size,
        };
        send_run(shared, worker, run.encapsulation, &run_out);
    }
    let counters = shared.counters(worker);
    for packet in batch.whole() {
        match send_whole(shared, worker, packet) {
            Ok(()) => add(&counters.work.packets_sent, 1),
            Err(reason) => {
                counters.drop_packets(reason, 1);
                note_refusal(shared, packet, reason);
            }
        }
    }
    for packet in batch.bypass() {
        match send_whole(shared, worker, packet) {
            Ok(()) => add(&counters.work.bypassed, 1),
            Err(_) => counters.drop_packets(IoDrop::BypassSend, 1),
        }
    }
    batch.clear();
    tell_senders(shared, worker);
    shared.tell_engine_events();
}

/// Hand the protected side what the engine says about packets that did not leave.
fn tell_senders(shared: &Shared, worker: usize) {
    if !shared.engine.has_replies() {
        return;
    }
    for reply in shared.engine.take_replies() {
        let frame = [&VirtioNetHdr::PLAIN.to_octets()[..], &reply].concat();
        // If the device is gone, whoever reads it next is told.
        let _ = shared
            .device
            .write(worker, &frame, shared.counters(worker), clock::now());
    }
}

/// Look anew at what the first hop of a packet takes, which was less than the engine knew.
fn note_refusal(shared: &Shared, packet: &[u8], reason: IoDrop) {
    if reason == IoDrop::SendTooBig
        && let Some(outline) = ip::parse(packet)
    {
        let at = |address| SocketAddr::new(address, 0);
        let (local, remote) = (at(outline.flow.source()), at(outline.flow.destination()));
        shared.note_first_hop(&Path { local, remote });
    }
}

fn send_whole(shared: &Shared, worker: usize, packet: &[u8]) -> Result<(), IoDrop> {
    let sockets = shared.sockets.whole.as_ref().ok_or(IoDrop::NoSocket)?;
    sockets.send(packet, shared.counters(worker))
}

fn send_run(shared: &Shared, worker: usize, encapsulation: Encapsulation, run: &Run<'_>) {
    let counters = shared.counters(worker);
    let sent = match encapsulation {
        Encapsulation::Udp => shared
            .sockets
            .udp_for(worker, run.local)
            .map(|socket| socket.send_run(run, counters)),
        Encapsulation::None => shared
            .sockets
            .raw_esp_for(run.local.ip())
            .map(|socket| socket.send_run(run, counters)),
    };
    match sent {
        None => counters.drop_packets(IoDrop::NoSocket, run.packets().len()),
        Some(true) => shared.note_first_hop(&Path {
            local: run.local,
            remote: run.remote,
        }),
        Some(false) => {}
    }
}
