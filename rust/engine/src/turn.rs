//! Whose turn it is to send on an SA.
//!
//! A receiver drops what is further behind the highest sequence number that it has seen than its
//! window is wide, and that is 32 packets with some. So the packets of an SA have to leave in the order
//! of their numbers, and from when a thread takes numbers until what it sealed is sent no other may
//! take any. Threads that have packets for other SAs, which is the rule, know nothing of each other.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// Nobody's turn.
const NOBODY: u32 = 0;

/// A number of somebody who takes turns; never twice the same.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sender(u32);

impl Sender {
    pub(crate) fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(NOBODY);
        Self(LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
    }
}

/// The turns of one SA.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    whose: AtomicU32,
    waiting: AtomicU32,
}

/// Where those wait whose turn it is not: the same place for all SAs, of which there are many and where
/// it is rare that somebody waits.
static GATE: Mutex<()> = Mutex::new(());
static OVER: Condvar = Condvar::new();

impl Turn {
    /// Whether it is this sender's.
    #[inline]
    pub(crate) fn is_of(&self, sender: &Sender) -> bool {
        self.whose.load(Ordering::Relaxed) == sender.0
    }

    /// Take it, if it is nobody's.
    pub(crate) fn take(&self, sender: &Sender) -> bool {
        self.whose
            .compare_exchange(NOBODY, sender.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Take it as soon as it is nobody's. Who waits must have no other turn: others would wait for that.
    #[cold]
    pub(crate) fn wait(&self, sender: &Sender) {
        let mut gate = GATE.lock().unwrap_or_else(PoisonError::into_inner);
        // Counted before it looks: who ends his turn looks for the count after that.
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while !self.take(sender) {
            gate = OVER.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    /// Let others have it.
    #[inline]
    pub(crate) fn end(&self) {
        self.whose.store(NOBODY, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            call();
        }
    }
}

#[cold]
fn call() {
    // Behind the gate: nobody is between a look in vain and his wait.
    drop(GATE.lock().unwrap_or_else(PoisonError::into_inner));
    OVER.notify_all();
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn one_at_a_time_and_everybody_in_the_end() {
        let (turn, busy) = (Turn::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let sender = Sender::new();
                    for _ in 0..5000 {
                        if !turn.take(&sender) {
                            turn.wait(&sender);
                        }
                        assert!(turn.is_of(&sender));
                        assert!(!busy.swap(true, Ordering::AcqRel));
                        busy.store(false, Ordering::Release);
                        turn.end();
                    }
                });
            }
        });
        assert!(turn.take(&Sender::new()), "the last one has ended it");
    }
}
