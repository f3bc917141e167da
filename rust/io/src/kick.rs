//! Telling a worker that the databases changed.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::IoError;
use crate::event_queue::Signal;

/// Tells a worker that the databases changed.
pub(crate) struct Kick {
    signal: Signal,
    raised: AtomicBool,
}

impl Kick {
    pub(crate) fn new() -> Result<Self, IoError> {
        Ok(Self {
            signal: Signal::new()?,
            raised: AtomicBool::new(false),
        })
    }

    /// Tell it.
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            self.signal.raise();
        }
    }

    /// Whether it was raised since the last call; to be asked when the descriptor is readable.
    pub(crate) fn take(&self) -> bool {
        // Cleared first: what is raised after the next line makes the descriptor readable again.
        self.signal.clear();
        self.raised.swap(false, Ordering::AcqRel)
    }
}

impl AsFd for Kick {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}
