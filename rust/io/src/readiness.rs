//! What a worker waits for: descriptors that become readable (epoll(7)).

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::error::IoError;

/// Most descriptors told of at once; what is left over is told of the next time.
const EVENTS: usize = 16;

/// Descriptors, each with a name of type `T`.
pub(crate) struct Readiness<T> {
    epoll: OwnedFd,
    names: Vec<T>,
    /// Places of the names of those last told of.
    told: Vec<u64>,
}

impl<T: Copy> Readiness<T> {
    /// One that waits for nothing.
    ///
    /// # Errors
    /// [`IoError::Resource`] if there is no descriptor left.
    pub(crate) fn new() -> Result<Self, IoError> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC).map_err(|error| refused(error.into()))?,
            names: Vec::new(),
            told: Vec::with_capacity(EVENTS),
        })
    }

    /// Wait for this one too, as long as it is open.
    ///
    /// # Errors
    /// [`IoError::Resource`] if the kernel has no room.
    pub(crate) fn add(&mut self, descriptor: BorrowedFd<'_>, name: T) -> Result<(), IoError> {
        let place = EventData::new_u64(self.names.len() as u64);
        epoll::add(&self.epoll, descriptor, place, EventFlags::IN)
            .map_err(|error| refused(error.into()))?;
        self.names.push(name);
        Ok(())
    }

    /// Wait until one of them has something to read, or an error; no longer than `timeout` (`None` is for
    /// ever) or a signal handler.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) {
        let timeout = timeout.and_then(|wait| Timespec::try_from(wait).ok());
        let mut room = [MaybeUninit::<Event>::uninit(); EVENTS];
        self.told.clear();
        // An error here can only be a lack of memory, or a signal: the next turn asks again.
        if let Ok((events, _)) = epoll::wait(&self.epoll, &mut room, timeout.as_ref()) {
            self.told
                .extend(events.iter().map(|event| event.data.u64()));
        }
    }

    /// Look whether one of them has something to read now.
    pub(crate) fn look(&mut self) -> bool {
        self.wait(Some(Duration::ZERO));
        !self.told.is_empty()
    }

    /// Those that had when it last waited or looked.
    pub(crate) fn ready(&self) -> impl Iterator<Item = T> + use<'_, T> {
        let name = |place: &u64| self.names.get(usize::try_from(*place).ok()?).copied();
        self.told.iter().filter_map(name)
    }
}

fn refused(source: io::Error) -> IoError {
    IoError::Resource {
        step: "epoll",
        source,
    }
}
