//! Where the protected side is: behind a TUN device, or behind one of two ports
//! (RFC 4301, section 3.3).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use perilune_engine::{Engine, Instant, OutboundWorker};
use perilune_wire::segment::Superpacket;

use crate::bump_in_the_wire::{BumpInTheWire, WireSettings};
use crate::counters::{Counters, IoDrop, add};
use crate::error::IoError;
use crate::frame_buffer::FrameBuffer;
use crate::tun::Tun;

/// Where in a host or a network IPsec is.
#[derive(Clone, Debug)]
pub enum Placement {
    /// In the stack of a host or a gateway: what is routed to a TUN device is protected.
    Tun {
        /// Name of the device; `%d` becomes a free number.
        name: String,
        /// Whether it is to be one that can tell whose packets they are.
        tells_users: bool,
    },
    /// In the wire between two interfaces.
    Wire(WireSettings),
}

/// The protected side.
#[derive(Debug)]
pub(crate) enum Device {
    Tun(Tun),
    Wire(Box<BumpInTheWire>),
}

/// What reading from a device, or writing to it, came to.
#[derive(Debug)]
pub(crate) enum DeviceError {
    /// Nothing to read, or no room, right now.
    WouldBlock,
    /// This packet only; the device may be down at the moment.
    Packet,
    /// The device was deleted.
    Gone(Lost),
}

/// A device that was deleted.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) name: String,
    pub(crate) reason: io::Error,
}

/// What packets on their way through the boundary are shown to.
#[derive(Clone, Copy)]
pub(crate) struct Boundary<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) counters: &'a Counters,
    pub(crate) now: Instant,
}

impl Device {
    /// Open what the placement names, for so many workers.
    pub(crate) fn open(placement: &Placement, workers: usize) -> Result<Self, IoError> {
        match placement {
            Placement::Tun { name, tells_users } => {
                Tun::open(name, workers, *tells_users).map(Self::Tun)
            }
            Placement::Wire(settings) => {
                BumpInTheWire::open(settings).map(|bump| Self::Wire(Box::new(bump)))
            }
        }
    }

    /// Name of the device that packets to be protected come from.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Tun(tun) => tun.name(),
            Self::Wire(bump) => bump.inside().name(),
        }
    }

    /// Whether [`Self::write`] may be given datagrams of UDP that were joined.
    pub(crate) fn takes_udp_superpackets(&self) -> bool {
        match self {
            Self::Tun(tun) => tun.segments_udp(),
            // Its frames go on over a cable, to stations that would see them one by one anyway.
            Self::Wire(_) => false,
        }
    }

    /// Tell the packets of these local users from those of others ([`Tun::know_users`]).
    pub(crate) fn know_users(&self, users: &[u32]) -> Result<(), IoError> {
        match self {
            Self::Tun(tun) => tun.know_users(users),
            Self::Wire(_) if users.is_empty() => Ok(()),
            Self::Wire(_) => Err(IoError::Setting(
                "what comes over a wire is of no user of this host".to_owned(),
            )),
        }
    }

    /// What tells a worker that it may have frames to read.
    pub(crate) fn queues_of(&self, worker: usize) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Tun(tun) => tun.queues_of(worker),
            Self::Wire(bump) if worker == 0 => vec![bump.inside().as_fd()],
            Self::Wire(_) => Vec::new(),
        }
    }

    /// Let other users' packets be read.
    pub(crate) fn pass_turn(&self, worker: usize) {
        if let (Self::Tun(tun), 0) = (self, worker) {
            tun.pass_turn();
        }
    }

    /// Read one frame of the protected side that is a worker's.
    pub(crate) fn read(&self, worker: usize, frame: &mut FrameBuffer) -> Result<(), DeviceError> {
        match self {
            Self::Tun(tun) => {
                let (octets, user) = tun.read(worker, frame.room())?;
                frame.fill(octets);
                frame.set_user(user);
                Ok(())
            }
            Self::Wire(bump) if worker == 0 => bump.inside().read(frame),
            Self::Wire(_) => Err(DeviceError::WouldBlock),
        }
    }

    /// What of a frame is to be sealed: a virtio header and a packet. What is not is dealt with.
    pub(crate) fn to_seal<'a>(
        &self,
        frame: &'a mut FrameBuffer,
        worker: &mut OutboundWorker,
        boundary: Boundary<'_>,
    ) -> Option<&'a [u8]> {
        match self {
            Self::Tun(_) => Some(frame.frame()),
            Self::Wire(bump) => bump.take_from_inside(frame, worker, boundary),
        }
    }

    /// Hand an opened frame, a virtio header and a packet, to the protected side.
    pub(crate) fn write(
        &self,
        worker: usize,
        frame: &[u8],
        counters: &Counters,
        now: Instant,
    ) -> Result<(), Lost> {
        let written = match self {
            Self::Tun(tun) => tun.write(worker, frame),
            Self::Wire(bump) => return bump.write(frame, counters, now),
        };
        match written {
            Ok(()) => add(&counters.work.device_writes, 1),
            Err(DeviceError::Gone(lost)) => return Err(lost),
            Err(DeviceError::Packet | DeviceError::WouldBlock) => {
                counters.drop_packets(IoDrop::DeviceWrite, packets_in(frame));
            }
        }
        Ok(())
    }

    /// Where packets without IPsec come in, if that is not the kernel's business.
    pub(crate) fn unprotected(&self) -> Option<&BumpInTheWire> {
        match self {
            Self::Tun(_) => None,
            Self::Wire(bump) => Some(bump),
        }
    }

    /// Whether [`Self::on_time`] has more to do than it last said; true once.
    pub(crate) fn take_time_short(&self) -> bool {
        self.unprotected()
            .is_some_and(BumpInTheWire::take_time_short)
    }

    /// Do what is due by now.
    ///
    /// Returns:
    /// When to call again at the latest.
    pub(crate) fn on_time(
        &self,
        counters: &Counters,
        now: Instant,
    ) -> Result<Option<Instant>, Lost> {
        match self {
            Self::Tun(_) => Ok(None),
            Self::Wire(bump) => bump.on_time(counters, now),
        }
    }

    /// Count what the kernel had to drop before it was read.
    pub(crate) fn count_overflows(&self, counters: &Counters) {
        match self {
            Self::Tun(tun) => counters.drop_packets(IoDrop::PortOverflow, tun.take_overflows()),
            Self::Wire(bump) => {
                for port in [bump.inside(), bump.outside()] {
                    counters.drop_packets(IoDrop::PortOverflow, port.take_overflows());
                }
            }
        }
    }
}

/// How many packets a frame is to be cut into.
fn packets_in(frame: &[u8]) -> usize {
    Superpacket::parse(frame).map_or(1, |packet| packet.count())
}
