//! The threads that carry packets. Each has a queue of the device and sockets of its own, and does
//! both directions: what a packet that it wrote to the protected side brings about there (an answer,
//! an acknowledgement) is in its queue at once, and waits for no other thread to wake up.
//!
//! The first worker also has what there is one of: the sockets of IKE and of IP protocols, users'
//! queues, the inner interface of a bump in the wire, and what has to happen in time.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::yield_now;
use std::time::Duration;

use perilune_engine::Instant;

use crate::clock;
use crate::device::Lost;
use crate::error::IoError;
use crate::inbound_worker::{InboundWorker, Source};
use crate::outbound_worker::{Burst, OutboundWorker};
use crate::patience::{Last, Patience};
use crate::readiness::Readiness;
use crate::shared::Shared;

/// Most packets each way of a worker that has time to wait for an answer.
const FEW_PACKETS: u64 = 4;

/// What a worker waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// The databases changed, or there is less time than was thought.
    Kick,
    /// Frames in its queue of the device.
    Queue,
    /// Frames on the outer interface of a bump in the wire.
    Outside,
    /// A datagram, by the place of its socket among the worker's.
    Socket(usize),
    /// The end.
    Stop,
}

/// One of the threads.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    number: usize,
    readiness: Readiness<Awaited>,
    outbound: OutboundWorker,
    inbound: InboundWorker,
    next_timeout: Option<Instant>,
    patience: Patience,
    last: Last,
}

impl Worker {
    /// Make one.
    ///
    /// # Errors
    /// [`IoError::Resource`] if the kernel has no room for what it waits for.
    pub(crate) fn new(shared: Arc<Shared>, number: usize) -> Result<Self, IoError> {
        Ok(Self {
            readiness: readiness(&shared, number)?,
            outbound: OutboundWorker::new(Arc::clone(&shared), number),
            inbound: InboundWorker::new(Arc::clone(&shared), number),
            shared,
            number,
            next_timeout: None,
            patience: Patience::new(),
            last: Last::Other,
        })
    }

    /// Work until the runtime stops or the device is gone.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let sources: Vec<_> = sources(&shared, self.number).collect();
        let mut burst = Burst::Drained;
        while !shared.is_stopping() {
            let turn = self.turn(&sources, &burst);
            match turn {
                Ok(next) => burst = next,
                Err(lost) => return shared.lose_device(lost),
            }
        }
    }

    /// Wait for something to do, and do it.
    ///
    /// Returns:
    /// Whether the queue may have more to read.
    fn turn(&mut self, sources: &[Source<'_>], burst: &Burst) -> Result<Burst, Lost> {
        let mut kicked = false;
        let mut has_frames = matches!(burst, Burst::More);
        if has_frames {
            self.readiness.look();
        } else {
            self.wait();
        }
        let counters = self.shared.counters(self.number);
        let carried = counters.carried();
        for awaited in self.readiness.ready() {
            match awaited {
                Awaited::Kick => kicked = self.shared.kick(self.number).take(),
                Awaited::Queue => has_frames = true,
                Awaited::Outside => {
                    if let Some(bump) = self.shared.device.unprotected() {
                        self.inbound.pass_frames(bump)?;
                    }
                }
                Awaited::Socket(place) => {
                    if let Some(source) = sources.get(place) {
                        self.inbound.receive(*source)?;
                        has_frames = true;
                    }
                }
                Awaited::Stop => return Ok(Burst::Drained),
            }
        }
        if kicked {
            self.outbound.refresh();
            self.inbound.refresh();
            self.shared.tell_engine_events();
        }
        let burst = if has_frames {
            self.outbound.read_burst()?
        } else {
            Burst::Drained
        };
        self.last = last(carried, counters.carried());
        if self.number == 0 {
            self.look_at_time(kicked)?;
        }
        Ok(burst)
    }

    /// Wait for something to do: awake for a while if it is to be expected soon, then asleep.
    fn wait(&mut self) {
        let begin = clock::now();
        let until = |now| self.next_timeout.map(|at: Instant| at.since(now));
        let awake = self.patience.awake_ns(self.last);
        let mut awake_ns = 0;
        let mut found = false;
        while awake_ns < awake && !found {
            found = self.readiness.look();
            if !found {
                // Whoever is to answer may be waiting for this very processor.
                yield_now();
            }
            awake_ns = clock::now().since(begin).0;
        }
        if !found {
            let left = until(clock::now());
            self.readiness
                .wait(left.map(|left| Duration::from_nanos(left.0)));
        }
        let waited_ns = clock::now().since(begin).0;
        self.patience.learn(self.last, waited_ns, awake_ns);
    }

    /// Do what is due, and what a change of the databases made possible.
    fn look_at_time(&mut self, kicked: bool) -> Result<(), Lost> {
        let kicked = self.shared.device.take_time_short() || kicked;
        if !kicked && self.next_timeout.is_none() {
            return Ok(());
        }
        let now = clock::now();
        if !kicked && self.next_timeout.is_none_or(|at| now < at) {
            return Ok(());
        }
        self.outbound.refresh();
        let counters = self.shared.counters(self.number);
        let of_device = self.shared.device.on_time(counters, now)?;
        let deadlines = [self.shared.engine.on_time(now), of_device];
        self.next_timeout = deadlines.into_iter().flatten().min();
        self.outbound.release_held(now);
        self.shared.tell_engine_events();
        Ok(())
    }
}

/// What a worker has done, by what it had carried each way before and after.
fn last(before: (u64, u64), after: (u64, u64)) -> Last {
    let sent = after.0.saturating_sub(before.0);
    let received = after.1.saturating_sub(before.1);
    match (sent, received) {
        (1..=FEW_PACKETS, 0) => Last::Sent,
        (0, 1..=FEW_PACKETS) => Last::Written,
        _ => Last::Other,
    }
}

/// The sockets that a worker receives from.
fn sources(shared: &Shared, number: usize) -> impl Iterator<Item = Source<'_>> {
    let of_everyone = if number == 0 {
        shared.sockets.raw.as_slice()
    } else {
        &[]
    };
    let udp = shared.sockets.udp_of(number).map(Source::Udp);
    udp.chain(of_everyone.iter().map(Source::Raw))
}

fn readiness(shared: &Shared, number: usize) -> Result<Readiness<Awaited>, IoError> {
    let mut readiness = Readiness::new()?;
    for queue in shared.device.queues_of(number) {
        readiness.add(queue, Awaited::Queue)?;
    }
    if let Some(bump) = shared.device.unprotected()
        && number.saturating_add(1) == shared.workers()
    {
        readiness.add(bump.outside().as_fd(), Awaited::Outside)?;
    }
    for (place, source) in sources(shared, number).enumerate() {
        readiness.add(source.as_fd(), Awaited::Socket(place))?;
    }
    readiness.add(shared.kick(number).as_fd(), Awaited::Kick)?;
    readiness.add(shared.stop.as_fd(), Awaited::Stop)?;
    Ok(readiness)
}
