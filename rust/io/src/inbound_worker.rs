//! From the network to the protected side: tell IKE from ESP, open, write; or let by.

use std::io;
use std::mem::take;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use perilune_engine::{InboundWorker as EngineWorker, Instant, OpenedBatch, PathInfo, Progress};
use perilune_wire::demux::{NON_ESP_MARKER, Payload, classify};
use perilune_wire::extension_header::AH;
use perilune_wire::ip::ICMPV6;

use crate::bump_in_the_wire::BumpInTheWire;
use crate::clock;
use crate::counters::{Counters, IoDrop, add};
use crate::device::{Boundary, DeviceError, Lost};
use crate::event_queue::IoEvent;
use crate::frame_buffer::FrameBuffer;
use crate::message::{RECEIVE_BUNDLES, RECEIVE_MESSAGES, ReceiveBuffers, Received};
use crate::raw_socket::{RawSocket, RawUse};
use crate::shared::Shared;
use crate::udp::{UdpRole, UdpSocket};

/// Most receive calls on one socket before the others have their turn.
const BURST_CALLS: usize = 4;
/// Most frames of the wire before the sockets have their turn.
const BURST_FRAMES: usize = 64;

/// The half of a worker that reads its sockets, and the outer interface of a bump in the wire.
pub(crate) struct InboundWorker {
    buffers: ReceiveBuffers,
    /// For frames of the wire.
    frame: FrameBuffer,
    opener: Opener,
}

/// What handles a received datagram, apart from the buffers that the datagram lies in.
struct Opener {
    shared: Arc<Shared>,
    number: usize,
    engine: EngineWorker,
    batch: OpenedBatch,
    /// When the message under way was taken up: one look at the clock for all its datagrams.
    now: Instant,
}

/// What a worker receives from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Udp(&'a UdpSocket),
    Raw(&'a RawSocket),
}

impl InboundWorker {
    pub(crate) fn new(shared: Arc<Shared>, number: usize) -> Self {
        let engine = shared.engine.inbound_worker();
        let mut batch = OpenedBatch::with_capacity(OpenedBatch::DEFAULT_OCTETS);
        batch.join_udp(shared.device.takes_udp_superpackets());
        let opener = Opener {
            shared,
            number,
            engine,
            batch,
            now: clock::now(),
        };
        Self {
            buffers: ReceiveBuffers::new(),
            frame: FrameBuffer::new(),
            opener,
        }
    }

    /// Let go of what was removed.
    pub(crate) fn refresh(&mut self) {
        self.opener.engine.refresh();
    }

    /// Take what waits in a socket, a few calls' worth, to the device.
    pub(crate) fn receive(&mut self, source: Source<'_>) -> Result<(), Lost> {
        let most = source.most_messages();
        for _ in 0..BURST_CALLS {
            let count = match self.buffers.receive(source.as_fd(), most) {
                Ok(count) => count,
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        self.opener.counters().drop_packets(IoDrop::ReceiveError, 1);
                    }
                    return Ok(());
                }
            };
            add(&self.opener.counters().work.receive_messages, count);
            for mut message in self.buffers.messages(count) {
                self.opener.take_message(source, &mut message)?;
            }
            self.opener.write()?;
            if count < most {
                // The socket was drained; asking it would be a system call for nothing.
                break;
            }
        }
        Ok(())
    }

    /// Take frames from the outside of a bump in the wire that are not for us.
    pub(crate) fn pass_frames(&mut self, bump: &BumpInTheWire) -> Result<(), Lost> {
        let (shared, worker) = (&self.opener.shared, &mut self.opener.engine);
        let counters = shared.counters(self.opener.number);
        for _ in 0..BURST_FRAMES {
            match bump.outside().read(&mut self.frame) {
                Ok(()) => {}
                Err(DeviceError::WouldBlock) => break,
                Err(DeviceError::Gone(lost)) => return Err(lost),
                Err(DeviceError::Packet) => {
                    counters.drop_packets(IoDrop::DeviceRead, 1);
                    break;
                }
            }
            let boundary = Boundary {
                engine: &shared.engine,
                counters,
                now: clock::now(),
            };
            bump.take_from_outside(&self.frame, worker, boundary);
        }
        shared.tell_time_is_short();
        shared.tell_engine_events();
        Ok(())
    }
}

impl Opener {
    fn counters(&self) -> &Counters {
        self.shared.counters(self.number)
    }

    fn take_message(&mut self, source: Source<'_>, message: &mut Received<'_>) -> Result<(), Lost> {
        self.now = clock::now();
        let counters = self.counters();
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
            Source::Udp(_) => self.take_bundle(from, message.data, segment),
            Source::Raw(socket) => self.take_raw(from, socket.usage(), message.data),
        }
    }

    /// What a raw socket gave: with its header in IPv4, without in IPv6 (raw(7)).
    fn take_raw(&mut self, from: PathInfo, usage: RawUse, data: &mut [u8]) -> Result<(), Lost> {
        let mut rebuilt = match (usage, from.local) {
            (RawUse::Esp, SocketAddr::V6(_)) => return self.open(from, data, data.len()),
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

    /// Datagrams on the NAT traversal port that came together, each but the last `segment` octets long.
    fn take_bundle(
        &mut self,
        from: PathInfo,
        mut rest: &mut [u8],
        segment: usize,
    ) -> Result<(), Lost> {
        while !rest.is_empty() {
            // ESP packets that follow each other go to the engine in one piece.
            let esp = rest
                .chunks(segment)
                .take_while(|one| matches!(classify(one), Payload::Esp))
                .map(<[u8]>::len)
                .sum();
            let octets = if esp > 0 { esp } else { segment };
            let octets = octets.min(rest.len());
            let (first, behind) = take(&mut rest).split_at_mut(octets);
            if esp > 0 {
                self.open(from, first, segment)?;
            } else {
                self.take_datagram(from, first)?;
            }
            rest = behind;
        }
        Ok(())
    }

    /// A datagram on the NAT traversal port (RFC 3948, section 2).
    fn take_datagram(&mut self, from: PathInfo, payload: &mut [u8]) -> Result<(), Lost> {
        match classify(payload) {
            Payload::Esp => return self.open(from, payload, payload.len()),
            Payload::Ike => {
                self.push_ike(
                    from,
                    true,
                    payload.get(NON_ESP_MARKER.len()..).unwrap_or_default(),
                );
            }
            Payload::Malformed => {
                self.counters()
                    .drop_packets(IoDrop::EncapsulationMalformed, 1);
            }
            Payload::NatKeepalive => add(&self.counters().work.keepalives_received, 1),
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
            self.counters().drop_packets(IoDrop::IkeQueueFull, 1);
        }
    }

    /// Open ESP packets that came together, each but the last `segment` octets long.
    fn open(&mut self, from: PathInfo, esp: &mut [u8], segment: usize) -> Result<(), Lost> {
        let (engine, now) = (Arc::clone(&self.shared.engine), self.now);
        while engine.open_bundle(&mut self.engine, esp, segment, &from, now, &mut self.batch)
            == Progress::Full
        {
            self.write()?;
        }
        Ok(())
    }

    /// Write what was opened to the device.
    fn write(&mut self) -> Result<(), Lost> {
        let (shared, number) = (&self.shared, self.number);
        let counters = shared.counters(number);
        for frame in self.batch.frames() {
            shared.device.write(number, frame, counters, self.now)?;
        }
        self.batch.clear();
        shared.tell_time_is_short();
        shared.tell_engine_events();
        Ok(())
    }
}

impl<'a> Source<'a> {
    pub(crate) fn as_fd(self) -> BorrowedFd<'a> {
        match self {
            Self::Udp(socket) => socket.as_fd(),
            Self::Raw(socket) => socket.as_fd(),
        }
    }

    /// Most messages to take with one call.
    fn most_messages(self) -> usize {
        match self {
            Self::Udp(_) => RECEIVE_BUNDLES,
            Self::Raw(_) => RECEIVE_MESSAGES,
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
