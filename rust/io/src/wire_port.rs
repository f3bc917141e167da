//! One of the two interfaces of a bump in the wire: all frames on it (packet(7)).

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use perilune_wire::ethernet::MacAddress;
use rustix::io::Errno;

use crate::control_message::{Ancillary, CAPACITY};
use crate::datagram_socket::{grow_buffers, set_option, wait_writable};
use crate::device::{DeviceError, Lost};
use crate::error::IoError;
use crate::frame_buffer::FrameBuffer;
use crate::interface;

/// Which frames of an interface are of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frames {
    /// All that arrive.
    All,
    /// Not those to the interface's own address: the kernel takes them.
    ForOthers,
}

/// A promiscuous packet socket on one interface, with offloads both ways.
#[derive(Debug)]
pub(crate) struct WirePort {
    socket: OwnedFd,
    name: String,
    index: c_int,
    station: MacAddress,
    /// It was down when it was last used: it may be on its way out.
    is_down: AtomicBool,
    /// Nobody has taken note of that yet.
    is_news: AtomicBool,
}

#[repr(align(8))]
struct ControlBuffer([u8; CAPACITY]);

impl WirePort {
    /// Listen on an interface, which is set up; needs `CAP_NET_RAW` and `CAP_NET_ADMIN`.
    ///
    /// # Errors
    /// [`IoError::Setting`] if it is no Ethernet interface; [`IoError::Port`] for what the kernel
    /// refused, first of all if there is no such interface.
    pub(crate) fn open(name: &str, frames: Frames) -> Result<Self, IoError> {
        let request = interface::request(name)?;
        let refused = |step| {
            let name = name.to_owned();
            move |source: io::Error| IoError::Port { name, step, source }
        };
        let socket = packet_socket().map_err(refused("socket"))?;
        let index = interface::index(&socket, request).map_err(refused("SIOCGIFINDEX"))?;
        let station = interface::station(&socket, request)
            .map_err(refused("SIOCGIFHWADDR"))?
            .ok_or_else(|| IoError::Setting(format!("{name} is no Ethernet interface")))?;
        interface::set_up(&socket, request).map_err(refused("set it up"))?;
        set_options(&socket, index, frames).map_err(refused("options"))?;
        bind(&socket, index).map_err(refused("bind"))?;
        Ok(Self {
            socket,
            name: name.to_owned(),
            index,
            station,
            is_down: AtomicBool::new(false),
            is_news: AtomicBool::new(false),
        })
    }

    /// The interface's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The interface's own address.
    pub(crate) fn station(&self) -> MacAddress {
        self.station
    }

    /// Read one frame: a virtio header and the frame as it was on the wire.
    pub(crate) fn read(&self, frame: &mut FrameBuffer) -> Result<(), DeviceError> {
        let mut control = ControlBuffer([0; CAPACITY]);
        let mut name = [0_u8; size_of::<libc::sockaddr_ll>()];
        let (octets, ancillary) = self
            .receive(frame.room(), &mut name, &mut control)
            .map_err(|error| self.told(error))?;
        self.is_down.store(false, Ordering::Relaxed);
        frame.fill(octets);
        frame.set_own(name.get(PACKET_TYPE_PLACE) == Some(&libc::PACKET_HOST));
        match ancillary.tag {
            Some(tag) => frame.insert_tag(tag).ok_or(DeviceError::Packet),
            None => Ok(()),
        }
    }

    /// Send a frame, in parts: a virtio header and the frame.
    pub(crate) fn write(&self, parts: &[&[u8]]) -> Result<(), DeviceError> {
        let mut slices = [IoSlice::new(&[]); 4];
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
        }
        let write = || rustix::io::writev(&self.socket, &slices).map(drop);
        let mut written = write();
        if written == Err(Errno::AGAIN) && wait_writable(self.as_fd()) {
            written = write();
        }
        written.map_err(|error| self.told(error))
    }

    /// Whether [`Self::check`] is to be called; true once.
    pub(crate) fn take_news(&self) -> bool {
        self.is_news.swap(false, Ordering::AcqRel)
    }

    /// Look after an interface that was down. The kernel says so once, and when it does, an
    /// interface that is being deleted may still be there.
    ///
    /// Returns:
    /// Whether to look again in a while.
    pub(crate) fn check(&self) -> Result<bool, Lost> {
        let is_down = self.is_down.load(Ordering::Acquire);
        if is_down && !interface::exists(&self.socket, self.index) {
            return Err(self.lost(Errno::NODEV));
        }
        Ok(is_down)
    }

    /// How many frames the kernel dropped since the last call because nobody read them.
    pub(crate) fn take_overflows(&self) -> usize {
        let mut counts = [0_u32; 2];
        let mut octets = libc::socklen_t::try_from(size_of_val(&counts)).unwrap_or(8);
        // SAFETY: the kernel writes at most `octets` octets of `counts` and their number to
        // `octets`; both outlive the call.
        let answer = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                counts.as_mut_ptr().cast(),
                &raw mut octets,
            )
        };
        // Packets, of them dropped (`struct tpacket_stats`).
        let [_, dropped] = counts;
        if answer < 0 {
            0
        } else {
            usize::try_from(dropped).unwrap_or(usize::MAX)
        }
    }

    fn receive(
        &self,
        room: &mut [u8],
        name: &mut [u8],
        control: &mut ControlBuffer,
    ) -> Result<(usize, Ancillary), Errno> {
        let mut part = libc::iovec {
            iov_base: room.as_mut_ptr().cast(),
            iov_len: room.len(),
        };
        let mut message = libc::msghdr {
            msg_name: name.as_mut_ptr().cast(),
            msg_namelen: libc::socklen_t::try_from(name.len()).unwrap_or_default(),
            msg_iov: &raw mut part,
            msg_iovlen: 1,
            msg_control: control.0.as_mut_ptr().cast(),
            msg_controllen: control.0.len() as _,
            msg_flags: 0,
        };
        // SAFETY: `message` points to the room, the address storage and the control buffer with
        // their true sizes; all outlive the call and nothing else refers to them.
        let octets = unsafe {
            libc::recvmsg(
                self.socket.as_raw_fd(),
                &raw mut message,
                libc::MSG_DONTWAIT,
            )
        };
        let Ok(octets) = usize::try_from(octets) else {
            let error = io::Error::last_os_error();
            return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
        };
        if message.msg_flags & libc::MSG_TRUNC != 0 {
            return Err(Errno::MSGSIZE);
        }
        let told: usize = message.msg_controllen as _;
        Ok((
            octets,
            Ancillary::parse(control.0.get(..told).unwrap_or_default()),
        ))
    }

    /// What an error is about: a frame, or the interface.
    fn told(&self, error: Errno) -> DeviceError {
        match error {
            Errno::AGAIN | Errno::INTR => DeviceError::WouldBlock,
            Errno::NETDOWN | Errno::NXIO | Errno::NODEV => {
                if !interface::exists(&self.socket, self.index) {
                    return DeviceError::Gone(self.lost(error));
                }
                // It may come up again, or go away.
                self.is_down.store(true, Ordering::Release);
                self.is_news.store(true, Ordering::Release);
                DeviceError::Packet
            }
            _ => DeviceError::Packet,
        }
    }

    fn lost(&self, error: Errno) -> Lost {
        Lost {
            name: self.name.clone(),
            reason: error.into(),
        }
    }
}

impl AsFd for WirePort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A socket that receives nothing until it is bound.
fn packet_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: socket(2) takes numbers and touches no memory of ours.
    let socket = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

fn set_options(socket: &OwnedFd, index: c_int, frames: Frames) -> io::Result<()> {
    let set = |option, value: c_int| set_option(socket, libc::SOL_PACKET, option, &value);
    set(PACKET_VNET_HDR, 1)?;
    set(libc::PACKET_AUXDATA, 1)?;
    let promiscuous = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: PACKET_MR_PROMISC,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set_option(
        socket,
        libc::SOL_PACKET,
        libc::PACKET_ADD_MEMBERSHIP,
        &promiscuous,
    )?;
    grow_buffers(socket);
    attach_filter(socket, frames)
}

// linux/socket.h, linux/if_ether.h and linux/if_packet.h, as wide as the structures have them.
const AF_PACKET: u16 = 17;
const ETH_P_ALL: u16 = 3;
const PACKET_MR_PROMISC: u16 = 1;
const PACKET_VNET_HDR: c_int = 15;
/// `sll_pkttype` in `struct sockaddr_ll`.
const PACKET_TYPE_PLACE: usize = 10;

// linux/bpf_common.h and linux/filter.h.
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const PACKET_TYPE: u32 = 0xffff_f000 + 4;

/// Keep what the kernel sends itself from being read, and what is addressed to it if not wanted.
fn attach_filter(socket: &OwnedFd, frames: Frames) -> io::Result<()> {
    let unwanted = match frames {
        Frames::All => libc::PACKET_LOOPBACK,
        Frames::ForOthers => libc::PACKET_HOST,
    };
    let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    let mut steps = [
        step(LOAD_WORD, 0, PACKET_TYPE),
        step(JUMP_IF_EQUAL, 2, libc::PACKET_OUTGOING.into()),
        step(JUMP_IF_EQUAL, 1, unwanted.into()),
        step(RETURN, 0, u32::MAX),
        step(RETURN, 0, 0),
    ];
    let program = libc::sock_fprog {
        len: u16::try_from(steps.len()).unwrap_or_default(),
        filter: steps.as_mut_ptr(),
    };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

fn bind(socket: &OwnedFd, index: c_int) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: AF_PACKET,
        sll_protocol: ETH_P_ALL.to_be(),
        sll_ifindex: index,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let octets = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or_default();
    // SAFETY: the kernel reads `octets` octets of `address`, which lives until after the call.
    let answer = unsafe { libc::bind(socket.as_raw_fd(), ptr::from_ref(&address).cast(), octets) };
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
    fn interfaces_that_cannot_be_ports_are_refused() {
        assert!(matches!(
            WirePort::open("a/b", Frames::All),
            Err(IoError::Setting(_))
        ));
    }
}
