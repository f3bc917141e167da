//! The engine with its device, its sockets and its threads.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, available_parallelism};

use perilune_engine::{Change, Direction, Engine, EngineError, Event, Instant, Path, SaId, Stats};

use crate::clock;
use crate::counters::Counters;
use crate::device::{Lost, Placement};
use crate::dummies::{Dummies, DummyWorker};
use crate::error::IoError;
use crate::event_queue::IoEvent;
use crate::shared::Shared;
use crate::sockets::SocketSettings;
use crate::udp::UdpSocket;
use crate::worker::Worker;

/// Most engine events handed over at once.
const EVENTS: usize = 4096;
/// Most workers where no number is set: each has some megabytes of buffers.
const MOST_BY_DEFAULT: usize = 8;

/// How many workers there are to be.
fn number_of_workers(wanted: Option<usize>) -> Result<usize, IoError> {
    let most = Runtime::MOST_WORKERS;
    match wanted {
        // As many as the process may run on at once (sched_getaffinity(2)); more would only wait.
        None => Ok(available_parallelism().map_or(1, |count| count.get().min(MOST_BY_DEFAULT))),
        Some(count) if (1..=most).contains(&count) => Ok(count),
        Some(count) => Err(IoError::Setting(format!(
            "there can be 1 to {most} workers, not {count}"
        ))),
    }
}

/// What a runtime needs to know.
#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// Where the protected side is.
    pub placement: Placement,
    /// Which sockets to open.
    pub sockets: SocketSettings,
    /// How many threads carry packets, 1 to [`Runtime::MOST_WORKERS`]; none says as many as this
    /// process has processors, eight at most.
    pub workers: Option<usize>,
}

/// An engine between the protected side and the network, with threads that carry packets.
pub struct Runtime {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// There once somebody wants dummies.
    dummies: Mutex<Option<DummyWorker>>,
}

impl Runtime {
    /// Most threads that carry packets.
    pub const MOST_WORKERS: usize = 64;

    /// Open everything and start to carry packets.
    ///
    /// # Errors
    /// [`IoError`] for the first device or socket that could not be had; nothing is left open then.
    pub fn start(engine: Arc<Engine>, settings: &RuntimeSettings) -> Result<Self, IoError> {
        let workers = number_of_workers(settings.workers)?;
        let shared = Shared::open(engine, &settings.placement, &settings.sockets, workers)?;
        let shared = Arc::new(shared);
        let runtime = Self {
            shared,
            threads: Mutex::default(),
            dummies: Mutex::default(),
        };
        // If one cannot start, dropping the runtime ends those before it.
        for number in 0..workers {
            let worker = Worker::new(Arc::clone(&runtime.shared), number)?;
            runtime.spawn(&format!("perilune-{number}"), |_| worker.run())?;
        }
        Ok(runtime)
    }

    fn spawn(
        &self,
        name: &str,
        work: impl FnOnce(Arc<Shared>) + Send + 'static,
    ) -> Result<(), IoError> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let worker = Arc::clone(&shared);
                // A worker that panicked is a defect; it must not leave a runtime that looks alive.
                if catch_unwind(AssertUnwindSafe(|| work(worker))).is_err() {
                    shared.lose_device(Lost {
                        name: shared.device.name().to_owned(),
                        reason: io::Error::other("a worker failed, which is a defect"),
                    });
                }
            });
        let thread = thread.map_err(|source| IoError::Resource {
            step: "thread",
            source,
        })?;
        self.threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(thread);
        Ok(())
    }

    /// Name of the TUN device, or of the inner of two interfaces.
    pub fn device_name(&self) -> &str {
        self.shared.device.name()
    }

    /// Tell the packets of these local users from those of others from now on, so that a policy's
    /// condition can ask for their user; what other users send is nobody's.
    ///
    /// # Errors
    /// [`IoError::Users`] where the kernel does not let us, [`IoError::Setting`] in the wire.
    pub fn know_users(&self, users: &[u32]) -> Result<(), IoError> {
        self.shared.device.know_users(users)
    }

    /// Apply changes to the engine; held packets that got an SA are sent.
    ///
    /// # Errors
    /// [`EngineError`] if one of them is not possible; none was made.
    pub fn apply(&self, changes: &[Change], now: Instant) -> Result<(), EngineError> {
        self.shared.engine.apply(changes, now)?;
        self.note_first_hops(changes);
        for seat in self.shared.seats() {
            seat.kick.raise();
        }
        self.shared.tell_engine_events();
        if let Some(dummies) = self.dummies().as_mut() {
            dummies.refresh();
        }
        Ok(())
    }

    fn dummies(&self) -> MutexGuard<'_, Option<DummyWorker>> {
        self.dummies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Let new paths know what their first hop takes, so that senders are told before anything is lost
    /// (RFC 4301, section 8.2.1).
    fn note_first_hops(&self, changes: &[Change]) {
        let Shared {
            engine, sockets, ..
        } = &*self.shared;
        let mut known = HashMap::new();
        let mut note = |spi, path: Path| {
            let mtu = known
                .entry((path.local.ip(), path.remote.ip()))
                .or_insert_with(|| sockets.first_hop_mtu(&path));
            engine.set_first_hop(SaId::new(Direction::Outbound, spi, path), *mtu);
        };
        for change in changes {
            match change {
                Change::AddSa(sa) if sa.direction == Direction::Outbound => note(sa.spi, sa.path),
                Change::MoveSa { sa, path, .. } if sa.direction == Direction::Outbound => {
                    note(sa.spi, *path);
                }
                _ => {}
            }
        }
    }

    /// Send dummy packets, as many as each SA lacks.
    ///
    /// Returns:
    /// How many packets each has sent now; `None` where there is no such SA, or it has no dummies.
    pub fn send_dummies(&self, wanted: &[Dummies]) -> Vec<Option<u64>> {
        self.dummies()
            .get_or_insert_with(|| DummyWorker::new(&self.shared.engine))
            .send(&self.shared, wanted)
    }

    /// The descriptor that is readable while there are events.
    pub fn event_fd(&self) -> BorrowedFd<'_> {
        self.shared.events.as_fd()
    }

    /// Take the events of devices and sockets, and those of the engine.
    pub fn take_events(&self) -> (Vec<IoEvent>, Vec<Event>) {
        // In this order: the first clears the descriptor, and what comes later raises it again.
        let of_io = self.shared.events.take();
        let of_engine = self.shared.engine.take_events(EVENTS);
        self.shared.tell_engine_events();
        (of_io, of_engine)
    }

    /// What the engine counted.
    pub fn stats(&self) -> Stats {
        self.shared.engine.stats()
    }

    /// What the devices and sockets counted.
    pub fn counters(&self) -> Counters {
        self.shared.device.count_overflows(self.shared.counters(0));
        let sum = Counters::default();
        for seat in self.shared.seats() {
            sum.add(&seat.counters);
        }
        sum
    }

    /// Send an IKE message, behind a non-ESP marker if `encapsulated`.
    ///
    /// # Errors
    /// [`IoError::NoSocket`], or [`IoError::Send`] if the kernel refused.
    pub fn send_ike(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
        encapsulated: bool,
        message: &[u8],
    ) -> Result<(), IoError> {
        self.socket_for(local)?
            .send_ike(
                local,
                remote,
                encapsulated,
                message,
                self.shared.counters(0),
            )
            .map_err(|source| IoError::Send {
                local,
                remote,
                source,
            })
    }

    /// Send a NAT keepalive (RFC 3948, section 2.3).
    ///
    /// # Errors
    /// As [`Self::send_ike`].
    pub fn send_keepalive(&self, local: SocketAddr, remote: SocketAddr) -> Result<(), IoError> {
        self.socket_for(local)?
            .send_keepalive(local, remote, self.shared.counters(0))
            .map_err(|source| IoError::Send {
                local,
                remote,
                source,
            })
    }

    fn socket_for(&self, local: SocketAddr) -> Result<&UdpSocket, IoError> {
        self.shared
            .sockets
            .udp_for(0, local)
            .ok_or(IoError::NoSocket(local))
    }

    /// Stop the workers, wait for them and erase all SAs; may be called again.
    pub fn stop(&self) {
        self.shared.begin_stop();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic was already turned into an event.
            let _ = thread.join();
        }
        self.erase();
    }

    /// Remove every SA and policy. What changes meanwhile makes it try again, a few times.
    fn erase(&self) {
        for _ in 0..3 {
            let stats = self.shared.engine.stats();
            let sas = stats
                .sas
                .iter()
                .map(|sa| Change::RemoveSa(SaId::new(sa.direction, sa.spi, sa.path)));
            let policies = stats
                .policies
                .iter()
                .map(|policy| Change::RemovePolicy(policy.id));
            let changes: Vec<_> = sas.chain(policies).collect();
            if self.shared.engine.apply(&changes, clock::now()).is_ok() {
                return;
            }
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.stop();
    }
}
