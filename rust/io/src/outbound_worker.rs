//! From the protected side to the network: classify, seal, send; and what has to happen in time.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use perilune_engine::{
    Encapsulation, Instant, OutboundWorker as EngineWorker, Path, Progress, SealedBatch,
};
use perilune_wire::ip;
use perilune_wire::virtio_net_hdr::VirtioNetHdr;

use crate::clock;
use crate::counters::{IoDrop, add};
use crate::datagram_socket::Run;
use crate::device::{Boundary, DeviceError, Lost};
use crate::event_queue::wait_readable;
use crate::frame_buffer::FrameBuffer;
use crate::runtime::Shared;

/// Most frames read before what they became is sent and the time is looked at.
const BURST_FRAMES: usize = 64;

/// The thread that reads the protected side's device.
pub(crate) struct OutboundWorker {
    shared: Arc<Shared>,
    engine: EngineWorker,
    frame: FrameBuffer,
    batch: SealedBatch,
    next_timeout: Option<Instant>,
}

impl OutboundWorker {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let engine = shared.engine.outbound_worker();
        let batch = SealedBatch::with_capacity(SealedBatch::DEFAULT_OCTETS);
        Self {
            shared,
            engine,
            frame: FrameBuffer::new(),
            batch,
            next_timeout: None,
        }
    }

    /// Work until the runtime stops or the device is gone.
    pub(crate) fn run(mut self) {
        while !self.shared.is_stopping() {
            let worked = self.read_burst().and_then(|burst| {
                if matches!(burst, Burst::Drained) {
                    self.wait();
                }
                self.look_at_time()
            });
            if let Err(lost) = worked {
                return self.shared.lose_device(lost);
            }
        }
    }

    /// Read until the device is empty or a burst is full, and send what came of it.
    fn read_burst(&mut self) -> Result<Burst, Lost> {
        let mut burst = Burst::More;
        self.shared.device.pass_turn();
        for _ in 0..BURST_FRAMES {
            match self.shared.device.read(&mut self.frame) {
                Ok(()) => self.seal(),
                Err(DeviceError::WouldBlock) => {
                    burst = Burst::Drained;
                    break;
                }
                Err(DeviceError::Packet) => {
                    self.shared.counters.drop_packets(IoDrop::DeviceRead, 1);
                    burst = Burst::Drained;
                    break;
                }
                Err(DeviceError::Gone(lost)) => return Err(lost),
            }
        }
        self.send();
        Ok(burst)
    }

    fn seal(&mut self) {
        let (shared, batch, now) = (&self.shared, &mut self.batch, clock::now());
        let (engine, counters) = (shared.engine.as_ref(), &shared.counters);
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
            send_batch(shared, batch);
        }
    }

    /// Send what was sealed, run by run, and what bypasses IPsec.
    fn send(&mut self) {
        send_batch(&self.shared, &mut self.batch);
    }

    /// Do what is due, and what a change of the databases made possible.
    fn look_at_time(&mut self) -> Result<(), Lost> {
        let now = clock::now();
        let kicked = self.shared.outbound_kick.take();
        if !kicked && self.next_timeout.is_none_or(|at| now < at) {
            return Ok(());
        }
        let engine = Arc::clone(&self.shared.engine);
        self.engine.refresh();
        let of_device = self.shared.device.on_time(&self.shared.counters, now)?;
        let deadlines = [engine.on_time(now), of_device];
        self.next_timeout = deadlines.into_iter().flatten().min();
        while engine.has_released() {
            let progress = engine.release_held(&mut self.engine, now, &mut self.batch);
            self.send();
            if progress == Progress::Done {
                break;
            }
        }
        self.shared.tell_engine_events();
        Ok(())
    }

    fn wait(&self) {
        let shared = &self.shared;
        if shared.device.take_time_short() {
            shared.outbound_kick.raise();
        }
        let until = self
            .next_timeout
            .map(|at| Duration::from_nanos(at.since(clock::now()).0));
        let descriptors = [
            shared.device.as_fd(),
            shared.stop.as_fd(),
            shared.outbound_kick.as_fd(),
        ];
        // An error here can only be a lack of memory: the next turn asks again.
        let _ = wait_readable(&descriptors, until);
    }
}

/// Whether the device may have more to read.
enum Burst {
    More,
    Drained,
}

/// Send the runs, the whole packets and the bypassed ones of a batch, and empty it; tell senders
/// what the engine has to tell them.
pub(crate) fn send_batch(shared: &Shared, batch: &mut SealedBatch) {
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
        send_run(shared, run.encapsulation, &run_out);
    }
    let counters = &shared.counters;
    for packet in batch.whole() {
        match send_whole(shared, packet) {
            Ok(()) => add(&counters.work.packets_sent, 1),
            Err(reason) => {
                counters.drop_packets(reason, 1);
                note_refusal(shared, packet, reason);
            }
        }
    }
    for packet in batch.bypass() {
        match send_whole(shared, packet) {
            Ok(()) => add(&counters.work.bypassed, 1),
            Err(_) => counters.drop_packets(IoDrop::BypassSend, 1),
        }
    }
    batch.clear();
    tell_senders(shared);
    shared.tell_engine_events();
}

/// Hand the protected side what the engine says about packets that did not leave.
fn tell_senders(shared: &Shared) {
    if !shared.engine.has_replies() {
        return;
    }
    for reply in shared.engine.take_replies() {
        let frame = [&VirtioNetHdr::PLAIN.to_octets()[..], &reply].concat();
        // If the device is gone, whoever reads it next is told.
        let _ = shared.device.write(&frame, &shared.counters, clock::now());
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

fn send_whole(shared: &Shared, packet: &[u8]) -> Result<(), IoDrop> {
    let sockets = shared.sockets.whole.as_ref().ok_or(IoDrop::NoSocket)?;
    sockets.send(packet, &shared.counters)
}

fn send_run(shared: &Shared, encapsulation: Encapsulation, run: &Run<'_>) {
    let counters = &shared.counters;
    let sent = match encapsulation {
        Encapsulation::Udp => shared
            .sockets
            .udp_for(run.local)
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
