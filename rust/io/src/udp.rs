//! UDP sockets for IKE and for ESP in UDP (RFC 3948), with segmentation done by the kernel.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use socket2::{SockAddr, Type};

use crate::counters::{Counters, add};
use crate::datagram_socket::{Binding, DatagramSocket, Discovery, Run, Sharing, drop_reason};
use crate::error::IoError;

/// What arrives on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UdpRole {
    /// IKE messages only (port 500).
    Ike,
    /// ESP, IKE behind a non-ESP marker, NAT keepalives (port 4500; RFC 3948 section 2).
    NatTraversal,
}

//= https://www.rfc-editor.org/rfc/rfc3948#section-2.2
//# The Non-ESP Marker is 4 zero-valued bytes aligning with the SPI field of an ESP packet.
const NON_ESP_MARKER: [u8; 4] = [0; 4];

//= https://www.rfc-editor.org/rfc/rfc3948#section-2.3
//# The sender MUST use a one-octet-long payload with the value 0xFF.
const NAT_KEEPALIVE: [u8; 1] = [0xff];

/// A UDP socket on one local address, or on all of a family.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    socket: DatagramSocket,
    role: UdpRole,
    // Cleared for good where the device below has no checksum offload.
    segmentation: AtomicBool,
}

impl UdpSocket {
    /// Open and bind; what is received may be several datagrams joined by the kernel.
    pub(crate) fn open(
        local: SocketAddr,
        role: UdpRole,
        mark: Option<u32>,
        whole: Discovery,
        sharing: Sharing,
    ) -> Result<Self, IoError> {
        let socket = DatagramSocket::open(&Binding {
            protocol_name: "UDP",
            kind: Type::DGRAM,
            protocol: libc::IPPROTO_UDP,
            local,
            mark,
            whole,
            sharing,
        })?;
        if role == UdpRole::NatTraversal {
            // A kernel without it hands over one datagram at a time: slower, nothing else.
            let _ = socket.set_option(libc::SOL_UDP, libc::UDP_GRO, 1);
        }
        Ok(Self {
            socket,
            role,
            segmentation: AtomicBool::new(true),
        })
    }

    /// What arrives on it.
    pub(crate) fn role(&self) -> UdpRole {
        self.role
    }

    /// The address that it is bound to.
    pub(crate) fn local(&self) -> SocketAddr {
        self.socket.local()
    }

    /// Whether it can send from this address and port.
    pub(crate) fn serves(&self, local: SocketAddr) -> bool {
        self.local().port() == local.port() && self.socket.serves(local.ip())
    }

    /// Send the packets of a run, in one call if the kernel can cut them up.
    ///
    /// The UDP checksum of RFC 3948 section 2.1 is not zero: Linux does not segment without a
    /// checksum, and a receiver must not depend on it.
    ///
    /// Returns:
    /// Whether one was larger than the first hop takes.
    pub(crate) fn send_run(&self, run: &Run<'_>, counters: &Counters) -> bool {
        let packets = run.packets().len();
        if packets < 2 || !self.segmentation.load(Ordering::Relaxed) {
            return self.socket.send_singly(run, counters);
        }
        let mut control = self.socket.control(run);
        control.push_segment_size(u16::try_from(run.segment_octets).unwrap_or(u16::MAX));
        let (to, payload) = (SockAddr::from(run.remote), std::iter::once(run.payload));
        match self
            .socket
            .send(&to, &control, run.dont_fragment, payload, counters)
        {
            Ok(_) => add(&counters.work.packets_sent, packets),
            Err(error) if self.cannot_segment(&error) => {
                add(&counters.work.segmentation_fallbacks, 1);
                return self.socket.send_singly(run, counters);
            }
            Err(error) => counters.drop_packets(drop_reason(&error), packets),
        }
        false
    }

    /// Whether the run may succeed packet by packet: no segment may exceed the MTU (single packets the
    /// kernel fragments, if it may), and the device may lack checksum offload.
    fn cannot_segment(&self, error: &io::Error) -> bool {
        if error.raw_os_error() == Some(libc::EIO) {
            self.segmentation.store(false, Ordering::Relaxed);
        }
        matches!(
            error.raw_os_error(),
            Some(libc::EINVAL | libc::EMSGSIZE | libc::EIO)
        )
    }

    /// Send an IKE message, behind a non-ESP marker if `encapsulated`.
    pub(crate) fn send_ike(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        encapsulated: bool,
        message: &[u8],
        counters: &Counters,
    ) -> io::Result<()> {
        if !encapsulated {
            return self.send_one(local, remote, message, counters);
        }
        let mut datagram = Vec::with_capacity(NON_ESP_MARKER.len() + message.len());
        datagram.extend_from_slice(&NON_ESP_MARKER);
        datagram.extend_from_slice(message);
        self.send_one(local, remote, &datagram, counters)
    }

    /// Send a NAT keepalive.
    pub(crate) fn send_keepalive(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        counters: &Counters,
    ) -> io::Result<()> {
        self.send_one(local, remote, &NAT_KEEPALIVE, counters)
    }

    fn send_one(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        payload: &[u8],
        counters: &Counters,
    ) -> io::Result<()> {
        let run = Run {
            local,
            remote,
            traffic_class: 0,
            dont_fragment: false,
            payload,
            segment_octets: payload.len(),
        };
        let (to, control) = (SockAddr::from(remote), self.socket.control(&run));
        self.socket
            .send(&to, &control, false, std::iter::once(payload), counters)
            .map(drop)
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event_queue::wait_readable;
    use crate::message::{RECEIVE_BUNDLES, ReceiveBuffers};

    fn pair(address: &str) -> Option<(UdpSocket, UdpSocket)> {
        let local = SocketAddr::new(address.parse().unwrap(), 0);
        let role = UdpRole::NatTraversal;
        let open = || UdpSocket::open(local, role, None, Discovery::Refuse, Sharing::Alone).ok();
        Some((open()?, open()?))
    }

    /// Receive until so many octets came; each datagram by itself.
    fn receive(socket: &UdpSocket, octets: usize) -> Vec<Vec<u8>> {
        let (mut buffers, mut datagrams, mut got) = (ReceiveBuffers::new(), Vec::new(), 0);
        while got < octets {
            let wait = Some(Duration::from_secs(5));
            assert!(
                wait_readable(&[socket.as_fd()], wait).unwrap()[0],
                "only {got} octets came"
            );
            let count = buffers.receive(socket.as_fd(), RECEIVE_BUNDLES).unwrap();
            for message in buffers.messages(count) {
                got += message.data.len();
                assert!(!message.truncated);
                assert_eq!(message.ancillary.traffic_class, 0xb8);
                let size = message.ancillary.segment_size.unwrap_or(message.data.len());
                datagrams.extend(message.data.chunks(size.max(1)).map(<[u8]>::to_vec));
            }
        }
        datagrams
    }

    #[test]
    fn a_run_arrives_as_its_packets() {
        for address in ["127.0.0.1", "::1"] {
            // A machine without IPv6 has nothing to show for it.
            let Some((from, to)) = pair(address) else {
                continue;
            };
            let payload: Vec<u8> = (0..10 * 1000 + 7)
                .map(|n: u32| n.to_be_bytes()[3])
                .collect();
            let run = Run {
                local: from.local(),
                remote: to.local(),
                traffic_class: 0xb8,
                dont_fragment: true,
                payload: &payload,
                segment_octets: 1000,
            };
            let counters = Counters::default();
            from.send_run(&run, &counters);
            let datagrams = receive(&to, payload.len());
            assert_eq!(datagrams.concat(), payload);
            assert_eq!(
                datagrams
                    .iter()
                    .map(Vec::len)
                    .filter(|n| *n == 1000)
                    .count(),
                10
            );
            let counts = counters.counts();
            assert_eq!((counts.send_calls, counts.packets_sent), (1, 11));
        }
    }

    #[test]
    fn what_comes_from_one_address_and_port_is_for_one_of_several_sockets() {
        let open = |port: u16, sharing| {
            let local = SocketAddr::from(([127, 0, 0, 1], port));
            UdpSocket::open(
                local,
                UdpRole::NatTraversal,
                None,
                Discovery::Refuse,
                sharing,
            )
        };
        let first = open(0, Sharing::First).unwrap();
        let port = first.local().port();
        let further = || open(port, Sharing::Further).unwrap();
        let sockets = [first, further(), further(), further()];
        // Another program is refused, also one that would share.
        for sharing in [Sharing::Alone, Sharing::First] {
            assert!(matches!(
                open(port, sharing),
                Err(IoError::Socket { step: "bind", .. })
            ));
        }
        let mut buffers = ReceiveBuffers::new();
        let mut had = [0_usize; 4];
        for _ in 0..64 {
            let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            for number in 0..5_u8 {
                peer.send_to(&[number], ("127.0.0.1", port)).unwrap();
            }
            let descriptors = sockets.each_ref().map(UdpSocket::as_fd);
            let mut got = Vec::new();
            while got.len() < 5 {
                let wait = Some(Duration::from_secs(30));
                let readable = wait_readable(&descriptors, wait).unwrap();
                let place = readable.iter().position(|readable| *readable).unwrap();
                let count = buffers
                    .receive(descriptors[place], RECEIVE_BUNDLES)
                    .unwrap();
                let octets = buffers.messages(count).flat_map(|one| one.data.to_vec());
                got.extend(octets.map(|octet| (place, octet)));
            }
            let place = got[0].0;
            assert!(got.iter().all(|(at, _)| *at == place), "{got:?}");
            had[place] += 1;
        }
        // That all of 64 ports share one socket in four happens once in 4^63.
        assert!(
            had.iter().filter(|count| **count > 0).count() > 1,
            "{had:?}"
        );
    }

    #[test]
    fn what_the_kernel_refuses_is_counted() {
        let (from, _to) = pair("127.0.0.1").unwrap();
        let payload = vec![0; 3000];
        let run = Run {
            local: from.local(),
            remote: "[2001:db8::1]:4500".parse().unwrap(),
            traffic_class: 0,
            dont_fragment: true,
            payload: &payload,
            segment_octets: 1000,
        };
        let counters = Counters::default();
        from.send_run(&run, &counters);
        let lost: u64 = counters.drops().iter().map(|(_, count)| count).sum();
        assert_eq!((lost, counters.counts().packets_sent), (3, 0));
    }

    #[test]
    fn a_socket_serves_its_own_address_or_all_of_its_family() {
        let (one, _) = pair("127.0.0.1").unwrap();
        let all = UdpSocket::open(
            "0.0.0.0:0".parse().unwrap(),
            UdpRole::Ike,
            None,
            Discovery::CutIfNeeded,
            Sharing::Alone,
        )
        .unwrap();
        let port = |socket: &UdpSocket| socket.local().port();
        let at = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port);
        assert!(one.serves(one.local()));
        assert!(!one.serves(at("127.0.0.2", port(&one))));
        assert!(all.serves(at("192.0.2.1", port(&all))));
        assert!(!all.serves(at("192.0.2.1", port(&all) ^ 1)));
        assert!(!all.serves(at("::1", port(&all))));
    }
}
