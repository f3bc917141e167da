//! The security policy database: ordered entries, the first that matches decides
//! (RFC 4301, section 4.4.1), each with the SAs that carry its traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use perilune_wire::flow::FlowKey;

use crate::change::{Action, Direction, PolicyConfig, PolicyId};
use crate::cow_map::CowMap;
use crate::matcher::Matcher;
use crate::ported::PortedEntries;
use crate::sa_list::SaList;
use crate::slab::Slab;
use crate::spd_index::{Rule, SpdIndex};

/// One entry with its SAs and counters.
#[derive(Clone)]
pub(crate) struct SpdEntry {
    pub(crate) action: Action,
    pub(crate) config: Arc<PolicyConfig>,
    pub(crate) counters: Arc<PolicyCounters>,
    /// Its outbound SAs.
    pub(crate) sas: SaList,
}

/// What a search for an entry reads, no larger than two lines of the processor's cache, and the entry.
#[derive(Clone)]
struct Place {
    matcher: Matcher,
    order: u64,
    entry: Arc<SpdEntry>,
}

/// What an entry was applied to.
#[derive(Default)]
pub(crate) struct PolicyCounters {
    packets: AtomicU64,
    octets: AtomicU64,
}

impl PolicyCounters {
    #[inline]
    pub(crate) fn add(&self, packets: u64, octets: u64) {
        self.packets.fetch_add(packets, Ordering::Relaxed);
        self.octets.fetch_add(octets, Ordering::Relaxed);
    }

    pub(crate) fn packets(&self) -> u64 {
        self.packets.load(Ordering::Relaxed)
    }

    pub(crate) fn octets(&self) -> u64 {
        self.octets.load(Ordering::Relaxed)
    }
}

/// The entries in the order they are tried. A copy costs little and a change does too.
#[derive(Clone)]
pub(crate) struct Spd {
    entries: Slab<Place>,
    places: CowMap<PolicyId, u32>,
    /// SPD-S and SPD-O.
    outbound: SpdIndex,
    /// SPD-S and SPD-I: what is to be protected does not come in in the clear.
    inbound: SpdIndex,
    /// Of those that leave, the entries that want certain ports; of those that arrive likewise.
    outbound_ported: Arc<PortedEntries>,
    inbound_ported: Arc<PortedEntries>,
}

impl Default for Spd {
    fn default() -> Self {
        Self {
            entries: Slab::default(),
            places: CowMap::default(),
            outbound: SpdIndex::new(Direction::Outbound),
            inbound: SpdIndex::new(Direction::Inbound),
            outbound_ported: Arc::new(PortedEntries::new(Direction::Outbound)),
            inbound_ported: Arc::new(PortedEntries::new(Direction::Inbound)),
        }
    }
}

impl Spd {
    /// Place of the first entry that matches a packet that leaves.
    #[inline]
    pub(crate) fn lookup(&self, flow: &FlowKey) -> Option<u32> {
        self.outbound.find(flow, |place| self.rule(place), |_| true)
    }

    /// The first entry that matches a packet of one direction: where it is in the order, and the entry.
    pub(crate) fn first(&self, direction: Direction, flow: &FlowKey) -> Option<(u64, &SpdEntry)> {
        let rule = |place| self.rule(place);
        let place = match direction {
            Direction::Inbound => self.inbound.find(&flow.reversed(), rule, |_| true),
            Direction::Outbound => self.outbound.find(flow, rule, |_| true),
        }?;
        let found = self.entries.get(place)?;
        Some((found.order, &found.entry))
    }

    /// Whether an entry wants certain ports of packets between the same addresses, so that it matters
    /// of which packet a fragment is.
    #[inline]
    pub(crate) fn ports_matter(&self, direction: Direction, flow: &FlowKey) -> bool {
        match direction {
            Direction::Inbound => self.inbound_ported.may_want(&flow.reversed()),
            Direction::Outbound => self.outbound_ported.may_want(flow),
        }
    }

    /// Place of the first entry that matches a packet which came out of an SA, of those that `accept` takes.
    #[inline]
    pub(crate) fn lookup_opened(
        &self,
        flow: &FlowKey,
        accept: impl Fn(&SpdEntry) -> bool,
    ) -> Option<u32> {
        let rule = |place| self.rule(place);
        let accept = |place| self.entry(place).is_some_and(&accept);
        self.inbound.find(&flow.reversed(), rule, accept)
    }

    /// Whether the entry of a place is tried before the one of a name.
    pub(crate) fn is_before(&self, place: u32, id: PolicyId) -> bool {
        let order = |place| self.rule(place).map(|rule| rule.order);
        let other = self.places.get(&id).and_then(|place| order(*place));
        other.is_some_and(|other| order(place).is_some_and(|order| order < other))
    }

    #[inline]
    pub(crate) fn entry(&self, place: u32) -> Option<&SpdEntry> {
        Some(&self.entries.get(place)?.entry)
    }

    #[inline]
    fn rule(&self, place: u32) -> Option<Rule<'_>> {
        let Place { matcher, order, .. } = self.entries.get(place)?;
        Some(Rule {
            order: *order,
            matcher,
        })
    }

    /// Every entry, in the order they are tried.
    pub(crate) fn entries(&self) -> Vec<&SpdEntry> {
        let mut places: Vec<_> = self.entries.iter().collect();
        places.sort_unstable_by_key(|place| place.order);
        places.iter().map(|place| place.entry.as_ref()).collect()
    }

    /// Add an entry, or replace the one of its name, whose SAs and counters stay.
    ///
    /// Returns:
    /// Whether there was room for it.
    pub(crate) fn put(&mut self, config: PolicyConfig) -> bool {
        let config = Arc::new(config);
        let Some(place) = self.place_for(&config) else {
            return false;
        };
        let order = order(&config);
        for index in self.indexes(config.direction) {
            index.insert(order, place, &config.selectors);
        }
        if PortedEntries::has_part_in(&config) {
            for ported in self.ported(config.direction) {
                Arc::make_mut(ported).add(&config);
            }
        }
        true
    }

    /// Put an entry in a place, that of its name if it has one, but not into the indexes.
    fn place_for(&mut self, config: &Arc<PolicyConfig>) -> Option<u32> {
        let known = self.places.get(&config.id).copied();
        let old = known.and_then(|place| Some((place, self.entries.get(place)?.entry.clone())));
        if let Some((place, old)) = &old {
            self.take_from_indexes(*place, &old.config);
        }
        let new = Place {
            matcher: Matcher::new(&config.selectors),
            order: order(config),
            entry: Arc::new(SpdEntry {
                action: config.action,
                config: Arc::clone(config),
                counters: old
                    .as_ref()
                    .map_or_else(Arc::default, |old| Arc::clone(&old.1.counters)),
                sas: old
                    .as_ref()
                    .map(|old| old.1.sas.clone())
                    .unwrap_or_default(),
            }),
        };
        if let Some((place, _)) = old {
            *self.entries.get_mut(place)? = new;
            return Some(place);
        }
        let place = self.entries.insert(new)?;
        self.places.insert(config.id, place);
        Some(place)
    }

    /// Take an entry out.
    pub(crate) fn remove(&mut self, id: PolicyId) -> Option<Arc<SpdEntry>> {
        let place = self.places.remove(&id)?;
        let Place { entry, .. } = self.entries.remove(place)?;
        self.take_from_indexes(place, &entry.config);
        Some(entry)
    }

    /// What the entry of a name was made of.
    pub(crate) fn config(&self, id: PolicyId) -> Option<&PolicyConfig> {
        Some(&self.entry(*self.places.get(&id)?)?.config)
    }

    /// An entry to be changed; readers of older tables keep what they have.
    pub(crate) fn entry_mut(&mut self, id: PolicyId) -> Option<&mut SpdEntry> {
        let place = *self.places.get(&id)?;
        Some(Arc::make_mut(&mut self.entries.get_mut(place)?.entry))
    }

    /// Whether nothing is left in the indexes.
    #[cfg(test)]
    fn is_forgotten(&self) -> bool {
        self.outbound.is_empty()
            && self.inbound.is_empty()
            && self.outbound_ported.is_empty()
            && self.inbound_ported.is_empty()
    }

    fn take_from_indexes(&mut self, place: u32, config: &PolicyConfig) {
        for index in self.indexes(config.direction) {
            index.remove(place, &config.selectors);
        }
        if PortedEntries::has_part_in(config) {
            for ported in self.ported(config.direction) {
                Arc::make_mut(ported).remove(config);
            }
        }
    }

    fn ported(
        &mut self,
        direction: Option<Direction>,
    ) -> impl Iterator<Item = &mut Arc<PortedEntries>> {
        let outbound = direction != Some(Direction::Inbound);
        let inbound = direction != Some(Direction::Outbound);
        let outbound = outbound.then_some(&mut self.outbound_ported);
        let inbound = inbound.then_some(&mut self.inbound_ported);
        outbound.into_iter().chain(inbound)
    }

    /// Where entries for one direction or both are.
    fn indexes(&mut self, direction: Option<Direction>) -> impl Iterator<Item = &mut SpdIndex> {
        let outbound = (direction != Some(Direction::Inbound)).then_some(&mut self.outbound);
        let inbound = (direction != Some(Direction::Outbound)).then_some(&mut self.inbound);
        outbound.into_iter().chain(inbound)
    }
}

/// Lower ones are tried first.
fn order(config: &PolicyConfig) -> u64 {
    (u64::from(config.priority) << 32) | u64::from(config.id.0)
}

#[cfg(test)]
mod tests;
