//! Tables that were replaced and that a worker may still look things up in.
//!
//! Whoever lets go of the last reference to tables frees what the next ones do not share and wipes
//! the keys of SAs that are gone. After a large transaction that takes many milliseconds, in which a
//! thread that carries packets would carry none. So one reference stays here until it is the last,
//! and a thread of the management's takes it out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::tables::Tables;

/// Replaced tables, until no worker has them any more.
#[derive(Default)]
pub(crate) struct Retired {
    tables: Mutex<Vec<Arc<Tables>>>,
    is_waiting: AtomicBool,
}

impl Retired {
    /// Keep tables that were just replaced.
    pub(crate) fn add(&self, tables: Arc<Tables>) {
        crate::lock(&self.tables).push(tables);
        self.is_waiting.store(true, Ordering::Release);
    }

    /// Free those that no worker has any more.
    pub(crate) fn free(&self) {
        if !self.is_waiting.load(Ordering::Acquire) {
            return;
        }
        let mut tables = crate::lock(&self.tables);
        let (free, held) = std::mem::take(&mut *tables)
            .into_iter()
            .partition::<Vec<_>, _>(is_last);
        self.is_waiting.store(!held.is_empty(), Ordering::Release);
        *tables = held;
        // Workers that ask whether there is something to free shall not wait until it is freed.
        drop(tables);
        drop(free);
    }

    /// Whether [`Self::free`] would free something.
    #[inline]
    pub(crate) fn can_free(&self) -> bool {
        self.is_waiting.load(Ordering::Acquire) && crate::lock(&self.tables).iter().any(is_last)
    }
}

/// Whether nobody else has tables; nobody can come by them again.
fn is_last(tables: &Arc<Tables>) -> bool {
    Arc::strong_count(tables) == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::time::Instant;

    const NOW: Instant = Instant(1);

    #[test]
    fn what_a_worker_lets_go_of_is_freed_by_another() {
        let retired = Retired::default();
        let tables = Arc::new(Tables::default());
        let (in_use, watched) = (Arc::clone(&tables), Arc::downgrade(&tables));
        retired.add(tables);
        retired.free();
        assert!(watched.upgrade().is_some() && !retired.can_free());
        drop(in_use);
        assert!(watched.upgrade().is_some() && retired.can_free());
        retired.free();
        assert!(watched.upgrade().is_none() && !retired.can_free());
    }

    #[test]
    fn workers_hold_no_more_than_the_tables_they_last_saw() {
        let engine = Engine::new();
        let mut worker = engine.outbound_worker();
        for _ in 0..3 {
            engine.apply(&[], NOW).unwrap();
        }
        assert!(!engine.has_retired());
        assert_eq!(crate::lock(&engine.retired.tables).len(), 1);
        worker.refresh();
        assert!(engine.has_retired());
        engine.take_events(0);
        assert!(!engine.has_retired());
        assert!(crate::lock(&engine.retired.tables).is_empty());
    }
}
