//! The engine: policies and SAs, and what they do to packets.

use crate::change::Change;
use crate::error::EngineError;
use crate::event::{Event, EventQueue};
use crate::opened_batch::OpenedBatch;
use crate::path::PathInfo;
use crate::sealed_batch::SealedBatch;
use crate::stats::Stats;
use crate::time::Instant;

/// Whether a call could finish.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The input is dealt with.
    Done,
    /// The batch is full and nothing is lost: hand the batch over, clear it, and make the same
    /// call with the same input again.
    Full,
}

/// What one thread that seals keeps to itself.
pub struct OutboundWorker {}

/// What one thread that opens keeps to itself.
pub struct InboundWorker {}

/// The data plane; share it behind an `Arc`.
pub struct Engine {
    events: EventQueue,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine without policies: everything is dropped.
    pub fn new() -> Self {
        Self {
            events: EventQueue::new(4096),
        }
    }

    /// Carry out a transaction: all of it, or nothing and an error.
    ///
    /// Call [`Self::on_time`] afterwards, there may be new deadlines; and when
    /// [`Self::has_released`] says so, have an outbound worker call [`Self::release_held`].
    ///
    /// # Errors
    /// What was wrong with the first change that could not be made.
    pub fn apply(&self, _changes: &[Change], _now: Instant) -> Result<(), EngineError> {
        Ok(())
    }

    /// A worker for one thread that seals.
    pub fn outbound_worker(&self) -> OutboundWorker {
        OutboundWorker {}
    }

    /// A worker for one thread that opens.
    pub fn inbound_worker(&self) -> InboundWorker {
        InboundWorker {}
    }

    /// Take a frame from the device (virtio header and packet) to where policy sends it.
    pub fn seal(
        &self,
        _worker: &mut OutboundWorker,
        _frame: &[u8],
        _now: Instant,
        _out: &mut SealedBatch,
    ) -> Progress {
        Progress::Done
    }

    /// Whether held packets have found an SA and [`Self::release_held`] is to be called.
    pub fn has_released(&self) -> bool {
        false
    }

    /// Seal the packets that were held and have an SA now.
    pub fn release_held(
        &self,
        _worker: &mut OutboundWorker,
        _now: Instant,
        _out: &mut SealedBatch,
    ) -> Progress {
        Progress::Done
    }

    /// Open one ESP packet in place and put what was inside into the batch.
    pub fn open(
        &self,
        _worker: &mut InboundWorker,
        _esp: &mut [u8],
        _from: &PathInfo,
        _now: Instant,
        _out: &mut OpenedBatch,
    ) -> Progress {
        Progress::Done
    }

    /// Do what is due by now.
    ///
    /// Returns:
    /// When to call again at the latest, or `None` when nothing is planned.
    pub fn on_time(&self, _now: Instant) -> Option<Instant> {
        None
    }

    /// Whether [`Self::take_events`] has something; cheap enough to ask after every batch.
    pub fn has_events(&self) -> bool {
        self.events.is_waiting()
    }

    /// Take out the oldest events, at most so many.
    pub fn take_events(&self, most: usize) -> Vec<Event> {
        self.events.take(most)
    }

    /// Read all counters.
    pub fn stats(&self) -> Stats {
        Stats {
            sas: vec![],
            policies: vec![],
            drops: vec![],
            events_lost: self.events.lost(),
        }
    }
}

impl OutboundWorker {
    /// Let go of tables that were replaced, so that keys of removed SAs are wiped even when no
    /// traffic flows. Call it when a wait for packets times out.
    pub fn refresh(&mut self) {}
}

impl InboundWorker {
    /// Let go of tables that were replaced; see [`OutboundWorker::refresh`].
    pub fn refresh(&mut self) {}
}
