//! Which SA is due when.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Mutex;

use crate::either_sa::{EitherSa, WeakSa};
use crate::time::Instant;

/// What happens to the SA then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Hard,
    Soft,
}

/// Deadlines of all SAs, the earliest first, and of each SA only its next one. Those of SAs that are gone come
/// out as nothing.
#[derive(Default)]
pub(crate) struct Deadlines(Mutex<BinaryHeap<Deadline>>);

struct Deadline {
    at: Instant,
    sa: WeakSa,
}

impl Deadlines {
    /// Note the deadlines of a new SA.
    pub(crate) fn add(&self, sa: &EitherSa, soft_time: Option<Instant>) {
        let times = [soft_time, sa.common().lifetime.hard_time()];
        if let Some(at) = times.into_iter().flatten().min() {
            let sa = sa.downgrade();
            crate::lock(&self.0).push(Deadline { at, sa });
        }
    }

    /// Take out what is due.
    pub(crate) fn take_due(&self, now: Instant) -> Vec<(EitherSa, Due)> {
        let mut heap = crate::lock(&self.0);
        let mut due = Vec::new();
        while let Some(mut first) = heap.peek_mut() {
            if first.at > now {
                break;
            }
            let Some(sa) = first.sa.upgrade() else {
                PeekMut::pop(first);
                continue;
            };
            let hard = sa.common().lifetime.hard_time();
            if hard.is_some_and(|hard| hard <= first.at) {
                PeekMut::pop(first);
                due.push((sa, Due::Hard));
                continue;
            }
            match hard {
                Some(hard) => first.at = hard,
                None => drop(PeekMut::pop(first)),
            }
            due.push((sa, Due::Soft));
        }
        due
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        crate::lock(&self.0).peek().map(|first| first.at)
    }
}

impl Ord for Deadline {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Deadline {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Deadline {}
