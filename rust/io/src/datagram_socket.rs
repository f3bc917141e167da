//! What the UDP and the raw sockets share: options, source address, sending with counted drops.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::control_message::Control;
use crate::counters::{Counters, IoDrop, add};
use crate::error::IoError;
use crate::message::{SEND_MESSAGES, send_messages};

/// What the kernel is asked to keep for a worker that is behind, each way.
const BUFFER_OCTETS: usize = 4 << 20;
/// How long a worker waits for a full socket before it drops: a slow link then slows down the
/// sender through the TUN device's queue, as a slow network card would.
const FULL_WAIT: Duration = Duration::from_millis(10);

/// Packets of one size (the last may be shorter) that go one way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    /// Source address, and for UDP its port.
    pub(crate) local: SocketAddr,
    /// Destination address, and for UDP its port.
    pub(crate) remote: SocketAddr,
    /// DSCP and ECN of the outer header.
    pub(crate) traffic_class: u8,
    /// DF of an IPv4 outer header; in IPv6, that the kernel is not to cut them either.
    pub(crate) dont_fragment: bool,
    /// The packets, one after the other.
    pub(crate) payload: &'a [u8],
    /// Size of each packet in octets.
    pub(crate) segment_octets: usize,
}

impl<'a> Run<'a> {
    /// The packets.
    pub(crate) fn packets(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        self.payload.chunks(self.segment_octets.max(1))
    }
}

/// A bound, non-blocking socket for datagrams.
#[derive(Debug)]
pub(crate) struct DatagramSocket {
    socket: Socket,
    local: SocketAddr,
    whole: Discovery,
    /// What the kernel was last told. Whoever sends holds the lock until the kernel has the packets:
    /// it is one setting for the whole socket, which IKE and the data plane share.
    discovery: Mutex<Discovery>,
}

/// What the kernel does with packets that are too large (`IP_MTU_DISCOVER` of ip(7), and the same of
/// IPv6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discovery {
    /// DF is not set; what is too large for the path, as far as the kernel knows, it cuts.
    Cut,
    /// DF is set; what is too large for the interface is refused. The kernel's own knowledge of the
    /// path is left aside, for who keeps path MTUs himself and chooses what to believe.
    Refuse,
    /// DF is set on what fits the path, as far as the kernel knows, and the rest is cut: for who has
    /// nobody to tell that a packet was too large.
    CutIfNeeded,
}

impl Discovery {
    /// The same numbers in both versions.
    fn value(self) -> i32 {
        match self {
            Self::Cut => libc::IP_PMTUDISC_DONT,
            Self::Refuse => libc::IP_PMTUDISC_PROBE,
            Self::CutIfNeeded => libc::IP_PMTUDISC_WANT,
        }
    }
}

/// How to open a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    /// `UDP`, `ESP` and the like, for messages.
    pub(crate) protocol_name: &'static str,
    /// Datagram or raw.
    pub(crate) kind: Type,
    /// Protocol number of the IP header.
    pub(crate) protocol: i32,
    /// Address to bind to, which may be the unspecified one; the port is 0 for raw sockets.
    pub(crate) local: SocketAddr,
    /// `SO_MARK` of what is sent, so that routing can keep it out of the TUN device.
    pub(crate) mark: Option<u32>,
    /// What becomes of packets that must not be fragmented and do not fit.
    pub(crate) whole: Discovery,
    /// Whether others of this process are to have the same port.
    pub(crate) sharing: Sharing,
}

/// Who else receives on a port. The kernel hands all that comes from one address and port to the same
/// of the sockets that share it (`SO_REUSEPORT` of socket(7)), so what one peer sends stays in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Nobody.
    Alone,
    /// Those who come later; nobody may be there yet.
    First,
    /// The first and others.
    Further,
}

impl DatagramSocket {
    /// Open and bind a socket.
    pub(crate) fn open(settings: &Binding) -> Result<Self, IoError> {
        let Binding {
            protocol_name: protocol,
            local,
            ..
        } = *settings;
        let refused = |step| {
            move |source| IoError::Socket {
                protocol,
                local,
                step,
                source,
            }
        };
        let domain = Domain::for_address(local);
        let socket = Socket::new(domain, settings.kind, Some(settings.protocol.into()))
            .map_err(refused("socket"))?;
        socket
            .set_nonblocking(true)
            .map_err(refused("O_NONBLOCK"))?;
        if let Some(mark) = settings.mark {
            socket.set_mark(mark).map_err(refused("SO_MARK"))?;
        }
        set_family_options(&socket, local).map_err(refused("options"))?;
        set_discovery(&socket, local, settings.whole).map_err(refused("IP_MTU_DISCOVER"))?;
        grow_buffers(&socket);
        if settings.sharing == Sharing::Further {
            share(&socket).map_err(refused("SO_REUSEPORT"))?;
        }
        socket.bind(&local.into()).map_err(refused("bind"))?;
        if settings.sharing == Sharing::First {
            // Not before it is bound: another program on this port has to be an error.
            share(&socket).map_err(refused("SO_REUSEPORT"))?;
        }
        let bound = socket.local_addr().map_err(refused("getsockname"))?;
        Ok(Self {
            socket,
            local: bound.as_socket().unwrap_or(local),
            whole: settings.whole,
            discovery: Mutex::new(settings.whole),
        })
    }

    /// The address that it is bound to.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether it can send from this address.
    pub(crate) fn serves(&self, address: IpAddr) -> bool {
        let bound = self.local.ip();
        bound == address || (bound.is_unspecified() && bound.is_ipv4() == address.is_ipv4())
    }

    /// Set an option to a number, or to numbers.
    pub(crate) fn set_option<T: Copy>(&self, level: i32, option: i32, value: T) -> io::Result<()> {
        set_option(&self.socket, level, option, &value)
    }

    /// Source address and traffic class as ancillary data.
    pub(crate) fn control(&self, run: &Run<'_>) -> Control {
        let mut control = Control::new();
        if self.local.ip().is_unspecified() && !run.local.ip().is_unspecified() {
            control.push_source(run.local.ip());
        }
        if run.traffic_class != 0 {
            control.push_traffic_class(run.remote.ip(), run.traffic_class);
        }
        control
    }

    /// Send each packet of a run by itself; a packet that is refused is counted and left out.
    ///
    /// Returns:
    /// Whether one was larger than the first hop takes.
    pub(crate) fn send_singly(&self, run: &Run<'_>, counters: &Counters) -> bool {
        let (to, control) = (SockAddr::from(run.remote), self.control(run));
        let mut packets = run.packets();
        let mut is_too_big = false;
        while packets.len() > 0 {
            let ahead = packets_ahead(run, packets.len());
            let sent = match self.send(&to, &control, run.dont_fragment, ahead, counters) {
                Ok(sent) => {
                    add(&counters.work.packets_sent, sent);
                    sent
                }
                Err(error) => {
                    let reason = drop_reason(&error);
                    counters.drop_packets(reason, 1);
                    is_too_big |= reason == IoDrop::SendTooBig;
                    1
                }
            };
            // At least one step, whatever the kernel said: this loop always ends.
            packets.nth(sent.max(1) - 1);
        }
        is_too_big
    }

    /// Send up to [`SEND_MESSAGES`] datagrams in one call, waiting a little for a full buffer.
    pub(crate) fn send<'a>(
        &self,
        to: &SockAddr,
        control: &Control,
        dont_fragment: bool,
        payloads: impl Iterator<Item = &'a [u8]> + Clone,
        counters: &Counters,
    ) -> io::Result<usize> {
        let payloads = payloads.take(SEND_MESSAGES);
        loop {
            add(&counters.work.send_calls, 1);
            let sent = {
                let _discovery = self.set_discovery(dont_fragment);
                send_messages(self.as_fd(), to, control, payloads.clone())
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !wait_writable(self.as_fd()) {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    /// Tell the kernel whether it may cut what comes next.
    ///
    /// Returns:
    /// What keeps it so.
    fn set_discovery(&self, dont_fragment: bool) -> MutexGuard<'_, Discovery> {
        let wanted = if dont_fragment {
            self.whole
        } else {
            Discovery::Cut
        };
        let mut set = self
            .discovery
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // The kernel knows this option since the socket was opened with it.
        if *set != wanted && set_discovery(&self.socket, self.local, wanted).is_ok() {
            *set = wanted;
        }
        set
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Wait a little until a socket takes more.
pub(crate) fn wait_writable(socket: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(socket, PollFlags::OUT)];
    let wait = Timespec::try_from(FULL_WAIT).ok();
    matches!(poll(&mut polled, wait.as_ref()), Ok(ready) if ready > 0)
}

/// The last `count` packets of a run.
fn packets_ahead<'a>(
    run: &Run<'a>,
    count: usize,
) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
    let chunks = run.payload.chunks(run.segment_octets.max(1));
    let done = chunks.len().saturating_sub(count);
    chunks.skip(done)
}

/// Which counter a refused packet belongs to.
pub(crate) fn drop_reason(error: &io::Error) -> IoDrop {
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => IoDrop::SendBufferFull,
        Some(libc::EMSGSIZE) => IoDrop::SendTooBig,
        _ => IoDrop::SendRefused,
    }
}

fn share(socket: &Socket) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, &1)
}

/// Packet-info and traffic class with what is received.
fn set_family_options(socket: &Socket, local: SocketAddr) -> io::Result<()> {
    if local.is_ipv4() {
        set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, &1)?;
        set_option(socket, libc::IPPROTO_IP, libc::IP_RECVTOS, &1)
    } else {
        if socket.r#type()? == Type::DGRAM {
            // Raw sockets of IPv6 never get IPv4, and refuse the option.
            socket.set_only_v6(true)?;
        }
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, &1)?;
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, &1)
    }
}

fn set_discovery(socket: &Socket, local: SocketAddr, discovery: Discovery) -> io::Result<()> {
    let (level, option) = match local {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER),
    };
    set_option(socket, level, option, &discovery.value())
}

/// Ask for large buffers; what a limit of the system leaves of them is still enough to work.
pub(crate) fn grow_buffers(socket: impl AsFd) {
    let octets = i32::try_from(BUFFER_OCTETS).unwrap_or(i32::MAX);
    let ways = [
        (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
    ];
    for (forced, allowed) in ways {
        if set_option(&socket, libc::SOL_SOCKET, forced, &octets).is_err() {
            let _ = set_option(&socket, libc::SOL_SOCKET, allowed, &octets);
        }
    }
}

/// Set an option to a number, or to a structure of numbers that the option is documented to take.
pub(crate) fn set_option<T: Copy>(
    socket: impl AsFd,
    level: i32,
    option: i32,
    value: &T,
) -> io::Result<()> {
    let octets = libc::socklen_t::try_from(size_of::<T>()).unwrap_or_default();
    // SAFETY: the kernel reads `octets` octets of `value`, and of what it points to if it is a
    // filter; both live until after the call.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            octets,
        )
    };
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
