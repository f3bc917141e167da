//! Devices, sockets and threads around the engine; the home of `unsafe`.
//!
//! [`Runtime`] is where to start: it opens a device ([`Placement`]) and the sockets, and runs
//! workers, threads that each have a queue of the device and sockets of their own. Packets that are lost here are counted ([`IoDrop`]); nothing that a peer
//! or the network does ends a thread.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        reason = "a failed unwrap is a failed test"
    )
)]

mod bump_in_the_wire;
mod clock;
mod control_message;
mod counters;
mod datagram_socket;
mod device;
mod device_queue;
mod dummies;
mod error;
mod event_queue;
mod first_hop;
mod frame_buffer;
mod inbound_worker;
mod interface;
mod kick;
mod message;
mod neighbor_queue;
mod neighbor_table;
mod outbound_worker;
mod patience;
mod raw_socket;
mod readiness;
mod runtime;
mod shared;
mod sockets;
mod tun;
mod udp;
mod user_queues;
mod user_steering;
mod whole_packets;
mod wire_port;
mod worker;

pub use bump_in_the_wire::WireSettings;
pub use counters::{Counters, IoCounts, IoDrop};
pub use device::Placement;
pub use dummies::Dummies;
pub use error::IoError;
pub use event_queue::IoEvent;
pub use runtime::{Runtime, RuntimeSettings};
pub use sockets::SocketSettings;
pub use tun::Tun;
