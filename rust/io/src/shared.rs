//! What the threads that carry packets share, and what others share with each of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use perilune_engine::{Engine, Path};

use crate::counters::Counters;
use crate::device::{Device, Lost, Placement};
use crate::error::IoError;
use crate::event_queue::{EventQueue, IoEvent, Signal};
use crate::kick::Kick;
use crate::sockets::{SocketSettings, Sockets};

/// What the workers and the runtime share.
pub(crate) struct Shared {
    pub(crate) engine: Arc<Engine>,
    pub(crate) device: Device,
    pub(crate) sockets: Sockets,
    pub(crate) events: EventQueue,
    pub(crate) stop: Signal,
    seats: Vec<Seat>,
    stopping: AtomicBool,
}

/// What others share with one worker; no cache line of it is another worker's.
#[repr(align(128))]
pub(crate) struct Seat {
    pub(crate) counters: Counters,
    pub(crate) kick: Kick,
}

impl Seat {
    fn new() -> Result<Self, IoError> {
        Ok(Self {
            counters: Counters::default(),
            kick: Kick::new()?,
        })
    }
}

impl Shared {
    /// Open the device and the sockets, with what each of so many workers has of its own.
    ///
    /// # Errors
    /// [`IoError`] for the first that could not be had; nothing is left open then.
    pub(crate) fn open(
        engine: Arc<Engine>,
        placement: &Placement,
        sockets: &SocketSettings,
        workers: usize,
    ) -> Result<Self, IoError> {
        Ok(Self {
            engine,
            sockets: Sockets::open(sockets, workers)?,
            device: Device::open(placement, workers)?,
            events: EventQueue::new()?,
            stop: Signal::new()?,
            seats: (0..workers)
                .map(|_| Seat::new())
                .collect::<Result<_, _>>()?,
            stopping: AtomicBool::new(false),
        })
    }

    /// What is shared with each worker, from the first on.
    pub(crate) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// How many workers there are.
    pub(crate) fn workers(&self) -> usize {
        self.seats.len()
    }

    /// The counters of a worker.
    pub(crate) fn counters(&self, worker: usize) -> &Counters {
        &self.seat(worker).counters
    }

    /// What tells a worker that the databases changed.
    pub(crate) fn kick(&self, worker: usize) -> &Kick {
        &self.seat(worker).kick
    }

    fn seat(&self, worker: usize) -> &Seat {
        // There is a first one, and workers are numbered from it on.
        self.seats.get(worker).unwrap_or(&self.seats[0])
    }

    /// Have the first worker look at the time, if the device says that it has to.
    pub(crate) fn tell_time_is_short(&self) {
        if self.device.take_time_short() {
            self.kick(0).raise();
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Look anew at what the first hop of a path takes: it refused a packet.
    pub(crate) fn note_first_hop(&self, path: &Path) {
        let mtu = self.sockets.first_hop_mtu(path);
        self.engine
            .note_first_hop(path.local.ip(), path.remote.ip(), mtu);
    }

    /// Make the event descriptor readable if the engine has events, or something to free that a thread
    /// with packets to carry has no time for.
    pub(crate) fn tell_engine_events(&self) {
        if self.engine.has_events() || self.engine.has_retired() {
            self.events.raise();
        }
    }

    /// The device is gone: say so once, and stop.
    pub(crate) fn lose_device(&self, lost: Lost) {
        if self.begin_stop() {
            self.events.push(IoEvent::DeviceLost {
                name: lost.name,
                reason: lost.reason.to_string(),
            });
        }
    }

    /// Let the workers end; `true` for the first who asks.
    pub(crate) fn begin_stop(&self) -> bool {
        let first = !self.stopping.swap(true, Ordering::AcqRel);
        self.stop.raise();
        first
    }
}
