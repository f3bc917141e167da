//! What the packets of an inbound SA have shown of the peer: that it uses the SA, and where it is.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;

/// What was shown; most SAs need no more than whether a packet was verified.
#[derive(Default)]
pub(crate) struct Shown {
    is_verified: AtomicBool,
    more: ArcSwapOption<More>,
}

#[derive(Default)]
struct More {
    /// For SAs that wait for it and stay when this one goes.
    verified: Arc<AtomicBool>,
    /// Where the last `PeerMoved` said that the peer is.
    reported: Mutex<Option<SocketAddr>>,
}

impl Shown {
    /// Note that a packet has been verified.
    ///
    /// Returns:
    /// Whether it is the first one.
    #[inline]
    pub(crate) fn note_verified(&self) -> bool {
        !self.is_verified.load(Ordering::Relaxed) && self.note_first()
    }

    #[cold]
    fn note_first(&self) -> bool {
        let is_first = !self.is_verified.swap(true, Ordering::SeqCst);
        // Either this sees who waits, or who begins to wait sees the packet.
        fence(Ordering::SeqCst);
        if let Some(more) = &*self.more.load() {
            more.verified.store(true, Ordering::Release);
        }
        is_first
    }

    /// Whether a packet has been verified, now and later on.
    pub(crate) fn verified(&self) -> Arc<AtomicBool> {
        let more = self.more();
        fence(Ordering::SeqCst);
        if self.is_verified.load(Ordering::SeqCst) {
            more.verified.store(true, Ordering::Release);
        }
        Arc::clone(&more.verified)
    }

    /// Note where the peer is said to be.
    ///
    /// Returns:
    /// Whether that was not said last.
    pub(crate) fn report(&self, remote: SocketAddr) -> bool {
        crate::lock(&self.more().reported).replace(remote) != Some(remote)
    }

    /// Forget what was said.
    pub(crate) fn forget_report(&self) {
        if let Some(more) = &*self.more.load() {
            *crate::lock(&more.reported) = None;
        }
    }

    fn more(&self) -> Arc<More> {
        if let Some(more) = self.more.load_full() {
            return more;
        }
        let new = Arc::new(More::default());
        let nothing: Option<Arc<More>> = None;
        let before = self.more.compare_and_swap(&nothing, Some(Arc::clone(&new)));
        Option::clone(&before).unwrap_or(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_learns_of_packets_before_and_after() {
        for asks_first in [true, false] {
            let shown = Shown::default();
            let early = asks_first.then(|| shown.verified());
            assert!(!early.as_ref().is_some_and(|it| it.load(Ordering::Acquire)));
            assert_eq!(
                [shown.note_verified(), shown.note_verified()],
                [true, false]
            );
            for waiting in early.into_iter().chain([shown.verified()]) {
                assert!(waiting.load(Ordering::Acquire));
            }
        }
    }

    #[test]
    fn who_waits_and_the_first_packet_do_not_miss_each_other() {
        for _ in 0..200 {
            let shown = Shown::default();
            let waiting = std::thread::scope(|scope| {
                let asking = scope.spawn(|| shown.verified());
                shown.note_verified();
                asking.join().unwrap()
            });
            assert!(waiting.load(Ordering::Acquire));
        }
    }

    #[test]
    fn a_place_is_reported_once_until_it_is_forgotten() {
        let (shown, place) = (Shown::default(), SocketAddr::from(([192, 0, 2, 1], 4500)));
        assert_eq!([shown.report(place), shown.report(place)], [true, false]);
        shown.forget_report();
        assert!(shown.report(place));
    }
}
