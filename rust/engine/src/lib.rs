//! The sans-I/O data plane.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        reason = "a failed unwrap is a failed test"
    )
)]

use std::sync::{Mutex, MutexGuard, PoisonError};

mod change;
mod drop_reason;
mod engine;
mod error;
mod event;
mod opened_batch;
mod path;
mod sealed_batch;
mod selector;
mod stats;
mod suite;
mod time;

pub use change::{
    Action, Change, Direction, Lifetimes, Limits, PolicyConfig, PolicyId, SaConfig, SaId,
};
pub use drop_reason::DropReason;
pub use engine::{Engine, InboundWorker, OutboundWorker, Progress};
pub use error::EngineError;
pub use event::{Event, Limit};
pub use opened_batch::OpenedBatch;
pub use path::{Encapsulation, Path, PathInfo};
pub use perilune_wire::flow::FlowKey;
pub use sealed_batch::{MAX_RUN_OCTETS, MAX_RUN_SEGMENTS, Run, SealedBatch};
pub use selector::{Ports, SelectorPair, TrafficSelector};
pub use stats::{PolicyStats, SaStats, Stats};
pub use suite::{AesKeyBits, Integrity, Keys, Suite};
pub use time::{Duration, Instant};

/// Take a lock; a thread that panicked while holding it left nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
