//! Which of many entries is the first that selects a packet, without asking each of them.
//!
//! Entries lie in a hash table under the bits that they look at ([`crate::index_key`]). Most
//! look at the same few sets of bits (the shapes), so a search looks once for each shape, begins
//! with the shape of the earliest entry, and ends before a shape all of whose entries come later
//! than one already found. Its cost grows with the number of shapes, which is bounded, and not
//! with the number of entries.

use std::cmp::Ordering;
use std::sync::Arc;

use perilune_wire::flow::FlowKey;

use crate::change::Direction;
use crate::index_key::{Fields, IndexKey, Shape, keys};
use crate::matcher::Matcher;
use crate::selector::SelectorPair;
use crate::shared_table::SharedTable;

/// Beyond so many shapes of a family, entries of new ones are put under wider keys.
const MOST_SHAPES: usize = 64;

/// An entry as the search sees it.
pub(crate) struct Rule {
    /// Lower ones are tried first; no two entries have the same.
    pub(crate) order: u64,
    /// Where the entry is.
    pub(crate) place: u32,
    matcher: Matcher,
}

/// Entries for packets of one direction.
#[derive(Clone)]
pub(crate) struct SpdIndex {
    direction: Direction,
    rules: SharedTable<Arc<Rule>>,
    /// Of each family, in the order of their first entries.
    shapes: [Arc<Vec<UsedShape>>; 2],
}

#[derive(Clone)]
struct UsedShape {
    shape: Shape,
    /// No entry under it comes before this.
    first: u64,
    keys: usize,
}

impl Rule {
    pub(crate) fn new(order: u64, place: u32, selectors: &SelectorPair) -> Arc<Self> {
        let matcher = Matcher::new(selectors);
        Arc::new(Self {
            order,
            place,
            matcher,
        })
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Rule {}

impl PartialOrd for Rule {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rule {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}

impl SpdIndex {
    pub(crate) fn new(direction: Direction) -> Self {
        Self {
            direction,
            rules: SharedTable::default(),
            shapes: Default::default(),
        }
    }

    /// The first entry that selects a packet and that `accept` takes; a packet that arrives has
    /// to be reversed.
    #[inline]
    pub(crate) fn find(
        &self,
        flow: &FlowKey,
        mut accept: impl FnMut(&Rule) -> bool,
    ) -> Option<&Rule> {
        let fields = Fields::of(flow);
        let mut found: Option<&Rule> = None;
        for used in self.shapes[usize::from(flow.is_ipv6())].iter() {
            let is_late = |order| found.is_some_and(|rule| rule.order <= order);
            if is_late(used.first) {
                break;
            }
            let rules = self.rules.get(fields.hash(&used.shape));
            let mut earlier = rules.take_while(|rule| !is_late(rule.order));
            let fits = |rule: &&Arc<Rule>| rule.matcher.contains(flow) && accept(rule);
            found = earlier.find(fits).map(AsRef::as_ref).or(found);
        }
        found
    }

    /// Add an entry; `selectors` are those its rule was made of.
    pub(crate) fn insert(&mut self, rule: &Arc<Rule>, selectors: &SelectorPair) {
        for key in keys(selectors, self.direction) {
            let key = self.note(key, rule.order);
            self.rules.insert(key.hash(), Arc::clone(rule));
        }
    }

    /// The entry of these selectors for which `is_wanted` is true.
    pub(crate) fn find_like(
        &self,
        selectors: &SelectorPair,
        is_wanted: impl Fn(&Rule) -> bool,
    ) -> Option<&Rule> {
        let keys = keys(selectors, self.direction);
        let hashes = keys
            .iter()
            .flat_map(|key| [key.hash(), key.widened().hash()]);
        let mut rules = hashes.flat_map(|hash| self.rules.get(hash));
        rules.find(|rule| is_wanted(rule)).map(AsRef::as_ref)
    }

    /// Take out the entry of an order.
    pub(crate) fn remove(&mut self, order: u64, selectors: &SelectorPair) {
        for key in keys(selectors, self.direction) {
            for key in [key, key.widened()] {
                let is_wanted = |rule: &Arc<Rule>| rule.order == order;
                if self.rules.remove(key.hash(), is_wanted).is_some() {
                    self.forget(&key.shape);
                    break;
                }
            }
        }
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
