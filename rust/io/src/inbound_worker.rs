//! From the network to the protected side: tell IKE from ESP, open, write; or let by.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use perilune_engine::{InboundWorker as EngineWorker, Instant, OpenedBatch, PathInfo, Progress};
use perilune_wire::demux::{NON_ESP_MARKER, Payload, classify};
use perilune_wire::extension_header::AH;
use perilune_wire::ip::ICMPV6;

use crate::bump_in_the_wire::BumpInTheWire;
use crate::clock;
use crate::counters::{IoDrop, add};
use crate::device::{Boundary, DeviceError, Lost};
use crate::event_queue::{IoEvent, wait_readable};
use crate::frame_buffer::FrameBuffer;
use crate::message::{RECEIVE_MESSAGES, ReceiveBuffers, Received};
use crate::raw_socket::{RawSocket, RawUse};
use crate::runtime::Shared;
use crate::udp::{UdpRole, UdpSocket};

/// Most receive calls on one socket before the others have their turn.
const BURST_CALLS: usize = 4;
/// Most frames of the wire before the sockets have their turn.
const BURST_FRAMES: usize = 64;

/// The thread that reads the sockets, and the outer interface of a bump in the wire.
pub(crate) struct InboundWorker {
    buffers: ReceiveBuffers,
    opener: Opener,
}

/// What handles a received datagram, apart from the buffers that the datagram lies in.
struct Opener {
    shared: Arc<Shared>,
    engine: EngineWorker,
    batch: OpenedBatch,
    /// When the message under way was taken up: one look at the clock for all its datagrams.
    now: Instant,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Udp(&'a UdpSocket),
    Raw(&'a RawSocket),
}

impl InboundWorker {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let engine = shared.engine.inbound_worker();
        let batch = OpenedBatch::with_capacity(OpenedBatch::DEFAULT_OCTETS);
        let opener = Opener {
            shared,
            engine,
            batch,
            now: clock::now(),
        };
        Self {
            buffers: ReceiveBuffers::new(),
            opener,
        }
    }

    /// Work until the runtime stops or the device is gone.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.opener.shared);
        let udp = shared.sockets.udp.iter().map(Source::Udp);
        let sources: Vec<_> = udp
            .chain(shared.sockets.raw.iter().map(Source::Raw))
            .collect();
        let kick = &shared.inbound_kick;
        let mut wire = shared.device.unprotected().map(Wire::new);
        let outside = wire.iter().map(|wire| wire.bump.outside().as_fd());
        let descriptors: Vec<_> = outside
            .chain(sources.iter().map(|source| source.as_fd()))
            .chain([kick.as_fd(), shared.stop.as_fd()])
            .collect();
        while !shared.is_stopping() {
            // An error can only be a lack of memory: the next turn asks again.
            let Ok(readable) = wait_readable(&descriptors, None) else {
                continue;
            };
            if kick.take() {
                self.opener.engine.refresh();
                shared.tell_engine_events();
            }
            let mut readable = readable.into_iter();
            let mut result = Ok(());
            if let Some(wire) = &mut wire
                && readable.next() == Some(true)
            {
                result = wire.receive(&mut self.opener);
            }
            let readable = sources.iter().zip(readable);
            for (source, _) in readable.filter(|(_, readable)| *readable) {
                result = result.and_then(|()| self.receive(*source));
            }
            if let Err(lost) = result {
                return shared.lose_device(lost);
            }
        }
    }

    fn receive(&mut self, source: Source<'_>) -> Result<(), Lost> {
        for _ in 0..BURST_CALLS {
            let count = match self.buffers.receive(source.as_fd()) {
                Ok(count) => count,
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        self.opener
                            .shared
                            .counters
                            .drop_packets(IoDrop::ReceiveError, 1);
                    }
                    return Ok(());
                }
            };
            add(&self.opener.shared.counters.work.receive_messages, count);
            for mut message in self.buffers.messages(count) {
                self.opener.take_message(source, &mut message)?;
            }
            self.opener.write()?;
            if count < RECEIVE_MESSAGES {
                // The socket was drained; asking it would be a system call for nothing.
                break;
            }
        }
        Ok(())
    }
}

/// The unprotected side of a bump in the wire.
struct Wire<'a> {
    bump: &'a BumpInTheWire,
    frame: FrameBuffer,
}

impl<'a> Wire<'a> {
    fn new(bump: &'a BumpInTheWire) -> Self {
        let frame = FrameBuffer::new();
        Self { bump, frame }
    }

    /// Take frames that are not for us.
    fn receive(&mut self, opener: &mut Opener) -> Result<(), Lost> {
        let (shared, worker) = (&opener.shared, &mut opener.engine);
        for _ in 0..BURST_FRAMES {
            match self.bump.outside().read(&mut self.frame) {
                Ok(()) => {}
                Err(DeviceError::WouldBlock) => break,
                Err(DeviceError::Gone(lost)) => return Err(lost),
                Err(DeviceError::Packet) => {
                    shared.counters.drop_packets(IoDrop::DeviceRead, 1);
                    break;
                }
            }
            let boundary = Boundary {
                engine: &shared.engine,
                counters: &shared.counters,
                now: clock::now(),
            };
            self.bump.take_from_outside(&self.frame, worker, boundary);
        }
        if shared.device.take_time_short() {
            shared.outbound_kick.raise();
        }
        shared.tell_engine_events();
        Ok(())
    }
}

impl Opener {
    fn take_message(&mut self, source: Source<'_>, message: &mut Received<'_>) -> Result<(), Lost> {
        self.now = clock::now();
        let counters = &self.shared.counters;
        if message.truncated {
            counters.drop_packets(IoDrop::ReceiveTruncated, 1);
            return Ok(());
        }
        let from = source.path_info(message);
        let segment = message
            .ancillary
            .segment_size
            .unwrap_or(message.data.len())
            .max(1);
        add(
            &counters.work.datagrams_received,
            message.data.len().div_ceil(segment).max(1),
        );
        match source {
            Source::Udp(socket) if socket.role() == UdpRole::Ike => {
                self.push_ike(from, false, message.data);
                Ok(())
            }
            Source::Udp(_) => message
                .data
                .chunks_mut(segment)
                .try_for_each(|one| self.take_datagram(from, one)),
            Source::Raw(socket) => self.take_raw(from, socket.usage(), message.data),
        }
    }

    /// What a raw socket gave: with its header in IPv4, without in IPv6 (raw(7)).
    fn take_raw(&mut self, from: PathInfo, usage: RawUse, data: &mut [u8]) -> Result<(), Lost> {
        let mut rebuilt = match (usage, from.local) {
            (RawUse::Esp, SocketAddr::V6(_)) => return self.open(from, data),
            (RawUse::Ah, SocketAddr::V6(_)) => from.with_header(AH, data),
            (RawUse::Icmp, SocketAddr::V6(_)) => from.with_header(ICMPV6, data),
            (_, SocketAddr::V4(_)) => None,
        };
        let packet = rebuilt.as_deref_mut().unwrap_or(data);
        if usage == RawUse::Icmp {
            self.shared.engine.note_icmp_error(packet, self.now);
            return Ok(());
        }
        let (engine, now) = (Arc::clone(&self.shared.engine), self.now);
        while engine.open_packet(&mut self.engine, packet, &from, now, &mut self.batch)
            == Progress::Full
        {
            self.write()?;
        }
        Ok(())
    }

    /// A datagram on the NAT traversal port (RFC 3948, section 2).
    fn take_datagram(&mut self, from: PathInfo, payload: &mut [u8]) -> Result<(), Lost> {
        match classify(payload) {
            Payload::Esp => return self.open(from, payload),
            Payload::Ike => {
                self.push_ike(
                    from,
                    true,
                    payload.get(NON_ESP_MARKER.len()..).unwrap_or_default(),
                );
            }
            Payload::Malformed => {
                self.shared
                    .counters
                    .drop_packets(IoDrop::EncapsulationMalformed, 1);
            }
            Payload::NatKeepalive => add(&self.shared.counters.work.keepalives_received, 1),
        }
        Ok(())
    }

    fn push_ike(&self, from: PathInfo, encapsulated: bool, message: &[u8]) {
        let event = IoEvent::IkeDatagram {
            local: from.local,
            remote: from.remote,
            encapsulated,
            data: message.to_vec(),
        };
        if !self.shared.events.push_datagram(event) {
            self.shared.counters.drop_packets(IoDrop::IkeQueueFull, 1);
        }
    }

    fn open(&mut self, from: PathInfo, esp: &mut [u8]) -> Result<(), Lost> {
        let (engine, now) = (Arc::clone(&self.shared.engine), self.now);
        while engine.open(&mut self.engine, esp, &from, now, &mut self.batch) == Progress::Full {
            self.write()?;
        }
        Ok(())
    }

    /// Write what was opened to the device.
    fn write(&mut self) -> Result<(), Lost> {
        let shared = &self.shared;
        for frame in self.batch.frames() {
            shared.device.write(frame, &shared.counters, self.now)?;
        }
        self.batch.clear();
        if shared.device.take_time_short() {
            shared.outbound_kick.raise();
        }
        shared.tell_engine_events();
        Ok(())
    }
}

impl<'a> Source<'a> {
    fn as_fd(self) -> BorrowedFd<'a> {
        match self {
            Self::Udp(socket) => socket.as_fd(),
            Self::Raw(socket) => socket.as_fd(),
        }
    }

    fn path_info(&self, message: &Received<'_>) -> PathInfo {
        let bound = match self {
            Self::Udp(socket) => socket.local(),
            Self::Raw(socket) => SocketAddr::new(socket.local(), 0),
        };
        let mut local = bound;
        if let Some(address) = message.ancillary.destination {
            local.set_ip(address);
        }
        let mut remote = message.from;
        if matches!(self, Self::Raw(_)) {
            // The kernel gives the protocol number in place of a port (raw(7)).
            remote.set_port(0);
        }
        PathInfo {
            local,
            remote,
            encapsulated: matches!(self, Self::Udp(_)),
            traffic_class: message.ancillary.traffic_class,
            hop_limit: message.ancillary.hop_limit,
            flow_label: 0,
        }
    }
}
