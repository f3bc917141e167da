//! The anti-replay window (RFC 4303, section 3.4.3 and appendix A2).

use std::ops::{Deref, DerefMut};

use crate::drop_reason::DropReason;
use crate::error::EngineError;

const MIN_PACKETS: u32 = 32;
const MAX_PACKETS: u32 = 4096;
/// A number that no packet has, and that is behind every window.
const NEVER_SENT: u64 = 0;
/// Width by which sequence numbers are completed when replays are not looked for.
const WIDTH_WHEN_OFF: u32 = 1 << 31;

/// Sequence numbers seen on one SA.
///
/// ```text
///            left edge                      right edge
///                |<------- width packets ------->|
///   too old      |   seen: 1   not seen: 0       |   new: moves the window
/// ```
///
/// The bits are a ring of words; moving right clears the words that are entered. There is one word
/// more than the width needs, so that a word is never half old and half new.
#[derive(Debug)]
pub struct ReplayWindow {
    top: u64,
    width: u32,
    esn: bool,
    words: Words,
}

/// Bits of a window; those of the usual one are where it is.
#[derive(Debug)]
enum Words {
    Two([u64; 2]),
    Any(Box<[u64]>),
}

impl Words {
    /// So many words that are zero.
    fn new(count: usize) -> Self {
        match count {
            2 => Self::Two([0; 2]),
            _ => Self::Any(vec![0; count].into_boxed_slice()),
        }
    }
}

impl Deref for Words {
    type Target = [u64];

    #[inline]
    fn deref(&self) -> &[u64] {
        match self {
            Self::Two(words) => words,
            Self::Any(words) => words,
        }
    }
}

impl DerefMut for Words {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u64] {
        match self {
            Self::Two(words) => words,
            Self::Any(words) => words,
        }
    }
}

impl ReplayWindow {
    /// A window of so many packets, 0 (off) or 32 to 4096, that has seen none.
    ///
    /// # Errors
    /// [`EngineError::ReplayWindow`] for any other size.
    pub fn new(packets: u32, esn: bool) -> Result<Self, EngineError> {
        if packets == 0 {
            return Ok(Self {
                top: 0,
                width: WIDTH_WHEN_OFF,
                esn,
                words: Words::new(0),
            });
        }
        if !(MIN_PACKETS..=MAX_PACKETS).contains(&packets) {
            return Err(EngineError::ReplayWindow(packets));
        }
        let words = usize::try_from(packets.div_ceil(64).saturating_add(1)).unwrap_or(0);
        Ok(Self {
            top: 0,
            width: packets,
            esn,
            words: Words::new(words.next_power_of_two()),
        })
    }

    /// This window, which has seen nothing yet, as if it had seen every number up to one.
    #[must_use]
    pub(crate) fn behind(mut self, top: u64) -> Self {
        self.top = top;
        if top > 0 {
            self.words.fill(u64::MAX);
            let (word, bit) = self.place(top);
            if let Some(word) = self.words.get_mut(word) {
                *word = bit | bit.wrapping_sub(1);
            }
        }
        self
    }

    /// The right edge: the highest sequence number accepted, zero before the first.
    pub fn top(&self) -> u64 {
        self.top
    }

    /// Its width in packets; zero when it is off.
    pub fn packets(&self) -> u32 {
        if self.words.is_empty() { 0 } else { self.width }
    }

    /// Complete the 32 bits of a packet to the whole sequence number (appendix A2.2).
    #[inline]
    pub fn complete(&self, low: u32) -> u64 {
        if !self.esn {
            return u64::from(low);
        }
        let (top_low, top_high) = (self.top & 0xffff_ffff, self.top >> 32);
        let reach = u64::from(self.width).wrapping_sub(1);
        let bottom_low = top_low.wrapping_sub(reach) & 0xffff_ffff;
        let high = match (top_low >= reach, u64::from(low) >= bottom_low) {
            (true, true) | (false, false) => top_high,
            (true, false) => top_high.wrapping_add(1),
            (false, true) => match top_high.checked_sub(1) {
                Some(before) => before,
                // Nothing precedes the first subspace: it would be behind a window, and without
                // one it can only be ahead.
                None if self.words.is_empty() => 0,
                None => return NEVER_SENT,
            },
        };
        ((high & 0xffff_ffff) << 32) | u64::from(low)
    }

    /// Whether a packet may be looked at: neither seen nor too old. Changes nothing.
    ///
    /// # Errors
    /// [`DropReason::Replayed`] or [`DropReason::ReplayTooOld`].
    #[inline]
    pub fn check(&self, sequence: u64) -> Result<(), DropReason> {
        if self.words.is_empty() || sequence > self.top {
            return Ok(());
        }
        //= https://www.rfc-editor.org/rfc/rfc4303#section-3.4.3
        //# Packets that contain sequence numbers lower than the "left" edge of the window are
        //# rejected.
        if sequence == 0 || self.top.wrapping_sub(sequence) >= self.width.into() {
            return Err(DropReason::ReplayTooOld);
        }
        let (word, bit) = self.place(sequence);
        let seen = self.words.get(word).is_none_or(|word| word & bit != 0);
        if seen {
            Err(DropReason::Replayed)
        } else {
            Ok(())
        }
    }

    /// Note a packet whose integrity has been verified.
    ///
    /// Returns:
    /// Whether it is the newest so far.
    ///
    /// # Errors
    /// As [`Self::check`], which it repeats: another thread may have been faster.
    #[inline]
    pub fn accept(&mut self, sequence: u64) -> Result<bool, DropReason> {
        self.check(sequence)?;
        let is_newest = sequence > self.top;
        if is_newest {
            self.advance(sequence);
        }
        let (word, bit) = self.place(sequence);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
        Ok(is_newest)
    }

    #[inline]
    fn advance(&mut self, sequence: u64) {
        let entered = (sequence >> 6).wrapping_sub(self.top >> 6);
        let mask = self.words.len().wrapping_sub(1);
        let (first, _) = self.place(self.top);
        let count = usize::try_from(entered)
            .unwrap_or(usize::MAX)
            .min(self.words.len());
        for step in 1..=count {
            if let Some(word) = self.words.get_mut(first.wrapping_add(step) & mask) {
                *word = 0;
            }
        }
        self.top = sequence;
    }

    /// Index of the word, and the bit in it.
    #[inline]
    fn place(&self, sequence: u64) -> (usize, u64) {
        let mask = self.words.len().wrapping_sub(1);
        let index = usize::try_from((sequence >> 6) & 0xffff).unwrap_or(0);
        (index & mask, 1 << (sequence & 63))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    /// The window in as few words as possible: a set and its greatest member.
    struct Model {
        seen: HashSet<u64>,
        top: u64,
        width: u64,
    }

    impl Model {
        fn accept(&mut self, sequence: u64) -> Result<bool, DropReason> {
            if sequence == 0 || sequence.saturating_add(self.width) <= self.top {
                return Err(DropReason::ReplayTooOld);
            }
            if !self.seen.insert(sequence) {
                return Err(DropReason::Replayed);
            }
            let is_newest = sequence > self.top;
            self.top = self.top.max(sequence);
            Ok(is_newest)
        }
    }

    fn steps() -> impl Strategy<Value = Vec<i64>> {
        let step = prop_oneof![
            6 => -5i64..6,
            3 => -5000i64..5000,
            1 => -70i64..70,
            1 => 0i64..1_000_000,
        ];
        prop::collection::vec(step, 1..600)
    }

    proptest! {
        #[test]
        fn window_is_a_set_of_seen_numbers(
            packets in 32u32..=4096,
            start in prop_oneof![0u64..200, Just((1 << 32) - 100), Just(u64::MAX - (1 << 40))],
            steps in steps(),
        ) {
            let mut window = ReplayWindow::new(packets, true).unwrap();
            let mut model = Model { seen: HashSet::new(), top: 0, width: packets.into() };
            prop_assert_eq!(window.accept(start), model.accept(start));
            for step in steps {
                let sequence = model.top.saturating_add_signed(step);
                prop_assert_eq!(window.check(sequence).is_ok(), model_ok(&model, sequence));
                prop_assert_eq!(window.accept(sequence), model.accept(sequence));
                prop_assert_eq!(window.top(), model.top);
            }
        }

        //= https://www.rfc-editor.org/rfc/rfc4303#section-3.4.3
        //= type=test
        //# If the ESN option is selected for an SA, only the low-order 32 bits of the sequence
        //# number are explicitly transmitted
        #[test]
        fn low_half_is_completed_near_the_window(
            packets in 32u32..=4096,
            top in prop_oneof![1u64..10_000, (1u64 << 32) - 5000..(1 << 32) + 5000, any::<u64>().prop_map(|t| t >> 2)],
            ahead in 0u64..(1 << 31),
            behind in 0u64..4096,
        ) {
            let mut window = ReplayWindow::new(packets, true).unwrap();
            window.accept(top).unwrap();
            for sequence in [top + ahead, top.saturating_sub(behind.min(u64::from(packets) - 1))] {
                let low = u32::try_from(sequence & 0xffff_ffff).unwrap();
                prop_assert_eq!(window.complete(low), sequence);
            }
        }
    }

    fn model_ok(model: &Model, sequence: u64) -> bool {
        sequence != 0
            && sequence.saturating_add(model.width) > model.top
            && !model.seen.contains(&sequence)
    }

    // covers R4303-3.4.3-2
    // covers R4302-3.4.3-1
    #[test]
    fn only_sizes_from_32_to_4096_exist() {
        for bad in [1, 31, 4097, u32::MAX] {
            assert_eq!(
                ReplayWindow::new(bad, false).unwrap_err(),
                EngineError::ReplayWindow(bad)
            );
        }
        for good in [0, 32, 33, 64, 4095, 4096] {
            assert!(ReplayWindow::new(good, false).is_ok());
        }
    }

    // covers R4303-A-3
    #[test]
    fn nothing_is_older_than_the_first_number() {
        let mut window = ReplayWindow::new(64, true).unwrap();
        for top in [0, 1, 62] {
            if top > 0 {
                window.accept(top).unwrap();
            }
            // The window's left part would be before number 0.
            let bottom = u32::MAX - (62 - u32::try_from(top).unwrap());
            for low in [bottom, u32::MAX] {
                let sequence = window.complete(low);
                assert_eq!(window.check(sequence), Err(DropReason::ReplayTooOld));
            }
            let ahead = window.complete(bottom - 1);
            assert_eq!(
                (ahead, window.check(ahead)),
                (u64::from(bottom) - 1, Ok(()))
            );
        }
    }

    // covers R4303-3.4.3-4
    #[test]
    fn number_zero_is_taken_only_where_it_comes_again() {
        for (packets, esn) in [(32, false), (64, false), (64, true), (4096, true)] {
            let mut window = ReplayWindow::new(packets, esn).unwrap();
            for top in [0, 1, 31, 5000] {
                if top > 0 {
                    window.accept(top).unwrap();
                }
                let is_new = esn && top >= u64::from(packets);
                assert_eq!(window.check(window.complete(0)).is_ok(), is_new, "{top}");
            }
        }
    }

    #[test]
    fn without_a_window_everything_passes_and_esn_still_counts() {
        let mut window = ReplayWindow::new(0, true).unwrap();
        for low in [5, 5, 1, u32::MAX] {
            let sequence = window.complete(low);
            window.accept(sequence).unwrap();
        }
        assert_eq!(window.complete(3), (1 << 32) + 3);
    }
}
