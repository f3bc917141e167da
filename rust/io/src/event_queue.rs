//! What the workers tell whoever drives them: one bounded queue with one file descriptor.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use crate::error::IoError;

/// Most datagrams that wait for IKE.
const QUEUE_LIMIT: usize = 4096;

/// A file descriptor that becomes readable when it is signalled (eventfd(2)).
#[derive(Debug)]
pub(crate) struct Signal(OwnedFd);

impl Signal {
    /// A signal that nobody raised yet.
    ///
    /// # Errors
    /// [`IoError::Resource`] if there is no descriptor left.
    pub(crate) fn new() -> Result<Self, IoError> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map(Self)
            .map_err(|error| IoError::Resource {
                step: "eventfd",
                source: error.into(),
            })
    }

    /// Make the descriptor readable.
    pub(crate) fn raise(&self) {
        // The counter can only be full after 2^64 signals: then it is readable anyway.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Make the descriptor unreadable until the next [`Self::raise`].
    pub(crate) fn clear(&self) {
        // It fails when nobody raised the signal: that is what was asked for.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Something that happened on a device or a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IoEvent {
    /// The TUN device is gone; the workers stopped.
    DeviceLost {
        /// Its name.
        name: String,
        /// What the kernel said.
        reason: String,
    },
    /// A datagram for IKE.
    IkeDatagram {
        /// Our address and port that it was sent to.
        local: SocketAddr,
        /// Where it came from.
        remote: SocketAddr,
        /// It came with a non-ESP marker, which was removed (RFC 3948 section 2.2).
        encapsulated: bool,
        /// The IKE message.
        data: Vec<u8>,
    },
}

/// The queue from the workers to whoever drives them.
#[derive(Debug)]
pub(crate) struct EventQueue {
    events: Mutex<VecDeque<IoEvent>>,
    signal: Signal,
}

impl EventQueue {
    /// An empty queue.
    ///
    /// # Errors
    /// [`IoError::Resource`] if there is no descriptor left.
    pub(crate) fn new() -> Result<Self, IoError> {
        Ok(Self {
            events: Mutex::default(),
            signal: Signal::new()?,
        })
    }

    /// Add a datagram for IKE; `false` if the queue is full and it was lost.
    #[must_use]
    pub(crate) fn push_datagram(&self, event: IoEvent) -> bool {
        let mut events = self.lock();
        if events.len() >= QUEUE_LIMIT {
            return false;
        }
        events.push_back(event);
        drop(events);
        self.signal.raise();
        true
    }

    /// Add an event that must not be lost.
    pub(crate) fn push(&self, event: IoEvent) {
        self.lock().push_back(event);
        self.signal.raise();
    }

    /// Say that the engine has events.
    pub(crate) fn raise(&self) {
        self.signal.raise();
    }

    /// Take all events, oldest first, and make the descriptor unreadable.
    pub(crate) fn take(&self) -> Vec<IoEvent> {
        // Cleared first: what is pushed after this line raises it again.
        self.signal.clear();
        self.lock().drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<IoEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for EventQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}

/// Wait until one of the descriptors has something to read, or an error.
///
/// Returns which of them do; none after `timeout` (`None` waits for ever) or a signal handler.
#[cfg(test)]
pub(crate) fn wait_readable(
    descriptors: &[BorrowedFd<'_>],
    timeout: Option<std::time::Duration>,
) -> std::io::Result<Vec<bool>> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let mut polled: Vec<_> = descriptors
        .iter()
        .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
        .collect();
    let timeout = timeout.and_then(|wait| Timespec::try_from(wait).ok());
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {
            Ok(polled.iter().map(|fd| !fd.revents().is_empty()).collect())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn readable(queue: &EventQueue) -> bool {
        wait_readable(&[queue.as_fd()], Some(Duration::ZERO)).unwrap()[0]
    }

    fn datagram(octet: u8) -> IoEvent {
        let any: SocketAddr = "192.0.2.1:500".parse().unwrap();
        IoEvent::IkeDatagram {
            local: any,
            remote: any,
            encapsulated: false,
            data: vec![octet],
        }
    }

    #[test]
    fn the_descriptor_is_readable_while_events_wait() {
        let queue = EventQueue::new().unwrap();
        assert!(!readable(&queue));
        assert!(queue.push_datagram(datagram(1)));
        assert!(queue.push_datagram(datagram(2)));
        assert!(readable(&queue));
        assert_eq!(queue.take(), [datagram(1), datagram(2)]);
        assert!(!readable(&queue));
        queue.raise();
        assert!(readable(&queue));
    }

    #[test]
    fn a_flood_of_datagrams_is_bounded_and_the_loss_of_the_device_is_not_lost() {
        let queue = EventQueue::new().unwrap();
        let taken = (0..QUEUE_LIMIT + 10)
            .filter(|_| queue.push_datagram(datagram(0)))
            .count();
        assert_eq!(taken, QUEUE_LIMIT);
        let lost = IoEvent::DeviceLost {
            name: "tun0".into(),
            reason: "gone".into(),
        };
        queue.push(lost.clone());
        assert_eq!(queue.take().last(), Some(&lost));
    }
}
