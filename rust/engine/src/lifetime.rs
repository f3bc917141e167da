//! Soft and hard bounds on the use of an SA (RFC 4301, section 4.4.2.1).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::change::{Lifetimes, Limits};
use crate::event::Limit;
use crate::time::Instant;

/// What a packet did to the lifetime of its SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    /// Nothing; it may pass.
    Within,
    /// It may pass, and the SA wants to be replaced.
    Soft(Limit),
    /// It may pass as the last one.
    Last(Limit),
    /// It may not pass.
    Refused(Limit),
}

/// What an SA has carried, and what it may carry.
#[derive(Debug)]
pub(crate) struct Lifetime {
    packets: AtomicU64,
    octets: AtomicU64,
    soft_said: AtomicBool,
    /// Of packets and octets; `None` where there are none, as for most SAs.
    bounds: Option<Box<SoftAndHard>>,
    hard_time: Instant,
}

/// A time that does not come.
const NEVER: Instant = Instant(u64::MAX);

#[derive(Debug)]
struct SoftAndHard {
    soft: Bounds,
    hard: Bounds,
}

/// Numbers at which something happens; `u64::MAX` is never.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    packets: u64,
    octets: u64,
}

impl SoftAndHard {
    fn new(lifetimes: &Lifetimes) -> Option<Box<Self>> {
        let limits = [&lifetimes.soft, &lifetimes.hard];
        let is_bounded = |limits: &&Limits| limits.packets.is_some() || limits.octets.is_some();
        limits.iter().any(is_bounded).then(|| {
            Box::new(Self {
                soft: Bounds::new(&lifetimes.soft),
                hard: Bounds::new(&lifetimes.hard),
            })
        })
    }
}

/// More than what 64 threads open in one bundle each.
const FAR: Bounds = Bounds {
    packets: 64 * 1024,
    octets: 64 * 64 * 1024,
};

impl Bounds {
    fn new(limits: &Limits) -> Self {
        let never = u64::MAX;
        Self {
            packets: limits.packets.unwrap_or(never),
            octets: limits.octets.unwrap_or(never),
        }
    }

    /// Which bound these counts have reached.
    #[inline]
    fn reached(&self, packets: u64, octets: u64) -> Option<Limit> {
        if packets >= self.packets {
            Some(Limit::Packets)
        } else if octets >= self.octets {
            Some(Limit::Octets)
        } else {
            None
        }
    }

    /// Which bound these counts have gone beyond.
    #[inline]
    fn exceeded(&self, packets: u64, octets: u64) -> Option<Limit> {
        self.reached(packets.saturating_sub(1), octets.saturating_sub(1))
    }
}

impl Lifetime {
    pub(crate) fn new(lifetimes: &Lifetimes, now: Instant) -> Self {
        Self {
            packets: AtomicU64::new(0),
            octets: AtomicU64::new(0),
            soft_said: AtomicBool::new(false),
            bounds: SoftAndHard::new(lifetimes),
            hard_time: lifetimes.hard.time.map_or(NEVER, |span| now.after(span)),
        }
    }

    /// Whether no bound is near, whatever all threads together are about to [`Self::add`].
    #[inline]
    pub(crate) fn is_far_from_bounds(&self) -> bool {
        let Some(bounds) = &self.bounds else {
            return true;
        };
        let packets = self.packets().saturating_add(FAR.packets);
        let octets = self.octets().saturating_add(FAR.octets);
        self.is_free(bounds, packets, octets)
    }

    /// Account for packets only if no bound is near.
    ///
    /// Returns:
    /// Whether it was done; if not, they have to be charged one by one.
    #[inline]
    pub(crate) fn charge_many(&self, packets: u64, octets: u64) -> bool {
        let (total_packets, total_octets) = self.add(packets, octets);
        let Some(bounds) = &self.bounds else {
            return true;
        };
        let is_free = self.is_free(bounds, total_packets, total_octets);
        if !is_free {
            self.take_back(packets, octets);
        }
        is_free
    }

    /// Whether nothing is to be said at these counts.
    #[inline]
    fn is_free(&self, bounds: &SoftAndHard, packets: u64, octets: u64) -> bool {
        bounds.hard.reached(packets, octets).is_none()
            && (bounds.soft.reached(packets, octets).is_none()
                || self.soft_said.load(Ordering::Relaxed))
    }

    /// Account for one packet, if it may pass.
    #[inline]
    pub(crate) fn charge(&self, octets: u64) -> Charge {
        let (packets, total) = self.add(1, octets);
        let Some(bounds) = &self.bounds else {
            return Charge::Within;
        };
        if let Some(limit) = bounds.hard.exceeded(packets, total) {
            self.take_back(1, octets);
            return Charge::Refused(limit);
        }
        if let Some(limit) = bounds.hard.reached(packets, total) {
            return Charge::Last(limit);
        }
        match bounds.soft.reached(packets, total) {
            Some(limit) if self.say_soft() => Charge::Soft(limit),
            _ => Charge::Within,
        }
    }

    /// Whether the soft bound is to be reported now; once only.
    pub(crate) fn say_soft(&self) -> bool {
        !self.soft_said.swap(true, Ordering::Relaxed)
    }

    /// When the SA ends for its age.
    pub(crate) fn hard_time(&self) -> Option<Instant> {
        (self.hard_time != NEVER).then_some(self.hard_time)
    }

    /// Whether the SA is too old to be used.
    #[inline]
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.hard_time
    }

    pub(crate) fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    pub(crate) fn octets(&self) -> u64 {
        self.octets.load(Ordering::Relaxed)
    }

    /// Account for packets that have passed.
    ///
    /// Returns:
    /// All packets and all octets up to now.
    #[inline]
    pub(crate) fn add(&self, packets: u64, octets: u64) -> (u64, u64) {
        let before = self.packets.fetch_add(packets, Ordering::Relaxed);
        let octets_before = self.octets.fetch_add(octets, Ordering::Relaxed);
        (
            before.saturating_add(packets),
            octets_before.saturating_add(octets),
        )
    }

    fn take_back(&self, packets: u64, octets: u64) {
        self.packets.fetch_sub(packets, Ordering::Relaxed);
        self.octets.fetch_sub(octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Charge::{Last, Refused, Soft, Within};
    use super::Limit::Packets;
    use super::*;
    use crate::time::Duration;

    fn lifetime(soft: (Option<u64>, Option<u64>), hard: (Option<u64>, Option<u64>)) -> Lifetime {
        let limits = |(packets, octets)| Limits {
            packets,
            octets,
            time: None,
        };
        Lifetime::new(
            &Lifetimes {
                soft: limits(soft),
                hard: limits(hard),
            },
            Instant(0),
        )
    }

    #[test]
    fn packets_up_to_the_hard_bound_pass() {
        let life = lifetime((Some(2), None), (Some(4), None));
        let charges: Vec<_> = (0..5).map(|_| life.charge(100)).collect();
        assert_eq!(
            charges,
            [
                Within,
                Soft(Packets),
                Within,
                Last(Packets),
                Refused(Packets)
            ]
        );
        assert_eq!((life.packets(), life.octets()), (4, 400));
    }

    #[test]
    fn octets_beyond_the_hard_bound_do_not_pass() {
        let life = lifetime((None, Some(150)), (None, Some(250)));
        let charges: Vec<_> = (0..3).map(|_| life.charge(100)).collect();
        assert_eq!(
            charges,
            [
                Charge::Within,
                Charge::Soft(Limit::Octets),
                Charge::Refused(Limit::Octets)
            ]
        );
    }

    #[test]
    fn many_at_once_are_charged_only_far_from_a_bound() {
        let life = lifetime((Some(10), None), (Some(20), None));
        assert!(life.charge_many(9, 9));
        assert!(!life.charge_many(1, 1));
        assert_eq!(life.charge(1), Charge::Soft(Limit::Packets));
        assert!(life.charge_many(9, 9), "the soft bound is said once");
        assert!(!life.charge_many(1, 1));
        assert_eq!(life.packets(), 19);
    }

    #[test]
    fn packets_are_counted_late_only_far_from_a_bound() {
        let far = Some(FAR.octets + 10);
        assert!(lifetime((far, None), (far, None)).is_far_from_bounds());
        let life = lifetime((None, far), (None, None));
        assert!(life.is_far_from_bounds());
        life.add(1, 10);
        assert!(!life.is_far_from_bounds());
        assert_eq!(life.charge(FAR.octets), Charge::Soft(Limit::Octets));
        assert!(life.is_far_from_bounds(), "the soft bound is said once");
        assert!(!lifetime((None, None), (Some(5), None)).is_far_from_bounds());
    }

    #[test]
    fn age_counts_from_when_it_was_added() {
        let hard = Limits {
            time: Some(Duration(10)),
            ..Limits::default()
        };
        let life = Lifetime::new(
            &Lifetimes {
                soft: Limits::default(),
                hard,
            },
            Instant(5),
        );
        assert!(!life.is_over(Instant(14)) && life.is_over(Instant(15)));
    }
}
