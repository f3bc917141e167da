//! Sequence numbers of an outbound SA (RFC 4303, section 3.3.3).

use std::sync::atomic::{AtomicU64, Ordering};

/// Gives out sequence numbers, each once, from 1 up to the last the SA may use.
#[derive(Debug)]
pub(crate) struct OutboundSequence {
    used: AtomicU64,
    last: u64,
}

impl OutboundSequence {
    pub(crate) fn new(esn: bool) -> Self {
        let last = if esn { u64::MAX } else { u64::from(u32::MAX) };
        Self {
            used: AtomicU64::new(0),
            last,
        }
    }

    /// Take up to `wanted` numbers in a row.
    ///
    /// Returns:
    /// The first, and how many; zero when none is left.
    #[inline]
    pub(crate) fn take(&self, wanted: u64) -> (u64, u64) {
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            //= https://www.rfc-editor.org/rfc/rfc4303#section-3.3.3
            //# If anti-replay is enabled (the default), the sender checks to ensure that the
            //# counter has not cycled before inserting the new value in the Sequence Number
            //# field.
            let granted = wanted.min(self.last.wrapping_sub(used));
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

    /// Whether none is left.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.used() == self.last
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

#[cfg(test)]
mod tests {
    use super::*;

    //= https://www.rfc-editor.org/rfc/rfc4303#section-3.3.3
    //= type=test
    //# The sender's counter is initialized to 0 when an SA is established.
    #[test]
    fn the_first_number_is_one() {
        let sequence = OutboundSequence::new(false);
        assert_eq!((sequence.take(3), sequence.take(1)), ((1, 3), (4, 1)));
    }

    #[test]
    fn short_numbers_end_before_they_wrap_and_long_ones_go_on() {
        for (esn, granted) in [(false, 2), (true, 5)] {
            let sequence = OutboundSequence::new(esn);
            sequence.skip_to(u64::from(u32::MAX) - 2);
            assert_eq!(sequence.take(5), (u64::from(u32::MAX) - 1, granted));
            assert_eq!(sequence.is_exhausted(), !esn);
            assert_eq!(sequence.take(1).1, u64::from(esn));
        }
    }
}
