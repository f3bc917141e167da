//! Whether to look again and again for a short while before going to sleep.
//!
//! To wake a thread up takes longer than to carry a packet: tens of microseconds where the processor
//! has gone to sleep too. So a worker that has sent a packet to which the answer usually comes soon
//! stays awake for it. What that may cost is a small part of the time that the worker sleeps; without
//! packets it costs nothing, and in bulk, where something is there at nearly every look, next to nothing.

use std::thread::available_parallelism;

/// What a worker did last before it had to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Last {
    /// Nothing that lets it expect anything, as after an answer; or so much that it has better uses for its time.
    #[default]
    Other,
    /// Sent little to the network.
    Sent,
    /// Wrote little to the protected side.
    Written,
}

/// Longest wait, in nanoseconds, that is worth to stay awake for.
const LONGEST: u64 = 150_000;
/// Of so many nanoseconds of sleep, one may be spent awake later.
const SLEEP_FOR_ONE: u64 = 16;
/// Most nanoseconds that are saved up.
const MOST_SAVED: u64 = 1_000_000;
/// Waits beyond count as this long.
const LONG: u64 = 4 * LONGEST;

/// How one worker waits.
#[derive(Debug)]
pub(crate) struct Patience {
    /// There is another processor for who is to answer.
    may_stay_awake: bool,
    saved: u64,
    /// How long waits were of late, in nanoseconds, by what was done before.
    after_sent: u64,
    after_written: u64,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self {
            may_stay_awake: available_parallelism().is_ok_and(|count| count.get() > 1),
            saved: 0,
            after_sent: LONG,
            after_written: LONG,
        }
    }

    /// For how many nanoseconds to stay awake.
    pub(crate) fn awake_ns(&self, last: Last) -> u64 {
        let expected = match last {
            Last::Sent => self.after_sent,
            Last::Written => self.after_written,
            Last::Other => return 0,
        };
        // What takes no longer than twice what it usually does is still to come.
        let wanted = expected.saturating_mul(2);
        if self.may_stay_awake && expected <= LONGEST && wanted <= self.saved {
            wanted
        } else {
            0
        }
    }

    /// Learn from a wait, all of its time, and how much of it was spent awake.
    pub(crate) fn learn(&mut self, last: Last, waited_ns: u64, awake_ns: u64) {
        let slept = waited_ns.saturating_sub(awake_ns);
        self.saved = self
            .saved
            .saturating_sub(awake_ns)
            .saturating_add(slept.div_euclid(SLEEP_FOR_ONE))
            .min(MOST_SAVED);
        let expected = match last {
            Last::Sent => &mut self.after_sent,
            Last::Written => &mut self.after_written,
            Last::Other => return,
        };
        let kept = expected.saturating_mul(3);
        *expected = kept.saturating_add(waited_ns.min(LONG)).div_euclid(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience() -> Patience {
        Patience {
            may_stay_awake: true,
            ..Patience::new()
        }
    }

    /// Ask and answer, every three milliseconds; the answer takes so long.
    fn exchange(patience: &mut Patience, answer_ns: u64) -> u64 {
        let awake = patience.awake_ns(Last::Sent);
        patience.learn(Last::Sent, answer_ns, awake.min(answer_ns));
        assert_eq!(patience.awake_ns(Last::Written), 0, "the next comes late");
        patience.learn(Last::Written, 3_000_000, 0);
        awake
    }

    #[test]
    fn it_stays_awake_for_answers_that_come_soon() {
        let mut patience = patience();
        let awake: Vec<_> = (0..20).map(|_| exchange(&mut patience, 60_000)).collect();
        assert_eq!(awake[0], 0, "it has to learn that");
        assert!(awake[10..].iter().all(|ns| (120_000..200_000).contains(ns)));
        // The peer goes far away.
        let awake: Vec<_> = (0..20)
            .map(|_| exchange(&mut patience, 9_000_000))
            .collect();
        assert_eq!(awake[10..], [0; 10]);
    }

    #[test]
    fn it_costs_a_small_part_of_the_sleep() {
        let mut patience = patience();
        let (mut awake, mut all) = (0, 0);
        for _ in 0..10_000 {
            let now = patience.awake_ns(Last::Sent).min(100_000);
            patience.learn(Last::Sent, 100_000, now);
            (awake, all) = (awake + now, all + 100_000);
        }
        assert!(
            awake > 0 && awake * SLEEP_FOR_ONE <= all,
            "{awake} of {all}"
        );
    }

    #[test]
    fn on_one_processor_it_sleeps() {
        let mut patience = Patience {
            may_stay_awake: false,
            ..Patience::new()
        };
        let awake: u64 = (0..20).map(|_| exchange(&mut patience, 60_000)).sum();
        assert_eq!(awake, 0);
    }
}
