//! The TUN device: whole IP packets, each behind a virtio header, superpackets both ways.

use std::ffi::{c_int, c_uint};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::device::{DeviceError, Lost};
use crate::device_queue::DeviceQueue;
use crate::error::IoError;
use crate::interface;
use crate::user_queues::UserQueues;
use crate::user_steering::steer;

// linux/if_tun.h. The request numbers are those of every architecture but MIPS, PowerPC, SPARC.
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
const TUN_F_CSUM: c_uint = 0x01;
const TUN_F_TSO4: c_uint = 0x02;
const TUN_F_TSO6: c_uint = 0x04;
const TUN_F_USO4: c_uint = 0x20;
const TUN_F_USO6: c_uint = 0x40;

/// A TUN device with its offloads on, and a queue for each worker.
///
/// The kernel puts what it sends to a flow into the queue that the flow's packets were last written
/// to, so that who opens a peer's packets seals the answers; and as long as none was written, into
/// one by the flow's addresses and ports.
#[derive(Debug)]
pub struct Tun {
    /// There is a first one; a device that has no more has one for all workers.
    queues: Vec<OwnedFd>,
    name: String,
    segments_udp: bool,
    queue: DeviceQueue,
    users: UserQueues,
    has_queues: bool,
}

impl Tun {
    /// Create the device, or attach to a persistent one of this name.
    ///
    /// It stays down and without address: that is the caller's network configuration. It goes
    /// away with this value. `%d` in the name is replaced by a free number. With more than one worker,
    /// or with `tells_users`, it is one that has several queues, which costs the kernel some megabytes.
    ///
    /// # Errors
    /// [`IoError::Setting`] for a name that no interface can have, [`IoError::Tun`] for what the
    /// kernel refused.
    pub fn open(name: &str, workers: usize, tells_users: bool) -> Result<Self, IoError> {
        // Exclusive, as nothing else keeps us from taking a queue of another program's device. One
        // that is there already has to be a persistent one with one queue, which nobody can share.
        let exclusive = libc::IFF_MULTI_QUEUE | libc::IFF_TUN_EXCL;
        let many = if tells_users || workers > 1 {
            attach(name, exclusive).map(Some).or_else(unless_there)?
        } else {
            None
        };
        let has_queues = many.is_some();
        let (device, name) = match many {
            Some(made) => made,
            None => attach(name, 0)?,
        };
        let refused = |step| {
            let name = name.clone();
            move |source: io::Error| IoError::Tun { name, step, source }
        };
        let segments_udp = set_offloads(&device).map_err(refused("TUNSETOFFLOAD"))?;
        let users = UserQueues::new().map_err(|error| refused("epoll")(error.into()))?;
        let mut queues = vec![device];
        if has_queues {
            for _ in 1..workers {
                queues.push(attach(&name, libc::IFF_MULTI_QUEUE)?.0);
            }
        }
        let queue = DeviceQueue::of(&name);
        Ok(Self {
            queues,
            name,
            segments_udp,
            queue,
            users,
            has_queues,
        })
    }

    /// Tell the packets of these users from those of others.
    ///
    /// A packet is the user's who made the socket that it was sent from.
    ///
    /// # Errors
    /// [`IoError::Users`]: too many, one whose packets cannot be told, or the kernel refuses;
    /// [`IoError::Setting`] for a device that has one queue.
    pub(crate) fn know_users(&self, users: &[u32]) -> Result<(), IoError> {
        if !self.has_queues && !users.is_empty() {
            return Err(IoError::Setting(format!(
                "the device {} was made with one queue and cannot tell whose packets they are; a restart may help",
                self.name
            )));
        }
        self.users
            .grow(users, |all| {
                // First the program, which sends to the first queue what is for one that is not there.
                steer(self.first(), self.queues.len(), all)?;
                let (queue, _) = attach(&self.name, libc::IFF_MULTI_QUEUE).map_err(io_error_of)?;
                Ok(queue)
            })
            .map_err(IoError::Users)
    }

    /// What tells a worker that it may have frames to read.
    pub(crate) fn queues_of(&self, worker: usize) -> Vec<BorrowedFd<'_>> {
        let of_users = (worker == 0).then(|| self.users.any());
        let own = self.queues.get(worker).map(OwnedFd::as_fd);
        own.into_iter().chain(of_users).collect()
    }

    fn first(&self) -> BorrowedFd<'_> {
        self.queues[0].as_fd()
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether UDP superpackets may be written (Linux 6.2 and later); TCP ones always may.
    pub fn segments_udp(&self) -> bool {
        self.segments_udp
    }

    /// Read one frame of a worker's queue, for the first worker also of users' queues, into `room`,
    /// which has to be long enough for the longest.
    ///
    /// Returns:
    /// Its octets, and the user who sent it, if that is one of those that are known.
    pub(crate) fn read(
        &self,
        worker: usize,
        room: &mut [u8],
    ) -> Result<(usize, Option<u32>), DeviceError> {
        let read = |queue: BorrowedFd<'_>| {
            rustix::io::read(queue, &mut *room).map_err(|error| self.told(error))
        };
        if worker == 0 {
            let is_nothing = |error: &DeviceError| matches!(error, DeviceError::WouldBlock);
            return self.users.read(self.first(), read, is_nothing);
        }
        let queue = self.queues.get(worker).ok_or(DeviceError::WouldBlock)?;
        let mut read = read;
        read(queue.as_fd()).map(|octets| (octets, None))
    }

    /// How many packets the kernel dropped since the last call because nobody read them.
    pub(crate) fn take_overflows(&self) -> usize {
        self.queue.take_overflows()
    }

    /// Let other users be read.
    pub(crate) fn pass_turn(&self) {
        self.users.pass_turn();
    }

    /// Write one frame to a worker's queue, which the answer comes to.
    pub(crate) fn write(&self, worker: usize, frame: &[u8]) -> Result<(), DeviceError> {
        let own = self.queues.get(worker).map(OwnedFd::as_fd);
        rustix::io::write(own.unwrap_or(self.first()), frame)
            .map(drop)
            .map_err(|error| self.told(error))
    }

    /// What an error is about: a packet, or the device.
    fn told(&self, error: Errno) -> DeviceError {
        match error {
            Errno::AGAIN | Errno::INTR => DeviceError::WouldBlock,
            // The kernel's answer on a descriptor whose device was deleted.
            Errno::BADFD | Errno::NODEV | Errno::BADF => DeviceError::Gone(Lost {
                name: self.name.clone(),
                reason: error.into(),
            }),
            _ => DeviceError::Packet,
        }
    }
}

/// Nothing where the device is there already.
fn unless_there(error: IoError) -> Result<Option<(OwnedFd, String)>, IoError> {
    match error {
        IoError::Tun { source, .. } if source.raw_os_error() == Some(libc::EBUSY) => Ok(None),
        other => Err(other),
    }
}

/// Open a queue of a device, which is made if it is not there.
///
/// Returns:
/// The queue, and the device's name.
fn attach(name: &str, more_flags: c_int) -> Result<(OwnedFd, String), IoError> {
    let mut request = tun_request(name, more_flags)?;
    let refused = |step| {
        let name = name.to_owned();
        move |source: io::Error| IoError::Tun { name, step, source }
    };
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let device = rustix::fs::open("/dev/net/tun", flags, Mode::empty())
        .map_err(|error| refused("open /dev/net/tun")(error.into()))?;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which `request` is.
    let answer = unsafe { libc::ioctl(device.as_raw_fd(), TUNSETIFF, &raw mut request) };
    succeeded(answer).map_err(refused("TUNSETIFF"))?;
    Ok((device, interface::name_in(&request)))
}

fn io_error_of(error: IoError) -> io::Error {
    match error {
        IoError::Tun { source, .. } => source,
        other => io::Error::other(other),
    }
}

fn tun_request(name: &str, more_flags: c_int) -> Result<libc::ifreq, IoError> {
    let mut request = interface::request(name)?;
    // Without IFF_NO_PI each packet would have four more octets before it.
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | more_flags;
    let bits = u16::try_from(flags).unwrap_or_default();
    request.ifr_ifru.ifru_flags = bits.cast_signed();
    Ok(request)
}

/// Switch on what the kernel has; `true` if that includes UDP segmentation.
fn set_offloads(device: &OwnedFd) -> io::Result<bool> {
    let tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    if request_offloads(device, tcp | TUN_F_USO4 | TUN_F_USO6).is_ok() {
        return Ok(true);
    }
    request_offloads(device, tcp).map(|()| false)
}

fn request_offloads(device: &OwnedFd, flags: c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value and touches no memory of ours.
    succeeded(unsafe {
        libc::ioctl(
            device.as_raw_fd(),
            TUNSETOFFLOAD,
            libc::c_ulong::from(flags),
        )
    })
}

fn succeeded(answer: c_int) -> io::Result<()> {
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_interface_can_have_are_refused() {
        for name in ["", "a/b", "a b", "a:1", "sixteen-letters!", "\u{fc}"] {
            assert!(
                matches!(Tun::open(name, 1, false), Err(IoError::Setting(_))),
                "{name}"
            );
        }
    }
}
