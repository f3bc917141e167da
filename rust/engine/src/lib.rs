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

mod admission;
mod ah;
mod audit;
mod bundle;
mod change;
mod clear;
mod compression;
mod conditions;
mod cow_map;
mod deadline;
mod decapsulate;
mod drop_reason;
mod dummy;
mod either_sa;
mod encapsulate;
mod engine;
mod error;
mod event;
mod flow_cache;
mod fragment_policy;
mod fragments;
mod hold;
mod icmp_controls;
mod icmp_errors;
mod inbound;
mod index_key;
mod ipv4_selector;
mod lifetime;
mod matcher;
mod mode;
mod open_packet;
mod opened_batch;
mod outbound;
mod outbound_sad;
mod outer_header;
mod overhead;
mod paged_array;
mod path;
mod path_error;
mod path_mtu;
mod populate;
mod ported;
mod precedence;
mod prefix;
mod processing;
mod protection;
mod replay;
mod replies;
mod retired;
mod sa;
mod sa_list;
mod sad;
mod sealed_batch;
mod selector;
mod sequence;
mod shared_table;
mod shown;
mod slab;
mod spd;
mod spd_index;
mod stats;
mod suite;
mod tables;
mod time;
mod transform;
mod turn;
mod whole_packet;
mod windows;

pub use change::{
    Action, Change, Direction, Lifetimes, Limits, PolicyConfig, PolicyId, SaConfig, SaId,
    SequenceState,
};
pub use conditions::{Conditions, Masked};
pub use drop_reason::DropReason;
pub use engine::{Engine, Progress};
pub use error::EngineError;
pub use event::{Event, Limit};
pub use icmp_controls::{IcmpControls, IcmpKind};
pub use icmp_errors::IcmpErrors;
pub use inbound::InboundWorker;
pub use opened_batch::OpenedBatch;
pub use outbound::OutboundWorker;
pub use path::{Encapsulation, Path, PathInfo};
pub use perilune_wire::flow::FlowKey;
pub use populate::Populate;
pub use processing::{
    DestinationOptions, DontFragment, Dscp, DscpMap, Fragmentation, Lookup, Mode,
    PreservedAddresses, Processing, Protocol, TfcPadding,
};
pub use replay::ReplayWindow;
pub use sealed_batch::{MAX_RUN_OCTETS, MAX_RUN_SEGMENTS, Run, SealedBatch};
pub use selector::{Ports, SelectorPair, TrafficSelector};
pub use stats::{PolicyStats, SaStats, Stats};
pub use suite::{
    AesKeyBits, AhIntegrity, Cbc, Cipher, Combined, IcvOctets, Integrity, KeyOctets, Keys,
    Rc5KeyBits, Suite, SuiteError,
};
pub use time::{Duration, Instant};

/// Take a lock; a thread that panicked while holding it left nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
