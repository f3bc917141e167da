//! Packets that leave with headers that no socket makes: those that policy lets by, out again as
//! they came past the TUN device, and those whose outer headers the engine has made.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{SockAddr, Type};

use crate::control_message::Control;
use crate::counters::{Counters, IoDrop};
use crate::datagram_socket::{Binding, DatagramSocket, Discovery, Sharing, drop_reason};
use crate::error::IoError;

/// One raw socket of each family that sends whole IP packets.
///
/// Their mark is what keeps the packets from being routed into the TUN device again.
#[derive(Debug)]
pub(crate) struct WholePacketSockets {
    v4: DatagramSocket,
    v6: Option<DatagramSocket>,
}

impl WholePacketSockets {
    /// Open both; needs `CAP_NET_RAW`. A host without IPv6 sends none.
    pub(crate) fn open(mark: Option<u32>) -> Result<Self, IoError> {
        let open = |local| {
            DatagramSocket::open(&Binding {
                protocol_name: "IP",
                kind: Type::RAW,
                protocol: libc::IPPROTO_RAW,
                local,
                mark,
                whole: Discovery::Refuse,
                sharing: Sharing::Alone,
            })
        };
        let v4 = open(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0))?;
        include_header(&v4, libc::IPPROTO_IP, libc::IP_HDRINCL)?;
        let v6 = open(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0)).ok();
        if let Some(v6) = &v6 {
            include_header(v6, libc::IPPROTO_IPV6, libc::IPV6_HDRINCL)?;
        }
        Ok(Self { v4, v6 })
    }

    /// Send one IP packet with its own header.
    ///
    /// # Errors
    /// Why it was not sent.
    pub(crate) fn send(&self, packet: &[u8], counters: &Counters) -> Result<(), IoDrop> {
        let (socket, to) = self.socket_for(packet).ok_or(IoDrop::NoSocket)?;
        let (to, packet) = (SockAddr::from(to), std::iter::once(packet));
        match socket.send(&to, &Control::new(), true, packet, counters) {
            Ok(_) => Ok(()),
            Err(error) => Err(drop_reason(&error)),
        }
    }

    fn socket_for(&self, packet: &[u8]) -> Option<(&DatagramSocket, SocketAddr)> {
        match packet.first()? >> 4 {
            4 => {
                let address: [u8; 4] = *packet.get(16..)?.first_chunk()?;
                Some((&self.v4, SocketAddr::new(Ipv4Addr::from(address).into(), 0)))
            }
            6 => {
                let address: [u8; 16] = *packet.get(24..)?.first_chunk()?;
                Some((
                    self.v6.as_ref()?,
                    SocketAddr::new(Ipv6Addr::from(address).into(), 0),
                ))
            }
            _ => None,
        }
    }
}

fn include_header(socket: &DatagramSocket, level: i32, option: i32) -> Result<(), IoError> {
    socket
        .set_option(level, option, 1)
        .map_err(|source| IoError::Socket {
            protocol: "IP",
            local: socket.local(),
            step: "IP_HDRINCL",
            source,
        })
}
