//! A map that is copied cheaply: a transaction changes its own copy, readers keep theirs.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

const SHARDS: usize = 256;

type Shard<K, V> = HashMap<K, V, BuildHasherDefault<MixHasher>>;

/// A hash map in shards that copies share until one of them is changed.
///
/// A copy costs one reference, the first change to it one for each shard, and each a copy of one
/// shard.
pub(crate) struct CowMap<K, V> {
    shards: Arc<[Arc<Shard<K, V>>]>,
    len: usize,
}

impl<K, V> Clone for CowMap<K, V> {
    fn clone(&self) -> Self {
        Self {
            shards: Arc::clone(&self.shards),
            len: self.len,
        }
    }
}

impl<K, V> Default for CowMap<K, V> {
    fn default() -> Self {
        let empty = Arc::new(Shard::default());
        Self {
            shards: vec![empty; SHARDS].into(),
            len: 0,
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> CowMap<K, V> {
    #[inline]
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.shards.get(shard_of(key))?.get(key)
    }

    /// Whether there is nothing in it.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Put a value in the place of its key.
    ///
    /// Returns:
    /// The value that was there.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let shard = Arc::make_mut(&mut self.shards).get_mut(shard_of(&key))?;
        let old = Arc::make_mut(shard).insert(key, value);
        if old.is_none() {
            self.len = self.len.saturating_add(1);
        }
        old
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.get(key)?;
        let shard = Arc::make_mut(&mut self.shards).get_mut(shard_of(key))?;
        self.len = self.len.saturating_sub(1);
        Arc::make_mut(shard).remove(key)
    }

    /// Every value, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.shards.iter().flat_map(|shard| shard.values())
    }
}

#[inline]
fn shard_of<K: Hash>(key: &K) -> usize {
    let hash = BuildHasherDefault::<MixHasher>::default().hash_one(key);
    // The map inside a shard goes by the low and the topmost bits.
    usize::try_from((hash >> 40) & 0xff).unwrap_or(0)
}

/// One multiplication a word: the keys are chosen by us or by peers that we have agreed with, so
/// nobody gains by making them collide.
#[derive(Default)]
pub(crate) struct MixHasher(u64);

impl Hasher for MixHasher {
    fn write(&mut self, octets: &[u8]) {
        for word in octets.chunks(8) {
            let value = word
                .iter()
                .fold(0, |value: u64, octet| (value << 8) | u64::from(*octet));
            self.write_u64(value);
        }
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0.rotate_left(26) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_map_and_copies_stay_as_they_are(
            steps in prop::collection::vec((0u8..20, any::<Option<u16>>()), 0..30),
        ) {
            let (mut map, mut plain) = (CowMap::default(), HashMap::new());
            let mut copies = Vec::new();
            for (key, value) in steps {
                copies.push((map.clone(), plain.clone()));
                let (old, expected) = match value {
                    Some(value) => (map.insert(key, value), plain.insert(key, value)),
                    None => (map.remove(&key), plain.remove(&key)),
                };
                prop_assert_eq!(old, expected);
                copies.push((map.clone(), plain.clone()));
            }
            for (map, plain) in copies {
                prop_assert_eq!(map.is_empty(), plain.is_empty());
                prop_assert_eq!(map.values().count(), plain.len());
                for key in 0..20 {
                    prop_assert_eq!(map.get(&key), plain.get(&key));
                }
            }
        }
    }

    #[test]
    fn sequential_keys_spread_over_the_shards() {
        let mut counts = [0; SHARDS];
        for spi in 0x1000_0000..0x1001_0000_u32 {
            counts[shard_of(&spi)] += 1;
        }
        assert!(counts.iter().all(|count| (128..=512).contains(count)));
    }
}
