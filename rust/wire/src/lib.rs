//! Header views of the protocols that cross the engine.
//!
//! Nothing here does I/O or knows the time. A frame of a TUN device comes in through
//! [`segment::Superpacket`]; packets for one leave through [`coalesce::Coalescer`]; what arrives
//! on UDP port 4500 is told apart by [`demux::classify`].
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        reason = "a failed unwrap is a failed test"
    )
)]

pub mod ah;
pub mod checksum;
pub mod coalesce;
pub mod demux;
pub mod esp;
pub mod ethernet;
pub mod extension_header;
pub mod flow;
pub mod fragment;
mod headers;
pub mod icmp;
pub mod immutable;
pub mod ip;
pub mod ipcomp;
pub mod neighbor;
mod open_frame;
pub mod reassembly;
pub mod segment;
pub mod sensitivity;
mod transport;
pub mod virtio_net_hdr;
