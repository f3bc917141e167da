//! Raw sockets of IP protocols 50, 51 and ICMP: IPsec where no NAT is between (RFC 4302, RFC 4303),
//! and what routers say about it.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::Type;

use crate::counters::Counters;
use crate::datagram_socket::{Binding, DatagramSocket, Discovery, Run, Sharing};
use crate::error::IoError;

/// What a raw socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RawUse {
    /// AH.
    Ah,
    /// ESP.
    Esp,
    /// ICMP errors about packets that did not get through.
    Icmp,
}

/// `ICMP_FILTER`, and what passes it, the errors (raw(7); RFC 1122, section 3.2.2).
const ICMP_FILTER: i32 = 1;
const ALL_BUT_ERRORS: i32 = !((1 << 3) | (1 << 4) | (1 << 5) | (1 << 11) | (1 << 12));
/// `ICMP6_FILTER` of 256 bits; a set bit is a type that is not wanted (RFC 3542, section 3.2). The
/// errors are 1 to 4.
const ICMP6_FILTER: i32 = 1;
const ALL_BUT_ERRORS_IPV6: [u32; 8] = {
    let mut bits = [u32::MAX; 8];
    bits[0] = !0b1_1110;
    bits
};

/// A raw socket on one local address, or on all of a family.
#[derive(Debug)]
pub(crate) struct RawSocket {
    socket: DatagramSocket,
    usage: RawUse,
}

impl RawSocket {
    /// Open and bind; needs `CAP_NET_RAW`.
    pub(crate) fn open(local: IpAddr, usage: RawUse, mark: Option<u32>) -> Result<Self, IoError> {
        let (protocol_name, protocol) = match (usage, local) {
            (RawUse::Ah, _) => ("AH", libc::IPPROTO_AH),
            (RawUse::Esp, _) => ("ESP", libc::IPPROTO_ESP),
            (RawUse::Icmp, IpAddr::V4(_)) => ("ICMP", libc::IPPROTO_ICMP),
            (RawUse::Icmp, IpAddr::V6(_)) => ("ICMP", libc::IPPROTO_ICMPV6),
        };
        let socket = DatagramSocket::open(&Binding {
            protocol_name,
            kind: Type::RAW,
            protocol,
            local: SocketAddr::new(local, 0),
            mark,
            whole: Discovery::Refuse,
            sharing: Sharing::Alone,
        })?;
        let socket = Self { socket, usage };
        socket
            .set_options(local)
            .map_err(|source| IoError::Socket {
                protocol: protocol_name,
                local: socket.socket.local(),
                step: "options",
                source,
            })?;
        Ok(socket)
    }

    /// What it is for.
    pub(crate) fn usage(&self) -> RawUse {
        self.usage
    }

    /// The address that it is bound to.
    pub(crate) fn local(&self) -> IpAddr {
        self.socket.local().ip()
    }

    /// Whether it can send ESP from this address.
    pub(crate) fn sends_esp_from(&self, local: IpAddr) -> bool {
        self.usage == RawUse::Esp && self.socket.serves(local)
    }

    /// Send the packets of a run; the kernel builds the IP header of each.
    ///
    /// Returns:
    /// Whether one was larger than the first hop takes.
    pub(crate) fn send_run(&self, run: &Run<'_>, counters: &Counters) -> bool {
        // The kernel would take a port for a protocol number (raw(7)).
        let remote = SocketAddr::new(run.remote.ip(), 0);
        self.socket.send_singly(&Run { remote, ..*run }, counters)
    }

    /// Hop limit with what is received of IPv6, whose header is not; only errors of ICMP.
    fn set_options(&self, local: IpAddr) -> std::io::Result<()> {
        if local.is_ipv6() {
            let (level, option) = (libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT);
            self.socket.set_option(level, option, 1)?;
        }
        match (self.usage, local) {
            (RawUse::Icmp, IpAddr::V4(_)) => {
                let filter = ALL_BUT_ERRORS;
                self.socket.set_option(libc::SOL_RAW, ICMP_FILTER, filter)
            }
            (RawUse::Icmp, IpAddr::V6(_)) => {
                let filter = ALL_BUT_ERRORS_IPV6;
                self.socket
                    .set_option(libc::IPPROTO_ICMPV6, ICMP6_FILTER, filter)
            }
            _ => Ok(()),
        }
    }
}

impl AsFd for RawSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
