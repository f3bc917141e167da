//! A hash table of numbers whose copies share what is equal in them.
//!
//! It grows a bucket at a time (linear hashing), so no single change pays for all. Keys are not
//! kept, only 32 bits of their hashes: who looks something up checks what it finds. A bucket is as
//! large as a line of the processor's cache, so a search reads the memory once however large the table
//! is. (Buckets are not aligned to lines: the C library fragments its heap when that is asked of it,
//! and lines come in pairs.)

use std::sync::Arc;

use crate::paged_array::PagedArray;

/// Numbers by the hash of their key.
#[derive(Clone)]
pub(crate) struct SharedTable {
    buckets: PagedArray<Bucket>,
    bucket_count: u32,
    count: u32,
}

const SLOTS: usize = 6;
/// Buckets are divided when on average they hold more numbers than this.
const FULL: u32 = 3;
/// And joined when they hold fewer.
const SPARSE: u32 = 1;

#[derive(Clone, Default)]
struct Bucket {
    hashes: [u32; SLOTS],
    numbers: [u32; SLOTS],
    /// How many slots are in use, the first ones.
    used: u32,
    /// What has no room here.
    more: Option<Arc<Vec<(u32, u32)>>>,
}

impl Default for SharedTable {
    fn default() -> Self {
        Self {
            buckets: PagedArray::default(),
            bucket_count: 1,
            count: 0,
        }
    }
}

impl SharedTable {
    /// Visit every number put in under a hash, in no order.
    #[inline]
    pub(crate) fn visit(&self, hash: u32, visit: impl FnMut(u32)) {
        if let Some(bucket) = self.buckets.get(self.bucket_of(hash)) {
            bucket.visit(hash, visit);
        }
    }

    /// Every number put in under a hash, in no order; where it is not done for each packet.
    pub(crate) fn get(&self, hash: u32) -> Vec<u32> {
        let mut numbers = Vec::new();
        self.visit(hash, |number| numbers.push(number));
        numbers
    }

    pub(crate) fn insert(&mut self, hash: u32, number: u32) {
        if let Some(bucket) = self.buckets.get_mut(self.bucket_of(hash)) {
            bucket.push(hash, number);
        }
        self.count = self.count.saturating_add(1);
        if self.count > self.bucket_count.saturating_mul(FULL) {
            self.divide();
        }
    }

    /// Take a number out that was put in under a hash.
    ///
    /// Returns:
    /// Whether it was there.
    pub(crate) fn remove(&mut self, hash: u32, number: u32) -> bool {
        // A look first: what is not there is not to be copied.
        if !self.get(hash).contains(&number) {
            return false;
        }
        if let Some(bucket) = self.buckets.get_mut(self.bucket_of(hash)) {
            bucket.remove(hash, number);
        }
        self.count = self.count.saturating_sub(1);
        if self.bucket_count > 1 && self.count < self.bucket_count.saturating_mul(SPARSE) {
            self.join();
        }
        true
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Add a bucket and give it its share of the one that had it until now.
    fn divide(&mut self) {
        let new = self.bucket_count;
        self.bucket_count = new.saturating_add(1);
        let bit = highest_bit(new);
        let all = self.buckets.get_mut(new ^ bit).map(std::mem::take);
        for (hash, number) in all.iter().flat_map(Bucket::iter) {
            if let Some(bucket) = self.buckets.get_mut(self.bucket_of(hash)) {
                bucket.push(hash, number);
            }
        }
    }

    /// Give what the last bucket has back to the one it came from.
    fn join(&mut self) {
        let last = self.bucket_count.saturating_sub(1);
        self.bucket_count = last;
        let moved = self.buckets.get_mut(last).map(std::mem::take);
        if let Some(bucket) = self.buckets.get_mut(last ^ highest_bit(last)) {
            for (hash, number) in moved.iter().flat_map(Bucket::iter) {
                bucket.push(hash, number);
            }
        }
    }

    #[inline]
    fn bucket_of(&self, hash: u32) -> u32 {
        let top = highest_bit(self.bucket_count);
        let bucket = hash & (top | top.wrapping_sub(1));
        if bucket < self.bucket_count {
            bucket
        } else {
            bucket ^ top
        }
    }
}

impl Bucket {
    /// Which slots are of a hash, one bit each: without a branch, so that the processor can go on
    /// to the next bucket before this one has come from memory.
    #[inline]
    fn slots_of(&self, hash: u32) -> u32 {
        let bits = self.hashes.iter().rev().fold(0, |bits: u32, other| {
            (bits << 1) | u32::from(*other == hash)
        });
        bits & !u32::MAX.checked_shl(self.used).unwrap_or(0)
    }

    #[inline]
    fn visit(&self, hash: u32, mut visit: impl FnMut(u32)) {
        let mut slots = self.slots_of(hash);
        while slots != 0 {
            let slot = usize::try_from(slots.trailing_zeros()).unwrap_or(SLOTS);
            slots &= slots.wrapping_sub(1);
            if let Some(number) = self.numbers.get(slot) {
                visit(*number);
            }
        }
        if let Some(more) = &self.more {
            let found = more.iter().filter(|one| one.0 == hash);
            found.for_each(|one| visit(one.1));
        }
    }

    fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        let used = usize::try_from(self.used).unwrap_or(SLOTS);
        let here = self.hashes.iter().copied().zip(self.numbers).take(used);
        here.chain(self.more.iter().flat_map(|more| more.iter().copied()))
    }

    fn push(&mut self, hash: u32, number: u32) {
        let slot = usize::try_from(self.used).unwrap_or(SLOTS);
        match (self.hashes.get_mut(slot), self.numbers.get_mut(slot)) {
            (Some(hash_place), Some(number_place)) => {
                (*hash_place, *number_place) = (hash, number);
                self.used = self.used.saturating_add(1);
            }
            _ => Arc::make_mut(self.more.get_or_insert_default()).push((hash, number)),
        }
    }

    /// Take one out that is here.
    fn remove(&mut self, hash: u32, number: u32) {
        let mut rest: Vec<_> = self.iter().collect();
        if let Some(place) = rest.iter().position(|one| *one == (hash, number)) {
            rest.swap_remove(place);
        }
        *self = Self::default();
        for (hash, number) in rest {
            self.push(hash, number);
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

    /// Few hashes, some of which fall into one bucket however many there are.
    fn hash(key: u8) -> u32 {
        u32::from(key & 7).wrapping_mul(0x1000_0001) ^ (u32::from(key >> 3) << 28)
    }

    proptest! {
        #[test]
        fn it_holds_what_was_put_in_and_not_taken_out(
            steps in prop::collection::vec((prop::bool::weighted(0.7), 0u8..64, 0u32..9), 0..400),
        ) {
            let mut table = SharedTable::default();
            let mut plain: Vec<(u8, u32)> = Vec::new();
            let held = |table: &SharedTable, key| {
                let mut numbers = table.get(hash(key));
                numbers.sort_unstable();
                numbers
            };
            for (is_in, key, number) in steps {
                let (before, held_before) = (table.clone(), held(&table, key));
                let known = plain.iter().position(|one| *one == (key, number));
                if is_in {
                    plain.push((key, number));
                    table.insert(hash(key), number);
                } else {
                    known.map(|place| plain.swap_remove(place));
                    prop_assert_eq!(table.remove(hash(key), number), known.is_some());
                }
                prop_assert_eq!(held(&before, key), held_before);
            }
            for key in 0..64 {
                let of_key = plain.iter().filter(|one| one.0 == key);
                let mut expected: Vec<_> = of_key.map(|one| one.1).collect();
                expected.sort_unstable();
                prop_assert_eq!(held(&table, key), expected);
            }
            prop_assert_eq!(usize::try_from(table.count).unwrap(), plain.len());
        }
    }

    #[test]
    fn buckets_stay_small() {
        let mut table = SharedTable::default();
        let hash = |key: u32| u32::try_from(mix(key.into(), 1) >> 32).unwrap();
        for key in 0..10_000 {
            table.insert(hash(key), key);
        }
        assert_eq!(table.bucket_count, 10_000u32.div_ceil(FULL));
        let buckets = (0..table.bucket_count).filter_map(|place| table.buckets.get(place));
        let overfull = buckets.filter(|bucket| bucket.more.is_some()).count();
        assert!(overfull < 500, "{overfull}");
        for key in 0..10_000 {
            assert!(table.remove(hash(key), key));
        }
        assert_eq!(table.bucket_count, 1);
    }

    #[test]
    fn a_bucket_is_as_large_as_a_cache_line() {
        assert_eq!(size_of::<Bucket>(), 64);
    }
}
