//! What can go wrong while devices and sockets are opened.
//!
//! On the packet path there are no errors, only counted drops ([`crate::counters`]).

use std::io;
use std::net::SocketAddr;

/// Why a device, a socket or a worker could not be had.
#[derive(Debug, thiserror::Error)]
pub enum IoError {
    /// A setting that no device or socket could carry out.
    #[error("{0}")]
    Setting(String),
    /// The TUN device could not be created or configured.
    #[error("TUN device {name}: {step}: {source}")]
    Tun {
        /// The device that was asked for.
        name: String,
        /// What was being done.
        step: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The packets of users cannot be told from those of others.
    #[error("the kernel does not tell whose packets they are, for which it wants CAP_BPF: {0}")]
    Users(io::Error),
    /// An interface could not be listened on.
    #[error("interface {name}: {step}: {source}")]
    Port {
        /// The interface that was asked for.
        name: String,
        /// What was being done.
        step: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A socket could not be opened, configured or bound.
    #[error("{protocol} socket on {local}: {step}: {source}")]
    Socket {
        /// `UDP`, `ESP` or `IP`.
        protocol: &'static str,
        /// The local address that was asked for.
        local: SocketAddr,
        /// What was being done.
        step: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
    /// No socket has this local address and port.
    #[error("no socket with the local address {0}")]
    NoSocket(SocketAddr),
    /// The kernel refused to send a datagram.
    #[error("datagram from {local} to {remote}: {source}")]
    Send {
        /// Where it was to leave.
        local: SocketAddr,
        /// Where it was to go.
        remote: SocketAddr,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A thread or an event descriptor could not be had.
    #[error("{step}: {source}")]
    Resource {
        /// What was being done.
        step: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
}

impl IoError {
    /// Whether the caller asked for something illegal, as opposed to the kernel refusing.
    pub fn is_caller_fault(&self) -> bool {
        matches!(self, Self::Setting(_) | Self::NoSocket(_))
    }
}
