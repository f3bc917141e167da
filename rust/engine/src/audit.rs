//! At most so many records a second, so that a flood of bad packets is not one of events.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::drop_reason::DropReason;
use crate::time::Instant;

const RECORDS_PER_SECOND: u64 = 10;
const SECOND: u64 = 1_000_000_000;
/// Low bits of a gate count the records of the second that the other bits name.
const COUNT_BITS: u32 = 16;

/// Lets so many pass in each second, ten unless another number is asked for.
#[derive(Default)]
pub(crate) struct RateLimit(AtomicU64);

impl RateLimit {
    pub(crate) fn allows(&self, now: Instant) -> bool {
        self.allows_most(RECORDS_PER_SECOND, now)
    }

    /// Forget what has passed in this second.
    pub(crate) fn restart(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// `most` is less than 65536.
    pub(crate) fn allows_most(&self, most: u64, now: Instant) -> bool {
        let second = now.0.wrapping_div(SECOND) << COUNT_BITS;
        let seen = self.0.load(Ordering::Relaxed);
        let count = if (seen >> COUNT_BITS) << COUNT_BITS == second {
            seen.wrapping_sub(second)
        } else {
            0
        };
        if count >= most {
            return false;
        }
        self.0.store(
            second.wrapping_add(count).wrapping_add(1),
            Ordering::Relaxed,
        );
        true
    }
}

/// One limit for each reason to audit.
pub(crate) struct AuditLimits([RateLimit; DropReason::ALL.len()]);

impl AuditLimits {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| RateLimit::default()))
    }

    /// Whether a drop for this reason is to be recorded.
    pub(crate) fn allows(&self, reason: DropReason, now: Instant) -> bool {
        reason.is_auditable()
            && self
                .0
                .get(reason as usize)
                .is_some_and(|limit| limit.allows(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_pass_in_a_second() {
        let limit = RateLimit::default();
        let passed = |at: u64| (0..30).filter(|n| limit.allows(Instant(at + n))).count();
        assert_eq!(
            (passed(0), passed(500), passed(SECOND), passed(7 * SECOND)),
            (10, 0, 10, 10)
        );
    }

    #[test]
    fn only_auditable_reasons_are_recorded() {
        let limits = AuditLimits::new();
        assert!(limits.allows(DropReason::Replayed, Instant(0)));
        assert!(!limits.allows(DropReason::DummyPacket, Instant(0)));
    }
}
