//! Raw sockets of IP protocol 50: ESP where no NAT is between (RFC 4303).

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::Type;

use crate::counters::Counters;
use crate::datagram_socket::{Binding, DatagramSocket, Run};
use crate::error::IoError;

/// A raw socket on one local address, or on all of a family.
#[derive(Debug)]
pub(crate) struct RawEspSocket {
    socket: DatagramSocket,
}

impl RawEspSocket {
    /// Open and bind; needs `CAP_NET_RAW`.
    pub(crate) fn open(local: IpAddr, mark: Option<u32>) -> Result<Self, IoError> {
        let socket = DatagramSocket::open(&Binding {
            protocol_name: "ESP",
            kind: Type::RAW,
            protocol: libc::IPPROTO_ESP,
            local: SocketAddr::new(local, 0),
            mark,
        })?;
        Ok(Self { socket })
    }

    /// The address that it is bound to.
    pub(crate) fn local(&self) -> IpAddr {
        self.socket.local().ip()
    }

    /// Whether it can send from this address.
    pub(crate) fn serves(&self, local: IpAddr) -> bool {
        self.socket.serves(local)
    }

    /// Send the packets of a run; the kernel builds the IP header of each.
    pub(crate) fn send_run(&self, run: &Run<'_>, counters: &Counters) {
        // The kernel would take a port for a protocol number (raw(7)).
        let remote = SocketAddr::new(run.remote.ip(), 0);
        self.socket.send_singly(&Run { remote, ..*run }, counters);
    }

    /// Where ESP starts in what was received: IPv4 raw sockets give the IP header too (raw(7)).
    pub(crate) fn payload<'a>(&self, received: &'a mut [u8]) -> Option<&'a mut [u8]> {
        if self.local().is_ipv6() {
            return Some(received);
        }
        let header_octets = usize::from(*received.first()? & 0x0f) * 4;
        received.get_mut(header_octets..)
    }
}

impl AsFd for RawEspSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
