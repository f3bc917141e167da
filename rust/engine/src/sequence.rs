//! Sequence numbers of an outbound SA (RFC 4303, section 3.3.3).

use std::sync::atomic::{AtomicU64, Ordering};

use crate::change::SequenceState;

/// Gives out sequence numbers, each once, up to the last the SA may use.
///
/// ```text
///   used          notice_at       reserved                          last
///    |--- may be sent ----|-----------|    after `reserve`     ...    |
/// ```
#[derive(Debug)]
pub(crate) struct OutboundSequence {
    used: AtomicU64,
    /// The last number that may be used now.
    reserved: AtomicU64,
    /// The number from which on [`Self::wants_notice`].
    notice_at: AtomicU64,
    last: u64,
}

/// What is to be told about the numbers of an SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The last one was used.
    Exhausted,
    /// Half of those that are reserved are used; said once for each reservation.
    Low,
}

impl OutboundSequence {
    pub(crate) fn new(esn: bool, state: &SequenceState) -> Self {
        // Where numbers cycle, only their low 32 bits are ever seen.
        let last = if esn || state.cycles {
            u64::MAX
        } else {
            u64::from(u32::MAX)
        };
        let used = state.used.min(last);
        let reserved = state.reserved.map_or(last, |end| end.clamp(used, last));
        Self {
            used: AtomicU64::new(used),
            reserved: AtomicU64::new(reserved),
            notice_at: AtomicU64::new(notice_at(used, reserved, last)),
            last,
        }
    }

    /// Take up to `wanted` numbers in a row.
    ///
    /// Returns:
    /// The first, and how many; zero when none may be used now.
    #[inline]
    pub(crate) fn take(&self, wanted: u64) -> (u64, u64) {
        let end = self.reserved.load(Ordering::Relaxed);
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            //= https://www.rfc-editor.org/rfc/rfc4303#section-3.3.3
            //# If anti-replay is enabled (the default), the sender checks to ensure that the
            //# counter has not cycled before inserting the new value in the Sequence Number
            //# field.
            let granted = wanted.min(end.saturating_sub(used));
            let after = used.wrapping_add(granted);
            match self
                .used
                .compare_exchange_weak(used, after, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return (used.wrapping_add(1), granted),
                Err(seen) => used = seen,
            }
        }
    }

    /// Whether [`Self::notice`] may have something to tell.
    #[inline]
    pub(crate) fn wants_notice(&self) -> bool {
        self.used() >= self.notice_at.load(Ordering::Relaxed)
    }

    /// What is to be told now.
    #[cold]
    pub(crate) fn notice(&self) -> Option<Notice> {
        if self.used() == self.last {
            return Some(Notice::Exhausted);
        }
        let at = self.notice_at.swap(self.last, Ordering::Relaxed);
        (at != self.last).then_some(Notice::Low)
    }

    /// Let numbers up to and with `end` be used.
    pub(crate) fn reserve(&self, end: u64) {
        let end = end.min(self.last);
        let before = self.reserved.fetch_max(end, Ordering::Relaxed);
        if before < end {
            let at = notice_at(self.used().max(before), end, self.last);
            self.notice_at.store(at, Ordering::Relaxed);
        }
    }

    /// The last number given out, zero before the first.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn skip_to(&self, used: u64) {
        self.used.store(used, Ordering::Relaxed);
    }
}

/// From which number on it is to be told that there are few: the half of those that are reserved, or
/// the last.
fn notice_at(from: u64, reserved: u64, last: u64) -> u64 {
    if reserved == last {
        return last;
    }
    let left = reserved.saturating_sub(from);
    reserved.saturating_sub(left.div_euclid(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(esn: bool) -> OutboundSequence {
        OutboundSequence::new(esn, &SequenceState::default())
    }

    // covers R4303-2.2-1
    //= https://www.rfc-editor.org/rfc/rfc4303#section-3.3.3
    //= type=test
    //# The sender's counter is initialized to 0 when an SA is established.
    #[test]
    fn the_first_number_is_one() {
        let sequence = new(false);
        assert_eq!((sequence.take(3), sequence.take(1)), ((1, 3), (4, 1)));
    }

    #[test]
    fn short_numbers_end_before_they_wrap_and_long_ones_go_on() {
        for (esn, granted) in [(false, 2), (true, 5)] {
            let sequence = new(esn);
            sequence.skip_to(u64::from(u32::MAX) - 2);
            assert_eq!(sequence.take(5), (u64::from(u32::MAX) - 1, granted));
            assert_eq!(sequence.wants_notice(), !esn);
            assert_eq!(sequence.notice() == Some(Notice::Exhausted), !esn);
            assert_eq!(sequence.take(1).1, u64::from(esn));
        }
    }

    // covers R4303-3.3.3-2
    #[test]
    fn numbers_go_on_behind_those_used_before_and_end_with_those_reserved() {
        let state = SequenceState {
            used: 1000,
            reserved: Some(1010),
            cycles: false,
        };
        let sequence = OutboundSequence::new(false, &state);
        assert_eq!(
            (sequence.take(4), sequence.wants_notice()),
            ((1001, 4), false)
        );
        assert_eq!(sequence.take(1), (1005, 1));
        assert!(sequence.wants_notice());
        assert_eq!(sequence.notice(), Some(Notice::Low));
        assert!(!sequence.wants_notice(), "said once");
        assert_eq!((sequence.take(9), sequence.take(1).1), ((1006, 5), 0));
        sequence.reserve(1020);
        assert_eq!(
            (sequence.take(5), sequence.wants_notice()),
            ((1011, 5), true)
        );
        assert_eq!(sequence.notice(), Some(Notice::Low));
        sequence.reserve(1015);
        assert_eq!(
            sequence.take(9),
            (1016, 5),
            "a reservation is never taken back"
        );
    }

    #[test]
    fn a_reservation_ends_where_the_numbers_do() {
        let end = u64::from(u32::MAX);
        let state = SequenceState {
            used: end - 4,
            reserved: Some(end + 100),
            cycles: false,
        };
        let sequence = OutboundSequence::new(false, &state);
        assert_eq!(sequence.take(9), (end - 3, 4));
        assert_eq!(sequence.notice(), Some(Notice::Exhausted));
    }

    #[test]
    fn numbers_that_cycle_do_not_end() {
        let state = SequenceState {
            used: u64::from(u32::MAX) - 1,
            reserved: None,
            cycles: true,
        };
        let sequence = OutboundSequence::new(false, &state);
        let (first, granted) = sequence.take(3);
        let low: Vec<u64> = (first..first + granted)
            .map(|number| number & 0xffff_ffff)
            .collect();
        assert_eq!(low, [0xffff_ffff, 0, 1]);
        assert!(!sequence.wants_notice());
    }
}
