//! Which SA is due when.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, Weak};

use crate::sa::SaCommon;
use crate::time::Instant;

/// What happens to the SA then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Hard,
    Soft,
}

/// Deadlines of all SAs, the earliest first. Those of SAs that are gone come out as nothing.
#[derive(Default)]
pub(crate) struct Deadlines(Mutex<BinaryHeap<Deadline>>);

struct Deadline {
    at: Instant,
    due: Due,
    sa: Weak<SaCommon>,
}

impl Deadlines {
    /// Note the deadlines of a new SA.
    pub(crate) fn add(&self, sa: &Arc<SaCommon>) {
        let mut heap = crate::lock(&self.0);
        let times = [
            (sa.lifetime.soft_time(), Due::Soft),
            (sa.lifetime.hard_time(), Due::Hard),
        ];
        for (at, due) in times {
            heap.extend(at.map(|at| Deadline {
                at,
                due,
                sa: Arc::downgrade(sa),
            }));
        }
    }

    /// Take out what is due.
    pub(crate) fn take_due(&self, now: Instant) -> Vec<(Arc<SaCommon>, Due)> {
        let mut heap = crate::lock(&self.0);
        let mut due = Vec::new();
        while heap.peek().is_some_and(|first| first.at <= now) {
            let first = heap
                .pop()
                .and_then(|first| Some((first.sa.upgrade()?, first.due)));
            due.extend(first);
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
