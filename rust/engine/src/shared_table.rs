//! A hash table whose copies share what is equal in them.
//!
//! It grows a page at a time (linear hashing), so no single change pays for all. Keys are not
//! kept, only their hashes: who looks something up checks what it finds.

use std::sync::Arc;

use crate::paged_array::PagedArray;

/// Values by the hash of their key; those of the same hash in their own order.
#[derive(Clone)]
pub(crate) struct SharedTable<V> {
    pages: PagedArray<Page<V>>,
    page_count: u32,
    count: u32,
}

type Page<V> = Arc<[(u64, V)]>;

/// Pages are divided when on average they hold more values than this.
const FULL: u32 = 6;
/// And joined when they hold fewer.
const SPARSE: u32 = 2;

impl<V> Default for SharedTable<V> {
    fn default() -> Self {
        Self {
            pages: PagedArray::default(),
            page_count: 1,
            count: 0,
        }
    }
}

impl<V: Clone + Ord> SharedTable<V> {
    /// Every value put in under a hash, in order.
    #[inline]
    pub(crate) fn get(&self, hash: u64) -> impl Iterator<Item = &V> {
        let page = self.pages.get(self.page_of(hash));
        let page = page.map_or(&[][..], AsRef::as_ref);
        let start = page.partition_point(|(other, _)| *other < hash);
        let found = page.get(start..).unwrap_or_default().iter();
        found
            .take_while(move |(other, _)| *other == hash)
            .map(|(_, value)| value)
    }

    pub(crate) fn insert(&mut self, hash: u64, value: V) {
        let entry = (hash, value);
        if let Some(page) = self.pages.get_mut(self.page_of(hash)) {
            let place = page.partition_point(|other| *other < entry);
            let (before, after) = page.split_at(place);
            *page = before
                .iter()
                .chain([&entry])
                .chain(after)
                .cloned()
                .collect();
        }
        self.count = self.count.saturating_add(1);
        if self.count > self.page_count.saturating_mul(FULL) {
            self.divide();
        }
    }

    /// Take out the first value under a hash for which `is_wanted` is true.
    pub(crate) fn remove(&mut self, hash: u64, is_wanted: impl Fn(&V) -> bool) -> Option<V> {
        self.get(hash).find(|value| is_wanted(value))?;
        let page = self.pages.get_mut(self.page_of(hash))?;
        let place = page
            .iter()
            .position(|(other, value)| *other == hash && is_wanted(value))?;
        let (before, after) = page.split_at(place);
        let ((_, removed), after) = after.split_first()?;
        let removed = removed.clone();
        *page = before.iter().chain(after).cloned().collect();
        self.count = self.count.saturating_sub(1);
        if self.page_count > 1 && self.count < self.page_count.saturating_mul(SPARSE) {
            self.join();
        }
        Some(removed)
    }

    /// Add a page and give it its share of the page that had it until now.
    fn divide(&mut self) {
        let new = self.page_count;
        self.page_count = new.saturating_add(1);
        let Some(old) = self.pages.get_mut(new ^ highest_bit(new)) else {
            return;
        };
        let all = std::mem::take(old);
        let bit = u64::from(highest_bit(new));
        let (moved, kept): (Vec<_>, Vec<_>) =
            all.iter().cloned().partition(|(hash, _)| hash & bit != 0);
        *old = kept.into();
        if let Some(page) = self.pages.get_mut(new) {
            *page = moved.into();
        }
    }

    /// Give the last page's values back to the page they came from.
    fn join(&mut self) {
        self.page_count = self.page_count.saturating_sub(1);
        let last = self.page_count;
        let Some(moved) = self.pages.get_mut(last).map(std::mem::take) else {
            return;
        };
        if let Some(page) = self.pages.get_mut(last ^ highest_bit(last)) {
            let mut all: Vec<_> = page.iter().chain(moved.iter()).cloned().collect();
            all.sort();
            *page = all.into();
        }
    }

    #[inline]
    fn page_of(&self, hash: u64) -> u32 {
        let top = highest_bit(self.page_count);
        let mask = u64::from(top).saturating_mul(2).saturating_sub(1);
        let page = u32::try_from(hash & mask).unwrap_or(0);
        if page < self.page_count {
            page
        } else {
            page ^ top
        }
    }
}

/// The highest bit that is set in a number that is not zero.
#[inline]
fn highest_bit(number: u32) -> u32 {
    (1u32 << 31)
        .checked_shr(number.leading_zeros())
        .unwrap_or(1)
}

/// Two words mixed to one of which every bit depends on all of theirs, nearly.
#[inline]
pub(crate) fn mix(one: u64, other: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(one ^ ODD).wrapping_mul(u128::from(other ^ ODD.rotate_left(32)));
    let [high, low] = [product >> 64, product & u128::from(u64::MAX)];
    u64::try_from(high ^ low).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_holds_what_was_put_in_and_not_taken_out(
            steps in prop::collection::vec((any::<bool>(), 0u64..90, 0u8..3), 0..400),
        ) {
            let mut table = SharedTable::default();
            let mut plain = BTreeSet::new();
            for (is_in, key, value) in steps {
                let hash = mix(key, key);
                let before = table.clone();
                let count = table.count;
                if is_in {
                    if plain.insert((hash, value)) {
                        table.insert(hash, value);
                    }
                } else {
                    let removed = table.remove(hash, |other| *other == value);
                    prop_assert_eq!(removed.is_some(), plain.remove(&(hash, value)));
                }
                prop_assert_eq!(before.count, count);
            }
            for key in 0..90 {
                let hash = mix(key, key);
                let expected: Vec<_> = plain.iter().filter(|one| one.0 == hash).map(|one| one.1).collect();
                prop_assert_eq!(table.get(hash).copied().collect::<Vec<_>>(), expected);
            }
            prop_assert_eq!(usize::try_from(table.count).unwrap(), plain.len());
        }
    }

    #[test]
    fn pages_stay_small() {
        let mut table = SharedTable::default();
        for key in 0..10_000 {
            table.insert(mix(key, 1), key);
        }
        assert_eq!(table.page_count, 10_000u32.div_ceil(FULL));
        for key in 0..10_000 {
            assert_eq!(table.remove(mix(key, 1), |_| true), Some(key));
        }
        assert_eq!(table.page_count, 1);
    }
}
