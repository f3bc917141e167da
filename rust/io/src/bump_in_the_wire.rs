//! IPsec between two interfaces, unseen by either side (RFC 4301, section 3.3).
//!
//! ```text
//! inside                                                       outside
//!   frame -> no IP, or policy lets it by ------------------> frame as it was
//!         -> policy protects it -> engine -> sockets, routed by the kernel
//!   frame <- engine <- sockets <------------------------------ ESP to our address
//!   frame <- no IP, or policy lets it by <------------------ frame as it was
//! ```
//!
//! The addresses that IKE and ESP use are the kernel's and lie on the outside interface, or on a
//! third. What the kernel sends itself on either interface is no business of the bump.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use perilune_engine::{Action, Duration, InboundWorker, Instant, OutboundWorker};
use perilune_wire::ethernet::{EthernetHeader, IPV4, IPV6, MAX_HEADER_OCTETS, MacAddress, Tags};
use perilune_wire::neighbor::{self, MAX_REQUEST_OCTETS};
use perilune_wire::segment::Superpacket;
use perilune_wire::virtio_net_hdr::VirtioNetHdr;

use crate::counters::{Counters, IoDrop, add};
use crate::device::{Boundary, DeviceError, Lost};
use crate::error::IoError;
use crate::frame_buffer::FrameBuffer;
use crate::neighbor_queue::NeighborQueue;
use crate::neighbor_table::{Neighbor, NeighborTable};
use crate::wire_port::{Frames, WirePort};

/// How often a port that is down is looked after.
const LOOK_INTERVAL: Duration = Duration::seconds(1);

/// Which wire.
#[derive(Clone, Debug)]
pub struct WireSettings {
    /// The interface to the protected side.
    pub inside: String,
    /// The interface to the unprotected side.
    pub outside: String,
}

/// Two ports, and who is behind the inner one.
#[derive(Debug)]
pub(crate) struct BumpInTheWire {
    inside: WirePort,
    outside: WirePort,
    neighbors: NeighborTable,
    queue: Mutex<NeighborQueue>,
    /// Whether the queue has something, to be asked without its lock.
    is_waiting: AtomicBool,
    /// Whether somebody is to be asked for who was not when time was last looked at.
    is_time_short: AtomicBool,
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// On, as it is.
    Through,
    /// To the engine, without its link's header.
    Engine,
    /// Nowhere, and somebody counted that.
    Nowhere,
}

impl BumpInTheWire {
    /// Listen on both interfaces.
    ///
    /// # Errors
    /// As those of [`WirePort::open`]; [`IoError::Setting`] if both are the same.
    pub(crate) fn open(settings: &WireSettings) -> Result<Self, IoError> {
        let WireSettings { inside, outside } = settings;
        if inside == outside {
            return Err(IoError::Setting(format!(
                "a bump in the wire has two interfaces, and {inside} is one"
            )));
        }
        Ok(Self {
            inside: WirePort::open(inside, Frames::All)?,
            outside: WirePort::open(outside, Frames::ForOthers)?,
            neighbors: NeighborTable::default(),
            queue: Mutex::default(),
            is_waiting: AtomicBool::new(false),
            is_time_short: AtomicBool::new(false),
        })
    }

    /// The interface to the protected side.
    pub(crate) fn inside(&self) -> &WirePort {
        &self.inside
    }

    /// The interface to the unprotected side.
    pub(crate) fn outside(&self) -> &WirePort {
        &self.outside
    }

    /// Take a frame from the inside.
    ///
    /// Returns:
    /// What is to be sealed of it; all else is dealt with.
    pub(crate) fn take_from_inside<'a>(
        &self,
        frame: &'a mut FrameBuffer,
        worker: &mut OutboundWorker,
        boundary: Boundary<'_>,
    ) -> Option<&'a [u8]> {
        let Some((header, link, packet)) = take_apart(frame) else {
            boundary.counters.drop_packets(IoDrop::FrameMalformed, 1);
            return None;
        };
        self.hear(&link, packet, boundary);
        if frame.is_own() {
            return None;
        }
        let way = way_of(&link, packet, boundary.counters).unwrap_or_else(|| {
            let packet = superpacket(header, &link, packet);
            let action = packet.and_then(|packet| {
                let engine = boundary.engine;
                engine.outbound_action(worker, &packet, boundary.now)
            });
            if action == Some(Action::Bypass) {
                Way::Through
            } else {
                Way::Engine
            }
        });
        match way {
            Way::Through => forward(frame, &self.outside, boundary.counters),
            Way::Engine => return frame.strip(link.octets()),
            Way::Nowhere => {}
        }
        None
    }

    /// Take a frame from the outside that is not for us.
    pub(crate) fn take_from_outside(
        &self,
        frame: &FrameBuffer,
        worker: &mut InboundWorker,
        boundary: Boundary<'_>,
    ) {
        let Boundary {
            engine,
            counters,
            now,
        } = boundary;
        let Some((header, link, packet)) = take_apart(frame) else {
            return counters.drop_packets(IoDrop::FrameMalformed, 1);
        };
        let way = way_of(&link, packet, counters).unwrap_or_else(|| {
            match superpacket(header, &link, packet) {
                Some(packet) if engine.inbound_clear(worker, &packet, now) => Way::Through,
                Some(_) => Way::Nowhere,
                None => {
                    counters.drop_packets(IoDrop::FrameMalformed, 1);
                    Way::Nowhere
                }
            }
        });
        if way == Way::Through {
            forward(frame, &self.inside, counters);
        }
    }

    /// Send an opened frame, a virtio header and a packet, to whom it is for.
    pub(crate) fn write(
        &self,
        frame: &[u8],
        counters: &Counters,
        now: Instant,
    ) -> Result<(), Lost> {
        let Some(address) = VirtioNetHdr::split(frame).and_then(|(_, packet)| destination(packet))
        else {
            counters.drop_packets(IoDrop::FrameMalformed, 1);
            return Ok(());
        };
        match self.neighbor(address, now) {
            Some(neighbor) => self.write_to(neighbor, frame, counters),
            None => self.keep(address, frame, counters, now),
        }
    }

    /// Whether [`Self::on_time`] has more to do than it last said; true once.
    pub(crate) fn take_time_short(&self) -> bool {
        let of_ports = [&self.inside, &self.outside].map(WirePort::take_news);
        self.is_time_short.swap(false, Ordering::AcqRel) || of_ports.contains(&true)
    }

    /// Ask for addresses, and give up on others; look after ports that are down.
    ///
    /// Returns:
    /// When to call again at the latest.
    pub(crate) fn on_time(
        &self,
        counters: &Counters,
        now: Instant,
    ) -> Result<Option<Instant>, Lost> {
        let is_down = self.inside.check()? | self.outside.check()?;
        let next_look = is_down.then(|| now.after(LOOK_INTERVAL));
        let next_request = self.ask(counters, now);
        Ok([next_look, next_request].into_iter().flatten().min())
    }

    /// Ask for addresses that are due.
    fn ask(&self, counters: &Counters, now: Instant) -> Option<Instant> {
        if !self.is_waiting.load(Ordering::Acquire) {
            return None;
        }
        let due = {
            let mut queue = self.queue();
            let due = queue.on_time(now);
            self.is_waiting.store(!queue.is_empty(), Ordering::Release);
            due
        };
        counters.drop_packets(IoDrop::NeighborSilent, due.dropped);
        for address in due.requests {
            let mut request = [0; MAX_REQUEST_OCTETS];
            let request = neighbor::request(self.inside.station(), address, &mut request);
            // What is lost is asked again.
            let _ = self
                .inside
                .write(&[&VirtioNetHdr::PLAIN.to_octets(), request]);
        }
        due.next
    }

    /// Learn where the sender of a frame is, and send it what waited for that.
    fn hear(&self, link: &EthernetHeader, packet: &[u8], boundary: Boundary<'_>) {
        let Some(address) = neighbor::sender(link, packet) else {
            return;
        };
        let neighbor = Neighbor {
            station: link.source,
            tags: link.tags.without_priority(),
        };
        self.neighbors.hear(address, neighbor, boundary.now);
        if self.is_waiting.load(Ordering::Acquire) {
            // If the port is gone, whoever reads it next is told.
            let _ = self.release(address, neighbor, boundary.counters);
        }
    }

    fn neighbor(&self, address: IpAddr, now: Instant) -> Option<Neighbor> {
        let group = MacAddress::of_group(address).map(|station| Neighbor {
            station,
            tags: Tags::default(),
        });
        group.or_else(|| self.neighbors.find(address, now))
    }

    /// Keep a frame until its destination is heard.
    fn keep(
        &self,
        address: IpAddr,
        frame: &[u8],
        counters: &Counters,
        now: Instant,
    ) -> Result<(), Lost> {
        let dropped = {
            let mut queue = self.queue();
            self.is_waiting.store(true, Ordering::Release);
            queue.keep(address, frame, now)
        };
        counters.drop_packets(IoDrop::NeighborQueueFull, dropped);
        self.is_time_short.store(true, Ordering::Release);
        // It may have been heard between the look and the queue.
        match self.neighbor(address, now) {
            Some(neighbor) => self.release(address, neighbor, counters),
            None => Ok(()),
        }
    }

    fn release(
        &self,
        address: IpAddr,
        neighbor: Neighbor,
        counters: &Counters,
    ) -> Result<(), Lost> {
        let frames: VecDeque<Vec<u8>> = {
            let mut queue = self.queue();
            let frames = queue.take(address);
            self.is_waiting.store(!queue.is_empty(), Ordering::Release);
            frames
        };
        frames
            .iter()
            .try_for_each(|frame| self.write_to(neighbor, frame, counters))
    }

    fn write_to(&self, neighbor: Neighbor, frame: &[u8], counters: &Counters) -> Result<(), Lost> {
        let Some((header, packet)) = VirtioNetHdr::split(frame) else {
            return Ok(());
        };
        let is_v6 = packet.first().is_some_and(|first| first >> 4 == 6);
        let link = EthernetHeader {
            destination: neighbor.station,
            source: self.inside.station(),
            tags: neighbor.tags,
            ether_type: if is_v6 { IPV6 } else { IPV4 },
        };
        let mut octets = [0; MAX_HEADER_OCTETS];
        let link = link.write(&mut octets);
        let header = header.with_front(link.len()).to_octets();
        match self.inside.write(&[&header, link, packet]) {
            Ok(()) => add(&counters.work.device_writes, 1),
            Err(DeviceError::Gone(lost)) => return Err(lost),
            Err(DeviceError::Packet | DeviceError::WouldBlock) => {
                counters.drop_packets(IoDrop::DeviceWrite, 1);
            }
        }
        Ok(())
    }

    fn queue(&self) -> MutexGuard<'_, NeighborQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The virtio header, the link's header, and what the frame carries.
fn take_apart(frame: &FrameBuffer) -> Option<(VirtioNetHdr, EthernetHeader, &[u8])> {
    let (header, octets) = frame.parts()?;
    let link = EthernetHeader::parse(octets)?;
    Some((header, link, octets.get(link.octets()..)?))
}

/// Where a frame goes that policy has no say in; `None` for an IP packet, where it has.
///
/// Neighbor Discovery is the link's own business, as ARP is: without it there is no way to
/// anybody on the link whom policy lets by, or protects.
fn way_of(link: &EthernetHeader, packet: &[u8], counters: &Counters) -> Option<Way> {
    if !link.is_ip() || neighbor::is_neighbor_discovery(packet) {
        return Some(Way::Through);
    }
    let version = packet.first().map(|first| first >> 4);
    let is_honest = version == Some(if link.ether_type == IPV6 { 6 } else { 4 });
    if is_honest {
        return None;
    }
    counters.drop_packets(IoDrop::FrameMalformed, 1);
    Some(Way::Nowhere)
}

fn superpacket<'a>(
    header: VirtioNetHdr,
    link: &EthernetHeader,
    packet: &'a [u8],
) -> Option<Superpacket<'a>> {
    Superpacket::of_parts(header.without_front(link.octets())?, packet)
}

fn forward(frame: &FrameBuffer, to: &WirePort, counters: &Counters) {
    match to.write(&[frame.frame()]) {
        Ok(()) => add(&counters.work.frames_forwarded, 1),
        Err(_) => counters.drop_packets(IoDrop::FrameForward, 1),
    }
}

fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(Ipv4Addr::from(*packet.get(16..)?.first_chunk::<4>()?).into()),
        6 => Some(Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?).into()),
        _ => None,
    }
}
