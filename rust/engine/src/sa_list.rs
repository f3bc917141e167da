//! The outbound SAs of one SPD entry. Most entries have one or two; one whose selectors are
//! populated from packets has an SA for each host or port, and they are found by their selectors.

use std::net::SocketAddr;
use std::sync::Arc;

use perilune_wire::flow::FlowKey;

use crate::change::Direction;
use crate::cow_map::CowMap;
use crate::matcher::Matcher;
use crate::sa::{OutboundSa, SadEntry};
use crate::slab::Slab;
use crate::spd_index::{Rule, SpdIndex};

type Entry = Arc<SadEntry<OutboundSa>>;
/// SPI and where the peer is.
type Name = (u32, SocketAddr);

/// Up to so many are asked one after the other.
const FEW: usize = 16;

/// SAs and their places, in copies that cost little.
#[derive(Clone)]
pub(crate) enum SaList {
    One(Entry),
    /// None, or more than one; the newest last.
    Few(Vec<Entry>),
    /// With an index.
    Many(Box<Indexed>),
}

/// SAs by place, and the newest that selects a packet.
#[derive(Clone)]
pub(crate) struct Indexed {
    entries: Slab<Place>,
    index: SpdIndex,
    count: usize,
    /// Names of SAs that others of the list travel in, and how many do.
    carriers: CowMap<Name, usize>,
    /// Order of the SA that comes next: lower than that of those before it.
    next: u64,
}

/// What a search for an SA reads first, and the SA.
#[derive(Clone)]
struct Place {
    matcher: Matcher,
    order: u64,
    entry: Entry,
}

impl Default for SaList {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl SaList {
    /// The SA at a place, as long as the list is not changed.
    #[inline]
    pub(crate) fn get(&self, place: u32) -> Option<&Entry> {
        match self {
            Self::One(entry) => (place == 0).then_some(entry),
            Self::Few(entries) => entries.get(usize::try_from(place).ok()?),
            Self::Many(indexed) => indexed.get(place),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::Few(entries) => entries.is_empty(),
            Self::Many(indexed) => indexed.count == 0,
        }
    }

    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = &Entry> + '_> {
        match self {
            Self::One(entry) => Box::new(std::iter::once(entry)),
            Self::Few(entries) => Box::new(entries.iter()),
            Self::Many(indexed) => Box::new(indexed.entries.iter().map(|place| &place.entry)),
        }
    }

    /// Choose the SA for a packet: of those whose selectors fit and that no other of them travels
    /// in, the newest that is ready; when none is, the newest.
    pub(crate) fn pick(&self, flow: &FlowKey) -> Option<u32> {
        match self {
            Self::One(entry) => pick_one_by_one(std::slice::from_ref(entry), flow),
            Self::Few(entries) => pick_one_by_one(entries, flow),
            Self::Many(indexed) => indexed.pick(flow),
        }
    }

    /// Add an SA.
    pub(crate) fn push(&mut self, entry: Entry) {
        match self {
            Self::One(first) => *self = Self::Few(vec![Arc::clone(first), entry]),
            // Nearly all entries have one SA, or two while one takes the place of the other.
            Self::Few(entries) if entries.is_empty() => *self = Self::One(entry),
            Self::Few(entries) if entries.len() < FEW => entries.push(entry),
            Self::Few(entries) => {
                let mut indexed = Box::new(Indexed::default());
                for entry in entries.iter().chain([&entry]) {
                    indexed.push(entry);
                }
                *self = Self::Many(indexed);
            }
            Self::Many(indexed) => indexed.push(&entry),
        }
    }

    /// Take an SA out.
    pub(crate) fn remove(&mut self, entry: &Entry) {
        match self {
            Self::One(one) if Arc::ptr_eq(one, entry) => *self = Self::default(),
            Self::One(_) => {}
            Self::Few(entries) => {
                entries.retain(|other| !Arc::ptr_eq(other, entry));
                if let [one] = &**entries {
                    *self = Self::One(Arc::clone(one));
                }
            }
            Self::Many(indexed) => {
                indexed.remove(entry);
                if indexed.count == 0 {
                    *self = Self::default();
                }
            }
        }
    }

    /// Put an SA that was moved in the place of what it was.
    pub(crate) fn replace(&mut self, old: &Entry, new: &Entry) {
        let place = match self {
            Self::One(one) => Some(one).filter(|other| Arc::ptr_eq(other, old)),
            Self::Few(entries) => entries.iter_mut().find(|other| Arc::ptr_eq(other, old)),
            Self::Many(indexed) => indexed
                .find(old)
                .and_then(|place| Some(&mut indexed.entries.get_mut(place)?.entry)),
        };
        if let Some(entry) = place {
            *entry = Arc::clone(new);
        }
    }
}

impl Default for Indexed {
    fn default() -> Self {
        Self {
            entries: Slab::default(),
            index: SpdIndex::new(Direction::Outbound),
            count: 0,
            carriers: CowMap::default(),
            next: u64::MAX,
        }
    }
}

impl Indexed {
    #[inline]
    fn get(&self, place: u32) -> Option<&Entry> {
        Some(&self.entries.get(place)?.entry)
    }

    fn pick(&self, flow: &FlowKey) -> Option<u32> {
        let rule = |place| {
            let Place { matcher, order, .. } = self.entries.get(place)?;
            Some(Rule {
                order: *order,
                matcher,
            })
        };
        let living = |place, must_be_ready: bool| {
            self.get(place).is_some_and(|entry| {
                !entry.sa.common.is_ended()
                    && (!must_be_ready || entry.sa.is_ready())
                    && self.carriers.get(&entry.key()).is_none()
            })
        };
        let ready = self.index.find(flow, rule, |place| living(place, true));
        ready.or_else(|| self.index.find(flow, rule, |place| living(place, false)))
    }

    fn push(&mut self, entry: &Entry) {
        let matcher = &entry.sa.common.selectors;
        let order = self.next;
        let new = Place {
            matcher: matcher.clone(),
            order,
            entry: Arc::clone(entry),
        };
        let Some(place) = self.entries.insert(new) else {
            return;
        };
        self.index.insert(order, place, &matcher.selectors());
        self.next = order.saturating_sub(1);
        self.count = self.count.saturating_add(1);
        if let Some(carrier) = carrier_of(entry) {
            let others = self.carriers.remove(&carrier).unwrap_or(0);
            self.carriers.insert(carrier, others.saturating_add(1));
        }
    }

    fn remove(&mut self, entry: &Entry) {
        if let Some(place) = self.find(entry) {
            let selectors = entry.sa.common.selectors.selectors();
            self.index.remove(place, &selectors);
            self.entries.remove(place);
            self.count = self.count.saturating_sub(1);
            let Some(carrier) = carrier_of(entry) else {
                return;
            };
            if let Some(others @ 2..) = self.carriers.remove(&carrier) {
                self.carriers.insert(carrier, others.saturating_sub(1));
            }
        }
    }

    /// Place of an SA.
    fn find(&self, entry: &Entry) -> Option<u32> {
        let is_entry = |place| {
            let found = self.get(place);
            found.is_some_and(|other| Arc::ptr_eq(other, entry))
        };
        let selectors = entry.sa.common.selectors.selectors();
        self.index.find_like(&selectors, is_entry)
    }
}

/// The SA that one of the same list travels in, if it does.
fn carrier_of(entry: &Entry) -> Option<Name> {
    let within = entry.sa.common.within()?;
    Some((within.spi, within.remote))
}

fn pick_one_by_one(entries: &[Entry], flow: &FlowKey) -> Option<u32> {
    let is_carrier = |entry: &Entry| {
        let mut carriers = entries.iter().filter_map(carrier_of);
        carriers.any(|name| name == entry.key())
    };
    let mut newest = None;
    for (place, entry) in entries.iter().enumerate().rev() {
        let common = &entry.sa.common;
        if common.is_ended() || !common.selectors.contains(flow) || is_carrier(entry) {
            continue;
        }
        let place = u32::try_from(place).ok();
        if entry.sa.is_ready() {
            return place;
        }
        newest = newest.or(place);
    }
    newest
}

#[cfg(test)]
mod tests;
