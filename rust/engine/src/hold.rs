//! Packets that wait for their SA, and who has been asked for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::change::PolicyId;
use crate::time::{Duration, Instant};

/// Most frames held for one policy.
pub(crate) const MAX_FRAMES: usize = 64;
/// Most octets held for one policy.
pub(crate) const MAX_OCTETS: usize = 256 * 1024;
/// How long an acquire is good for; then held frames go and the next packet asks again.
pub(crate) const ACQUIRE_TIME: Duration = Duration::seconds(30);

/// The queues of all policies. Only packets without an SA come here.
#[derive(Default)]
pub(crate) struct Hold {
    state: Mutex<State>,
    has_released: AtomicBool,
}

#[derive(Default)]
struct State {
    waiting: HashMap<PolicyId, Waiting>,
    released: VecDeque<Vec<u8>>,
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Vec<u8>>,
    octets: usize,
    asked_until: Option<Instant>,
}

impl Hold {
    /// Keep a frame.
    ///
    /// Returns:
    /// How many older ones had to go.
    pub(crate) fn keep(&self, policy: PolicyId, frame: &[u8]) -> u64 {
        let mut state = crate::lock(&self.state);
        let waiting = state.waiting.entry(policy).or_default();
        let mut dropped = 0;
        while waiting.frames.len() >= MAX_FRAMES
            || waiting.octets.saturating_add(frame.len()) > MAX_OCTETS
        {
            let Some(oldest) = waiting.frames.pop_front() else {
                break;
            };
            waiting.octets = waiting.octets.saturating_sub(oldest.len());
            dropped = u64::wrapping_add(dropped, 1);
        }
        waiting.octets = waiting.octets.saturating_add(frame.len());
        waiting.frames.push_back(frame.to_vec());
        dropped
    }

    /// Whether to ask for an SA now; the answer is yes once in [`ACQUIRE_TIME`].
    pub(crate) fn ask(&self, policy: PolicyId, now: Instant) -> bool {
        let mut state = crate::lock(&self.state);
        let waiting = state.waiting.entry(policy).or_default();
        let asked = waiting.asked_until.is_some_and(|until| now < until);
        if !asked {
            waiting.asked_until = Some(now.after(ACQUIRE_TIME));
        }
        !asked
    }

    /// An SA has come: its policy's frames may go, and it may be asked for again.
    pub(crate) fn release(&self, policy: PolicyId) {
        let mut state = crate::lock(&self.state);
        let Some(mut waiting) = state.waiting.remove(&policy) else {
            return;
        };
        state.released.append(&mut waiting.frames);
        self.has_released
            .store(!state.released.is_empty(), Ordering::Release);
    }

    /// A policy is gone.
    ///
    /// Returns:
    /// How many frames go with it.
    pub(crate) fn forget(&self, policy: PolicyId) -> u64 {
        let waiting = crate::lock(&self.state).waiting.remove(&policy);
        waiting.map_or(0, |waiting| count(waiting.frames.len()))
    }

    /// Whether [`Self::take_released`] has something.
    pub(crate) fn has_released(&self) -> bool {
        self.has_released.load(Ordering::Acquire)
    }

    /// Every frame that may go, oldest first.
    pub(crate) fn take_released(&self) -> VecDeque<Vec<u8>> {
        let mut state = crate::lock(&self.state);
        self.has_released.store(false, Ordering::Release);
        std::mem::take(&mut state.released)
    }

    /// Give up on SAs that were asked for too long ago.
    ///
    /// Returns:
    /// How many frames go, and when to look again.
    pub(crate) fn on_time(&self, now: Instant) -> (u64, Option<Instant>) {
        let mut state = crate::lock(&self.state);
        let mut dropped: u64 = 0;
        state.waiting.retain(|_, waiting| {
            let stays = waiting.asked_until.is_some_and(|until| now < until);
            if !stays {
                dropped = dropped.saturating_add(count(waiting.frames.len()));
            }
            stays
        });
        (
            dropped,
            state
                .waiting
                .values()
                .filter_map(|waiting| waiting.asked_until)
                .min(),
        )
    }

    /// How many frames are held for a policy.
    pub(crate) fn held(&self, policy: PolicyId) -> usize {
        crate::lock(&self.state)
            .waiting
            .get(&policy)
            .map_or(0, |waiting| waiting.frames.len())
    }
}

fn count(frames: usize) -> u64 {
    u64::try_from(frames).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: PolicyId = PolicyId(1);

    #[test]
    fn oldest_frames_go_when_the_queue_is_full() {
        let hold = Hold::default();
        let dropped: u64 = (0..70).map(|n: u8| hold.keep(POLICY, &[n])).sum();
        assert_eq!((dropped, hold.held(POLICY)), (6, 64));
        hold.release(POLICY);
        assert!(hold.has_released());
        assert_eq!(hold.take_released().front(), Some(&vec![6]));
        assert!(!hold.has_released());
    }

    #[test]
    fn octets_are_bounded_too() {
        let hold = Hold::default();
        let frame = vec![0; 65_000];
        let dropped: u64 = (0..5).map(|_| hold.keep(POLICY, &frame)).sum();
        assert_eq!((dropped, hold.held(POLICY)), (1, 4));
    }

    #[test]
    fn an_sa_is_asked_for_once_in_thirty_seconds() {
        let hold = Hold::default();
        assert!(hold.ask(POLICY, Instant(0)));
        assert!(!hold.ask(POLICY, Instant(1)));
        hold.keep(POLICY, &[0]);
        let end = Instant(0).after(ACQUIRE_TIME);
        assert_eq!(hold.on_time(Instant(1)), (0, Some(end)));
        assert_eq!(hold.on_time(end), (1, None));
        assert!(hold.ask(POLICY, end));
        hold.release(POLICY);
        assert!(hold.ask(POLICY, end), "an SA that came ends the wait");
    }
}
