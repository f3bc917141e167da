//! Which of many entries is the first that selects a packet, without asking each of them.
//!
//! Entries lie in a hash table under the bits that they look at ([`crate::index_key`]). Most
//! look at the same few sets of bits (the shapes), so a search looks once for each shape, begins
//! with the shape of the earliest entry, and ends before a shape all of whose entries come later
//! than one already found. Its cost grows with the number of shapes, which is bounded, and not
//! with the number of entries.

use std::sync::Arc;

use perilune_wire::flow::FlowKey;

use crate::change::Direction;
use crate::cow_map::CowMap;
use crate::index_key::{Fields, IndexKey, Shape, keys};
use crate::matcher::Matcher;
use crate::selector::SelectorPair;
use crate::shared_table::SharedTable;

/// Beyond so many shapes of a family, entries of new ones are put under wider keys.
const MOST_SHAPES: usize = 64;

/// Places of entries for packets of one direction; the entries themselves are elsewhere.
#[derive(Clone)]
pub(crate) struct SpdIndex {
    direction: Direction,
    places: SharedTable,
    /// Of each family, in the order of their first entries.
    shapes: [Arc<Vec<UsedShape>>; 2],
    /// Places of entries some of whose keys were widened, and which of the keys, one bit each.
    widened: CowMap<u32, u64>,
}

#[derive(Clone)]
struct UsedShape {
    shape: Shape,
    /// No entry under it comes before this.
    first: u64,
    keys: usize,
}

/// An entry as the search sees it.
pub(crate) struct Rule<'a> {
    /// Lower ones are tried first; no two entries have the same.
    pub(crate) order: u64,
    pub(crate) matcher: &'a Matcher,
}

impl SpdIndex {
    pub(crate) fn new(direction: Direction) -> Self {
        Self {
            direction,
            places: SharedTable::default(),
            shapes: Default::default(),
            widened: CowMap::default(),
        }
    }

    /// Place of the first entry that selects a packet and that `accept` takes; a packet that
    /// arrives has to be reversed. `rule` knows what is at a place.
    #[inline]
    pub(crate) fn find<'a>(
        &self,
        flow: &FlowKey,
        rule: impl Fn(u32) -> Option<Rule<'a>>,
        accept: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let fields = Fields::of(flow);
        let mut found: Option<(u64, u32)> = None;
        for used in self.shapes[usize::from(flow.is_ipv6())].iter() {
            let is_late = |order, found: Option<(u64, u32)>| found.is_some_and(|it| it.0 <= order);
            if is_late(used.first, found) {
                break;
            }
            self.places.visit(fields.hash(&used.shape), |place| {
                if let Some(Rule { order, matcher }) = rule(place)
                    && !is_late(order, found)
                    && matcher.contains(flow)
                    && accept(place)
                {
                    found = Some((order, place));
                }
            });
        }
        Some(found?.1)
    }

    /// Add an entry.
    pub(crate) fn insert(&mut self, order: u64, place: u32, selectors: &SelectorPair) {
        let mut widened = 0;
        for (key, bit) in keys(selectors, self.direction).into_iter().zip(bits()) {
            let used = self.note(key, order);
            if used != key {
                widened |= bit;
            }
            self.places.insert(used.hash(), place);
        }
        if widened != 0 {
            self.widened.insert(place, widened);
        }
    }

    /// The place, of those of entries of these selectors, for which `is_wanted` is true.
    pub(crate) fn find_like(
        &self,
        selectors: &SelectorPair,
        is_wanted: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let keys = keys(selectors, self.direction);
        let hashes = keys
            .iter()
            .flat_map(|key| [key.hash(), key.widened().hash()]);
        let mut places = hashes.flat_map(|hash| self.places.get(hash));
        places.find(|place| is_wanted(*place))
    }

    /// Take out the entry of a place; `selectors` are those it was added with.
    pub(crate) fn remove(&mut self, place: u32, selectors: &SelectorPair) {
        let widened = self.widened.remove(&place).unwrap_or(0);
        for (key, bit) in keys(selectors, self.direction).into_iter().zip(bits()) {
            let key = if widened & bit == 0 {
                key
            } else {
                key.widened()
            };
            if self.places.remove(key.hash(), place) {
                self.forget(&key.shape);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
            && self.shapes.iter().all(|shapes| shapes.is_empty())
            && self.widened.is_empty()
    }

    /// Count a key.
    ///
    /// Returns:
    /// The key to use: a wider one if its shape were one too many.
    fn note(&mut self, key: IndexKey, order: u64) -> IndexKey {
        let shapes = Arc::make_mut(&mut self.shapes[usize::from(key.shape.ipv6)]);
        let mut key = key;
        let mut known = shapes.iter().position(|used| used.shape == key.shape);
        if known.is_none() && shapes.len() >= MOST_SHAPES {
            key = key.widened();
            known = shapes.iter().position(|used| used.shape == key.shape);
        }
        let mut used = known.map_or(
            UsedShape {
                shape: key.shape,
                first: order,
                keys: 0,
            },
            |place| shapes.remove(place),
        );
        used.first = used.first.min(order);
        used.keys = used.keys.saturating_add(1);
        let place = shapes.partition_point(|other| other.first < used.first);
        shapes.insert(place, used);
        key
    }

    fn forget(&mut self, shape: &Shape) {
        let shapes = Arc::make_mut(&mut self.shapes[usize::from(shape.ipv6)]);
        let Some(place) = shapes.iter().position(|used| used.shape == *shape) else {
            return;
        };
        shapes[place].keys = shapes[place].keys.saturating_sub(1);
        if shapes[place].keys == 0 {
            shapes.remove(place);
        }
    }
}

/// One bit for each key that an entry can have.
fn bits() -> impl Iterator<Item = u64> {
    (0..u64::BITS).map(|place| 1 << place)
}
