//! The clock that the workers give to the engine.

use perilune_engine::Instant;
use rustix::time::{ClockId, clock_gettime};

/// The system's monotonic clock, the same that Python's `time.monotonic_ns()` reads.
pub(crate) fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    Instant(
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(nanoseconds),
    )
}
