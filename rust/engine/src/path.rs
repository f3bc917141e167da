//! Between which two addresses ESP travels, and in what.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;

use perilune_wire::ip;

use crate::outer_header::OuterHeader;

/// How ESP packets are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encapsulation {
    /// Directly in IP, as protocol 50.
    None,
    /// In UDP datagrams (RFC 3948).
    Udp,
}

/// The two ends of an SA on the outer network. Ports matter only with [`Encapsulation::Udp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
}

/// A path as SAs keep it: that of IPv4 takes a quarter of the room.
#[derive(Clone)]
pub(crate) enum StoredPath {
    Ipv4 {
        local: SocketAddrV4,
        remote: SocketAddrV4,
    },
    Any(Arc<Path>),
}

impl From<Path> for StoredPath {
    fn from(path: Path) -> Self {
        match (path.local, path.remote) {
            (SocketAddr::V4(local), SocketAddr::V4(remote)) => Self::Ipv4 { local, remote },
            _ => Self::Any(Arc::new(path)),
        }
    }
}

impl From<&StoredPath> for Path {
    #[inline]
    fn from(stored: &StoredPath) -> Self {
        match stored {
            StoredPath::Ipv4 { local, remote } => Self {
                local: (*local).into(),
                remote: (*remote).into(),
            },
            StoredPath::Any(path) => **path,
        }
    }
}

/// Where an inbound packet came from, as the socket told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathInfo {
    /// The address and port it was sent to.
    pub local: SocketAddr,
    /// The address and port it was sent from.
    pub remote: SocketAddr,
    /// Whether it came in a UDP datagram.
    pub encapsulated: bool,
    /// TOS or Traffic Class of the outer header (DSCP and ECN); zero when not known.
    pub traffic_class: u8,
    /// TTL or hop limit of the outer header; zero when not known.
    pub hop_limit: u8,
    /// Flow label of an IPv6 outer header for audit records; zero when not known.
    pub flow_label: u32,
}

impl PathInfo {
    /// A payload behind an IP header like the one that a socket took off, as far as that is known.
    ///
    /// Returns:
    /// `None` when no packet is that long.
    pub fn with_header(&self, protocol: u8, payload: &[u8]) -> Option<Vec<u8>> {
        let (mut packet, _) = OuterHeader::of_arrival(self).to_octets(protocol)?;
        packet.extend_from_slice(payload);
        ip::set_length(&mut packet)?;
        Some(packet)
    }
}
