//! Packets that wait for their SA, and who has been asked for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use perilune_wire::flow::FlowKey;

use crate::change::PolicyId;
use crate::time::{Duration, Instant};

/// Most frames held for one policy.
pub(crate) const MAX_FRAMES: usize = 64;
/// Most octets held for one policy.
pub(crate) const MAX_OCTETS: usize = 256 * 1024;
/// Most octets held for all policies together.
pub(crate) const MAX_OCTETS_OF_ALL: usize = 64 * MAX_OCTETS;
/// Most SAs that one policy, populated from packets, waits for at a time.
pub(crate) const MAX_SHARES: usize = 64;
/// How long an acquire is good for; then held frames go and the next packet asks again.
pub(crate) const ACQUIRE_TIME: Duration = Duration::seconds(30);

/// The queues of all policies. Only packets without an SA come here.
#[derive(Default)]
pub(crate) struct Hold {
    state: Mutex<State>,
    has_released: AtomicBool,
}

/// What packets wait for: an SA of a policy and, where its selectors are populated from packets,
/// which of its SAs ([`crate::populate::Populate::share`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) policy: PolicyId,
    pub(crate) share: Option<FlowKey>,
    /// The packet's.
    pub(crate) flow: FlowKey,
}

/// A frame, and the local user it comes from, if known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) frame: Vec<u8>,
    pub(crate) user: Option<u32>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<PolicyId, HashMap<Option<FlowKey>, Waiting>>,
    released: VecDeque<Held>,
    /// Of all frames that wait.
    octets: usize,
}

struct Waiting {
    /// Of the first packet.
    flow: FlowKey,
    frames: VecDeque<Held>,
    octets: usize,
    asked_until: Option<Instant>,
}

impl State {
    /// Who waits for the same, or `None` where too many wait already.
    fn waiting_for(&mut self, wanted: &Wanted) -> Option<&mut Waiting> {
        let shares = self.waiting.entry(wanted.policy).or_default();
        if shares.len() >= MAX_SHARES && !shares.contains_key(&wanted.share) {
            return None;
        }
        let waiting = shares.entry(wanted.share).or_insert_with(|| Waiting {
            flow: wanted.flow,
            frames: VecDeque::new(),
            octets: 0,
            asked_until: None,
        });
        Some(waiting)
    }
}

impl Hold {
    /// Keep a frame.
    ///
    /// Returns:
    /// How many had to go: older ones, or this one where too many SAs are waited for, or too much for
    /// others.
    pub(crate) fn keep(&self, wanted: &Wanted, frame: &[u8]) -> u64 {
        let mut state = crate::lock(&self.state);
        let room = MAX_OCTETS_OF_ALL.saturating_sub(state.octets);
        let Some(waiting) = state.waiting_for(wanted) else {
            return 1;
        };
        if frame.len() > room {
            return 1;
        }
        let (before, mut dropped) = (waiting.octets, 0);
        while waiting.frames.len() >= MAX_FRAMES
            || waiting.octets.saturating_add(frame.len()) > MAX_OCTETS
        {
            let Some(oldest) = waiting.frames.pop_front() else {
                break;
            };
            waiting.octets = waiting.octets.saturating_sub(oldest.frame.len());
            dropped = u64::wrapping_add(dropped, 1);
        }
        waiting.octets = waiting.octets.saturating_add(frame.len());
        waiting.frames.push_back(Held {
            frame: frame.to_vec(),
            user: wanted.flow.user(),
        });
        let after = waiting.octets;
        state.octets = state.octets.saturating_sub(before).saturating_add(after);
        dropped
    }

    /// Whether to ask for an SA now; the answer is yes once in [`ACQUIRE_TIME`].
    pub(crate) fn ask(&self, wanted: &Wanted, now: Instant) -> bool {
        let mut state = crate::lock(&self.state);
        let Some(waiting) = state.waiting_for(wanted) else {
            return false;
        };
        let asked = waiting.asked_until.is_some_and(|until| now < until);
        if !asked {
            waiting.asked_until = Some(now.after(ACQUIRE_TIME));
        }
        !asked
    }

    /// An SA has come: frames that waited for it may go, and it may be asked for again.
    ///
    /// `carries` says whether it is the one for a packet that waits for an SA of its own.
    pub(crate) fn release(&self, policy: PolicyId, carries: impl Fn(&FlowKey) -> bool) {
        let mut state = crate::lock(&self.state);
        let Some(mut shares) = state.waiting.remove(&policy) else {
            return;
        };
        shares.retain(|share, waiting| {
            let stays = share.is_some() && !carries(&waiting.flow);
            if !stays {
                state.octets = state.octets.saturating_sub(waiting.octets);
                state.released.append(&mut waiting.frames);
            }
            stays
        });
        if !shares.is_empty() {
            state.waiting.insert(policy, shares);
        }
        self.has_released
            .store(!state.released.is_empty(), Ordering::Release);
    }

    /// A policy is gone.
    ///
    /// Returns:
    /// How many frames go with it.
    pub(crate) fn forget(&self, policy: PolicyId) -> u64 {
        let mut state = crate::lock(&self.state);
        let shares = state.waiting.remove(&policy).unwrap_or_default();
        for waiting in shares.values() {
            state.octets = state.octets.saturating_sub(waiting.octets);
        }
        shares.values().map(|one| count(one.frames.len())).sum()
    }

    /// Whether [`Self::take_released`] has something.
    pub(crate) fn has_released(&self) -> bool {
        self.has_released.load(Ordering::Acquire)
    }

    /// Every frame that may go, oldest first.
    pub(crate) fn take_released(&self) -> VecDeque<Held> {
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
        let State {
            waiting, octets, ..
        } = &mut *state;
        let mut dropped: u64 = 0;
        let mut next = None;
        waiting.retain(|_, shares| {
            shares.retain(|_, waiting| {
                let until = waiting.asked_until.filter(|until| now < *until);
                if until.is_none() {
                    *octets = octets.saturating_sub(waiting.octets);
                    dropped = dropped.saturating_add(count(waiting.frames.len()));
                }
                next = [next, until].into_iter().flatten().min();
                until.is_some()
            });
            !shares.is_empty()
        });
        (dropped, next)
    }

    /// How many frames are held for a policy.
    pub(crate) fn held(&self, policy: PolicyId) -> usize {
        let state = crate::lock(&self.state);
        let shares = state.waiting.get(&policy);
        shares.map_or(0, |shares| {
            shares.values().map(|one| one.frames.len()).sum()
        })
    }
}

fn count(frames: usize) -> u64 {
    u64::try_from(frames).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: PolicyId = PolicyId(1);

    /// A packet to a host, and whether each host has an SA of its own.
    fn to(host: u8, is_alone: bool) -> Wanted {
        let address = |last| std::net::Ipv4Addr::new(10, 0, 0, last).into();
        let flow = FlowKey::new(address(1), address(host), 6, None).unwrap();
        Wanted {
            policy: POLICY,
            share: is_alone.then_some(flow),
            flow,
        }
    }

    #[test]
    fn oldest_frames_go_when_the_queue_is_full() {
        let hold = Hold::default();
        let dropped: u64 = (0..70).map(|n: u8| hold.keep(&to(9, false), &[n])).sum();
        assert_eq!((dropped, hold.held(POLICY)), (6, 64));
        hold.release(POLICY, |_| false);
        assert!(hold.has_released());
        let first = hold.take_released().pop_front().unwrap();
        assert_eq!(first.frame, [6]);
        assert!(!hold.has_released());
    }

    #[test]
    fn octets_are_bounded_too() {
        let hold = Hold::default();
        let frame = vec![0; 65_000];
        let dropped: u64 = (0..5).map(|_| hold.keep(&to(9, false), &frame)).sum();
        assert_eq!((dropped, hold.held(POLICY)), (1, 4));
    }

    #[test]
    fn an_sa_is_asked_for_once_in_thirty_seconds() {
        let hold = Hold::default();
        assert!(hold.ask(&to(9, false), Instant(0)));
        assert!(!hold.ask(&to(9, false), Instant(1)));
        hold.keep(&to(9, false), &[0]);
        let end = Instant(0).after(ACQUIRE_TIME);
        assert_eq!(hold.on_time(Instant(1)), (0, Some(end)));
        assert_eq!(hold.on_time(end), (1, None));
        assert!(hold.ask(&to(9, false), end));
        hold.release(POLICY, |_| false);
        assert!(
            hold.ask(&to(9, false), end),
            "an SA that came ends the wait"
        );
    }

    #[test]
    fn packets_that_share_no_sa_wait_for_their_own() {
        let hold = Hold::default();
        for host in [1, 2] {
            assert!(hold.ask(&to(host, true), Instant(0)), "each asks");
            assert!(!hold.ask(&to(host, true), Instant(0)));
            assert_eq!(hold.keep(&to(host, true), &[host]), 0);
        }
        hold.release(POLICY, |flow| *flow == to(2, true).flow);
        let frames: Vec<_> = hold
            .take_released()
            .into_iter()
            .map(|held| held.frame)
            .collect();
        assert_eq!(frames, [[2]]);
        assert_eq!(hold.held(POLICY), 1);
        assert!(!hold.ask(&to(1, true), Instant(0)), "it was asked for");
        assert_eq!(hold.forget(POLICY), 1);
    }

    #[test]
    fn all_policies_together_hold_no_more_than_that() {
        let hold = Hold::default();
        let frame = vec![0; MAX_OCTETS];
        let keep = |policy| {
            let wanted = Wanted {
                policy: PolicyId(policy),
                ..to(9, false)
            };
            hold.ask(&wanted, Instant(0));
            hold.keep(&wanted, &frame)
        };
        assert_eq!((0..70).map(keep).sum::<u64>(), 6, "others had it before");
        hold.release(PolicyId(0), |_| false);
        assert_eq!((keep(70), keep(71)), (0, 1));
        assert_eq!((hold.forget(PolicyId(70)), keep(72), keep(73)), (1, 0, 1));
        let end = Instant(0).after(ACQUIRE_TIME);
        assert_eq!(hold.on_time(end), (64, None));
        assert_eq!(keep(0), 0);
    }

    #[test]
    fn not_too_many_sas_are_waited_for() {
        let hold = Hold::default();
        let asked = |host| hold.ask(&to(host, true), Instant(0));
        assert_eq!((0..100).filter(|host| asked(*host)).count(), MAX_SHARES);
        assert_eq!(hold.keep(&to(99, true), &[0]), 1, "there is no room for it");
        assert_eq!(hold.keep(&to(5, true), &[0]), 0);
    }
}
