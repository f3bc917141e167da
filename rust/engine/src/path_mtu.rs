//! What the path of an SA takes in one piece, and for how long that is believed
//! (RFC 4301, section 8.2).

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::processing::Processing;
use crate::time::{Duration, Instant};

/// The path MTU of one outbound SA, in octets of the outer packet.
pub(crate) struct PathMtu {
    configured: Option<u16>,
    /// What this system's own route and interface take; zero when not known.
    first_hop: AtomicU32,
    learnt: AtomicU32,
    until: AtomicU64,
    /// Whether less was said than is believed.
    may_be_less: AtomicBool,
}

impl PathMtu {
    pub(crate) fn new(processing: &Processing) -> Self {
        Self {
            configured: processing.path_mtu,
            first_hop: AtomicU32::new(0),
            learnt: AtomicU32::new(0),
            until: AtomicU64::new(0),
            may_be_less: AtomicBool::new(false),
        }
    }

    /// The path MTU, `None` when nothing is known of it.
    #[inline]
    pub(crate) fn get(&self, now: Instant) -> Option<usize> {
        let known = self.known();
        let learnt = self.learnt.load(Ordering::Relaxed);
        if learnt == 0 {
            return known;
        }
        smaller(self.believe(learnt, now), known)
    }

    /// What was learnt and when it is to be forgotten; `None` when nothing was, or it is already.
    pub(crate) fn learnt(&self) -> Option<(u32, Instant)> {
        let learnt = self.learnt.load(Ordering::Relaxed);
        let until = Instant(self.until.load(Ordering::Relaxed));
        (learnt != 0).then_some((learnt, until))
    }

    /// Note what this system's own route and interface take; zero when that is not known.
    pub(crate) fn set_first_hop(&self, mtu: u32) {
        self.first_hop.store(mtu, Ordering::Relaxed);
    }

    /// Note what a router said, to be believed for a time; of less than `least` no more than that is.
    ///
    /// Returns:
    /// Whether it is lower than what was known.
    pub(crate) fn learn(&self, said: u32, least: u32, age: Duration, now: Instant) -> bool {
        let mtu = said.max(least);
        let known = self.get(now);
        let is_lower = known.is_none_or(|known| usize::try_from(mtu).is_ok_and(|mtu| mtu < known));
        if is_lower {
            let until = now.after(age);
            self.until.store(until.0, Ordering::Relaxed);
            self.learnt.store(mtu, Ordering::Relaxed);
        }
        if said < least && self.learnt.load(Ordering::Relaxed) != 0 {
            self.may_be_less.store(true, Ordering::Relaxed);
        }
        is_lower
    }

    /// Whether the path may take less than [`Self::get`] says, as somebody claims who is not to be
    /// believed. Where that is true after all, packets get through only if routers may cut them.
    #[inline]
    pub(crate) fn may_be_less(&self) -> bool {
        self.may_be_less.load(Ordering::Relaxed)
    }

    /// Forget what is known of a path that the SA has left.
    pub(crate) fn forget(&self) {
        self.set_first_hop(0);
        self.forget_learnt();
    }

    /// What is known without anybody having said so.
    #[inline]
    fn known(&self) -> Option<usize> {
        let first_hop = self.first_hop.load(Ordering::Relaxed);
        let first_hop = usize::try_from(first_hop).ok().filter(|mtu| *mtu > 0);
        smaller(first_hop, self.configured.map(usize::from))
    }

    //= https://www.rfc-editor.org/rfc/rfc4301#section-8.2.2
    //# In all IPsec implementations, the PMTU associated with an SA MUST be "aged"
    #[cold]
    fn believe(&self, learnt: u32, now: Instant) -> Option<usize> {
        if now < Instant(self.until.load(Ordering::Relaxed)) {
            return usize::try_from(learnt).ok();
        }
        self.forget_learnt();
        None
    }

    fn forget_learnt(&self) {
        self.learnt.store(0, Ordering::Relaxed);
        self.may_be_less.store(false, Ordering::Relaxed);
    }
}

/// The smaller of two MTUs, as far as they are known.
#[inline]
fn smaller(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processing::Mode;

    const AGE: Duration = Duration::seconds(10);

    // covers R4301-8.2.2-1
    #[test]
    fn what_was_learnt_is_forgotten_in_time() {
        let mut processing = Processing::of(Mode::Tunnel);
        processing.path_mtu = Some(1500);
        let path = PathMtu::new(&processing);
        let (early, late) = (Instant(5), Instant(5).after(AGE));
        assert_eq!(path.get(early), Some(1500));
        assert!(path.learn(1400, 576, AGE, early));
        assert_eq!(
            (path.get(early), path.learnt()),
            (Some(1400), Some((1400, late)))
        );
        assert!(
            !path.learn(1450, 576, AGE, early),
            "larger than what is known"
        );
        assert_eq!((path.get(late), path.learnt()), (Some(1500), None));
    }

    // covers R4301-8.2.2-1
    #[test]
    fn it_comes_back_to_what_the_first_hop_takes() {
        let path = PathMtu::new(&Processing::of(Mode::Tunnel));
        let (early, late) = (Instant(5), Instant(5).after(AGE));
        assert_eq!(path.get(early), None);
        path.set_first_hop(1300);
        assert!(
            !path.learn(1400, 576, AGE, early),
            "no larger than the first hop"
        );
        assert!(path.learn(1200, 576, AGE, early));
        assert_eq!((path.get(early), path.get(late)), (Some(1200), Some(1300)));
        path.set_first_hop(9000);
        assert_eq!(path.get(late), Some(9000), "an interface that was changed");
        path.forget();
        assert_eq!(path.get(late), None);
    }

    // covers R4301-6.1.1-3
    #[test]
    fn absurd_sizes_are_not_believed() {
        let path = PathMtu::new(&Processing::of(Mode::Tunnel));
        let now = Instant(1);
        for (said, is_lower) in [(68, true), (36, false), (0, false)] {
            assert_eq!(path.learn(said, 576, AGE, now), is_lower);
            assert_eq!((path.get(now), path.may_be_less()), (Some(576), true));
        }
        let late = now.after(AGE);
        assert_eq!((path.get(late), path.may_be_less()), (None, false));
        assert!(path.learn(600, 576, AGE, late));
        assert!(!path.may_be_less());
    }
}
