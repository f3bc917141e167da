//! Queues of a TUN device for the packets of users whom policy names.
//!
//! A queue and its user stay together as long as the device is open: one that went away would
//! give its number, and so the packets of its user, to another.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use crate::user_steering::OVERFLOW_USER;

/// Most users; with a first queue these are all that Linux lets a TUN device have.
pub(crate) const MOST_USERS: usize = 255;

/// The queue of one user.
#[derive(Debug)]
pub(crate) struct UserQueue {
    user: u32,
    queue: OwnedFd,
}

/// Who has a queue of his own; the list only grows.
#[derive(Debug)]
pub(crate) struct UserQueues {
    places: Box<[OnceLock<UserQueue>]>,
    /// Readable while one of these queues is.
    any: OwnedFd,
    /// Where to read next: 0 is the first queue, and the first user's is 1.
    turn: AtomicUsize,
    growing: Mutex<()>,
}

impl UserQueues {
    /// No users yet.
    pub(crate) fn new() -> rustix::io::Result<Self> {
        Ok(Self {
            places: (0..MOST_USERS).map(|_| OnceLock::new()).collect(),
            any: epoll::create(CreateFlags::CLOEXEC)?,
            turn: AtomicUsize::new(0),
            growing: Mutex::new(()),
        })
    }

    /// Whether nobody has a queue.
    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Readable while one of the queues is.
    pub(crate) fn any(&self) -> BorrowedFd<'_> {
        self.any.as_fd()
    }

    /// Give each of the users a queue who has none.
    ///
    /// `make` gets all users, in the order of their queues, of whom the last has none yet: it has
    /// the kernel sort packets by them, and only then makes the queue.
    pub(crate) fn grow<E: From<Errno>>(
        &self,
        users: &[u32],
        make: impl Fn(&[u32]) -> Result<OwnedFd, E>,
    ) -> Result<(), E> {
        let _one_at_a_time = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known: Vec<_> = self.iter().map(|one| one.user).collect();
        for user in users {
            if known.contains(user) {
                continue;
            }
            if !is_somebody(*user) {
                return Err(Errno::INVAL.into());
            }
            let place = self.places.get(known.len()).ok_or(Errno::TOOBIG)?;
            known.push(*user);
            let queue = make(&known)?;
            self.listen_to(queue.as_fd())?;
            // Nobody else fills places, so this one is free.
            let _ = place.set(UserQueue { user: *user, queue });
        }
        Ok(())
    }

    /// Begin with the next queue the next time: none is read for ever while others wait.
    pub(crate) fn pass_turn(&self) {
        if !self.is_empty() {
            self.turn.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Read from the queue whose turn it is, and from the next ones while there is nothing to read.
    ///
    /// Returns:
    /// What `read` did last, and whose packet that is.
    pub(crate) fn read<T, E>(
        &self,
        first: BorrowedFd<'_>,
        mut read: impl FnMut(BorrowedFd<'_>) -> Result<T, E>,
        is_nothing: impl Fn(&E) -> bool,
    ) -> Result<(T, Option<u32>), E> {
        let count = self.iter().count().saturating_add(1);
        let turn = self.turn.load(Ordering::Relaxed);
        let mut step: usize = 0;
        loop {
            let place = turn.wrapping_add(step).checked_rem(count).unwrap_or(0);
            let of_user = place
                .checked_sub(1)
                .and_then(|at| self.places.get(at)?.get());
            let queue = of_user.map_or(first, |one| one.queue.as_fd());
            step = step.saturating_add(1);
            match read(queue) {
                Err(error) if is_nothing(&error) && step < count => {}
                answer => {
                    self.turn.store(place, Ordering::Relaxed);
                    return answer.map(|value| (value, of_user.map(|one| one.user)));
                }
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &UserQueue> {
        self.places.iter().map_while(OnceLock::get)
    }

    fn listen_to(&self, queue: BorrowedFd<'_>) -> rustix::io::Result<()> {
        epoll::add(&self.any, queue, EventData::new_u64(0), EventFlags::IN)
    }
}

/// Whether a user's packets can be told: root's look like the kernel's own, and whom the kernel
/// has no number for is anyone.
fn is_somebody(user: u32) -> bool {
    !matches!(user, 0 | OVERFLOW_USER | u32::MAX)
}

#[cfg(test)]
mod tests {
    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    struct Bench {
        queues: UserQueues,
        first: OwnedFd,
        ends: Vec<OwnedFd>,
    }

    /// Pipes in the place of queues, as many users as asked for.
    fn bench(users: &[u32]) -> Bench {
        let pipe = || pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).unwrap();
        let (first, end) = pipe();
        let ends = std::cell::RefCell::new(vec![end]);
        let queues = UserQueues::new().unwrap();
        queues
            .grow(users, |_| {
                let (queue, end) = pipe();
                ends.borrow_mut().push(end);
                Ok::<_, Errno>(queue)
            })
            .unwrap();
        Bench {
            queues,
            first,
            ends: ends.into_inner(),
        }
    }

    impl Bench {
        fn write(&self, place: usize) {
            rustix::io::write(&self.ends[place], &[0]).unwrap();
        }

        fn read(&self) -> Result<Option<u32>, Errno> {
            let read = |queue: BorrowedFd<'_>| rustix::io::read(queue, &mut [0_u8; 1]);
            let is_nothing = |error: &Errno| *error == Errno::AGAIN;
            let read = self.queues.read(self.first.as_fd(), read, is_nothing);
            read.map(|(_, user)| user)
        }
    }

    #[test]
    fn what_is_read_is_the_user_s_whose_queue_it_was_in() {
        let bench = bench(&[1000, 7]);
        assert_eq!(bench.read(), Err(Errno::AGAIN));
        for (place, user) in [(2, Some(7)), (0, None), (1, Some(1000))] {
            bench.write(place);
            assert_eq!(bench.read(), Ok(user));
        }
        assert_eq!(bench.read(), Err(Errno::AGAIN));
    }

    #[test]
    fn a_full_queue_keeps_nobody_from_being_read() {
        let bench = bench(&[1000]);
        for place in [0, 0, 0, 1] {
            bench.write(place);
        }
        assert_eq!(bench.read(), Ok(None));
        assert_eq!(bench.read(), Ok(None), "its turn is not over");
        bench.queues.pass_turn();
        assert_eq!(bench.read(), Ok(Some(1000)));
        assert_eq!(bench.read(), Ok(None));
    }

    #[test]
    fn one_descriptor_tells_of_all_users_queues() {
        let bench = bench(&[1000]);
        let wait = || {
            let descriptors = [bench.queues.any()];
            let told =
                crate::event_queue::wait_readable(&descriptors, Some(std::time::Duration::ZERO));
            told.unwrap() == [true]
        };
        assert!(!wait());
        bench.write(0);
        assert!(!wait(), "the first queue is not theirs");
        bench.write(1);
        assert!(wait());
        while bench.read().is_ok() {}
        assert!(!wait());
    }

    #[test]
    fn a_user_has_one_queue_and_nobody_has_none() {
        let bench = bench(&[1000, 1000]);
        let grow = |users: &[u32]| bench.queues.grow(users, |_| Err(Errno::NOMEM));
        assert_eq!(bench.ends.len(), 2);
        assert_eq!(grow(&[1000]), Ok(()));
        for nobody in [0, OVERFLOW_USER, u32::MAX] {
            assert_eq!(grow(&[nobody]), Err(Errno::INVAL));
        }
        assert_eq!(grow(&[1000, 8]), Err(Errno::NOMEM));
    }
}
