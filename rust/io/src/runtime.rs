//! The engine with its device, its sockets and its threads.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use perilune_engine::{Change, Direction, Engine, EngineError, Event, Instant, Path, SaId, Stats};

use crate::clock;
use crate::counters::Counters;
use crate::device::{Device, Lost, Placement};
use crate::dummies::{Dummies, DummyWorker};
use crate::error::IoError;
use crate::event_queue::{EventQueue, IoEvent, Signal};
use crate::inbound_worker::InboundWorker;
use crate::outbound_worker::OutboundWorker;
use crate::sockets::{SocketSettings, Sockets};
use crate::udp::UdpSocket;

/// Most engine events handed over at once.
const EVENTS: usize = 4096;

/// What the workers and the runtime share.
pub(crate) struct Shared {
    pub(crate) engine: Arc<Engine>,
    pub(crate) device: Device,
    pub(crate) sockets: Sockets,
    pub(crate) events: EventQueue,
    pub(crate) counters: Counters,
    pub(crate) stop: Signal,
    pub(crate) outbound_kick: Kick,
    pub(crate) inbound_kick: Kick,
    stopping: AtomicBool,
}

/// Tells a worker that the databases changed.
pub(crate) struct Kick {
    signal: Signal,
    raised: AtomicBool,
}

impl Kick {
    fn new() -> Result<Self, IoError> {
        Ok(Self {
            signal: Signal::new()?,
            raised: AtomicBool::new(false),
        })
    }

    /// Tell it.
    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.signal.raise();
    }

    /// Whether it was raised since the last call; costs nothing while it was not.
    pub(crate) fn take(&self) -> bool {
        if !self.raised.load(Ordering::Acquire) {
            return false;
        }
        // Cleared first: what is raised after this line makes the descriptor readable again.
        self.signal.clear();
        self.raised.swap(false, Ordering::AcqRel)
    }
}

impl AsFd for Kick {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}

impl Shared {
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
    fn begin_stop(&self) -> bool {
        let first = !self.stopping.swap(true, Ordering::AcqRel);
        self.stop.raise();
        first
    }
}

/// What a runtime needs to know.
#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// Where the protected side is.
    pub placement: Placement,
    /// Which sockets to open.
    pub sockets: SocketSettings,
}

/// An engine between the protected side and the network, with a thread for each direction.
pub struct Runtime {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// There once somebody wants dummies.
    dummies: Mutex<Option<DummyWorker>>,
}

impl Runtime {
    /// Open everything and start to carry packets.
    ///
    /// # Errors
    /// [`IoError`] for the first device or socket that could not be had; nothing is left open then.
    pub fn start(engine: Arc<Engine>, settings: &RuntimeSettings) -> Result<Self, IoError> {
        let shared = Arc::new(Shared {
            engine,
            sockets: Sockets::open(&settings.sockets)?,
            device: Device::open(&settings.placement)?,
            events: EventQueue::new()?,
            counters: Counters::default(),
            stop: Signal::new()?,
            outbound_kick: Kick::new()?,
            inbound_kick: Kick::new()?,
            stopping: AtomicBool::new(false),
        });
        let runtime = Self {
            shared,
            threads: Mutex::default(),
            dummies: Mutex::default(),
        };
        // If the second cannot start, dropping the runtime ends the first.
        runtime.spawn("perilune-out", |shared| OutboundWorker::new(shared).run())?;
        runtime.spawn("perilune-in", |shared| InboundWorker::new(shared).run())?;
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
        self.shared.device.know_users(users)?;
        // The worker has more to wait for.
        self.shared.outbound_kick.raise();
        Ok(())
    }

    /// Apply changes to the engine; held packets that got an SA are sent.
    ///
    /// # Errors
    /// [`EngineError`] if one of them is not possible; none was made.
    pub fn apply(&self, changes: &[Change], now: Instant) -> Result<(), EngineError> {
        self.shared.engine.apply(changes, now)?;
        self.note_first_hops(changes);
        self.shared.outbound_kick.raise();
        self.shared.inbound_kick.raise();
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
    pub fn counters(&self) -> &Counters {
        self.shared.device.count_overflows(&self.shared.counters);
        &self.shared.counters
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
            .send_ike(local, remote, encapsulated, message, &self.shared.counters)
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
            .send_keepalive(local, remote, &self.shared.counters)
            .map_err(|source| IoError::Send {
                local,
                remote,
                source,
            })
    }

    fn socket_for(&self, local: SocketAddr) -> Result<&UdpSocket, IoError> {
        self.shared
            .sockets
            .udp_for(local)
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
