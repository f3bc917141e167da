//! Header views of the protocols that cross the engine.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        reason = "a failed unwrap is a failed test"
    )
)]

pub mod coalesce;
pub mod demux;
pub mod esp;
pub mod flow;
pub mod virtio_net_hdr;
