//! All sockets of a runtime, and which of them an SA or an IKE message goes through.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use perilune_engine::Path;

use crate::datagram_socket::{Discovery, Sharing};
use crate::error::IoError;
use crate::first_hop;
use crate::raw_socket::{RawSocket, RawUse};
use crate::udp::{UdpRole, UdpSocket};
use crate::whole_packets::WholePacketSockets;

/// Which sockets to open.
#[derive(Clone, Debug)]
pub struct SocketSettings {
    /// Addresses to receive on; none means all of this host's, of both families.
    pub local_addresses: Vec<IpAddr>,
    /// UDP port of IKE.
    pub ike_port: u16,
    /// UDP port of IKE and ESP together.
    pub nat_t_port: u16,
    /// Whether to open raw sockets: for IPsec without UDP, whole packets, and ICMP errors. Without
    /// them the kernel cuts what is too large for its path, and no sender is told.
    pub raw: bool,
    /// `SO_MARK` of everything that is sent.
    pub mark: Option<u32>,
}

/// The open sockets.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// Of IKE alone; the first worker has them.
    ike: Vec<UdpSocket>,
    /// Of ESP and IKE together, of each worker.
    nat_t: Vec<Vec<UdpSocket>>,
    /// Of ESP, AH and ICMP.
    pub(crate) raw: Vec<RawSocket>,
    pub(crate) whole: Option<WholePacketSockets>,
    mark: Option<u32>,
}

impl Sockets {
    /// Open them for so many workers.
    pub(crate) fn open(settings: &SocketSettings, workers: usize) -> Result<Self, IoError> {
        if settings.ike_port == settings.nat_t_port {
            return Err(IoError::Setting(format!(
                "IKE and NAT traversal cannot share UDP port {}",
                settings.ike_port
            )));
        }
        let mut sockets = Self {
            ike: Vec::new(),
            nat_t: (0..workers).map(|_| Vec::new()).collect(),
            raw: Vec::new(),
            whole: None,
            mark: settings.mark,
        };
        for address in &settings.local_addresses {
            sockets.open_address(*address, settings)?;
        }
        if settings.local_addresses.is_empty() {
            sockets.open_address(Ipv4Addr::UNSPECIFIED.into(), settings)?;
            match sockets.open_address(Ipv6Addr::UNSPECIFIED.into(), settings) {
                Err(IoError::Socket { source, .. }) if is_family_missing(&source) => {}
                result => result?,
            }
        }
        if settings.raw {
            sockets.whole = Some(WholePacketSockets::open(settings.mark)?);
        }
        Ok(sockets)
    }

    fn open_address(&mut self, address: IpAddr, settings: &SocketSettings) -> Result<(), IoError> {
        let whole = if settings.raw {
            Discovery::Refuse
        } else {
            Discovery::CutIfNeeded
        };
        let open = |port, role, sharing| {
            let local = SocketAddr::new(address, port);
            UdpSocket::open(local, role, settings.mark, whole, sharing)
        };
        let alone = Sharing::Alone;
        self.ike.push(open(settings.ike_port, UdpRole::Ike, alone)?);
        let is_shared = self.nat_t.len() > 1;
        for (number, sockets) in self.nat_t.iter_mut().enumerate() {
            let sharing = match number {
                0 if is_shared => Sharing::First,
                0 => alone,
                _ => Sharing::Further,
            };
            sockets.push(open(settings.nat_t_port, UdpRole::NatTraversal, sharing)?);
        }
        if settings.raw {
            for usage in [RawUse::Ah, RawUse::Esp, RawUse::Icmp] {
                let socket = RawSocket::open(address, usage, settings.mark)?;
                self.raw.push(socket);
            }
        }
        Ok(())
    }

    /// What the first hop of a path takes in one piece; `None` when that is not known, or when nobody
    /// could make use of it.
    pub(crate) fn first_hop_mtu(&self, path: &Path) -> Option<u32> {
        self.whole.as_ref()?;
        first_hop::mtu(path.local.ip(), path.remote.ip(), self.mark)
    }

    /// The UDP sockets that a worker receives from.
    pub(crate) fn udp_of(&self, worker: usize) -> impl Iterator<Item = &UdpSocket> {
        let ike = if worker == 0 {
            self.ike.as_slice()
        } else {
            &[]
        };
        self.nat_t.get(worker).into_iter().flatten().chain(ike)
    }

    /// The UDP socket of a worker with this local address and port, or that of all.
    pub(crate) fn udp_for(&self, worker: usize, local: SocketAddr) -> Option<&UdpSocket> {
        let own = self.nat_t.get(worker).into_iter().flatten();
        own.chain(&self.ike).find(|socket| socket.serves(local))
    }

    /// The raw socket that sends ESP from this local address.
    pub(crate) fn raw_esp_for(&self, local: IpAddr) -> Option<&RawSocket> {
        self.raw.iter().find(|socket| socket.sends_esp_from(local))
    }
}

/// A host without IPv6 says so in one of two ways: no such family, or no such address.
fn is_family_missing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
    )
}
