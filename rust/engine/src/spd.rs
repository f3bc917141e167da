//! The security policy database: ordered entries, the first that matches decides
//! (RFC 4301, section 4.4.1), each with the SAs that carry its traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use perilune_wire::flow::FlowKey;

use crate::change::{Direction, PolicyConfig, PolicyId};
use crate::cow_map::CowMap;
use crate::sa_list::SaList;
use crate::slab::Slab;
use crate::spd_index::{Rule, SpdIndex};

/// One entry with its SAs and counters.
#[derive(Clone)]
pub(crate) struct SpdEntry {
    pub(crate) config: Arc<PolicyConfig>,
    pub(crate) counters: Arc<PolicyCounters>,
    /// Its outbound SAs.
    pub(crate) sas: SaList,
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
    entries: Slab<SpdEntry>,
    places: CowMap<PolicyId, u32>,
    /// SPD-S and SPD-O.
    outbound: SpdIndex,
    /// SPD-S and SPD-I: what is to be protected does not come in in the clear.
    inbound: SpdIndex,
}

impl Default for Spd {
    fn default() -> Self {
        Self {
            entries: Slab::default(),
            places: CowMap::default(),
            outbound: SpdIndex::new(Direction::Outbound),
            inbound: SpdIndex::new(Direction::Inbound),
        }
    }
}

impl Spd {
    /// Place of the first entry that matches a packet that leaves.
    #[inline]
    pub(crate) fn lookup(&self, flow: &FlowKey) -> Option<u32> {
        Some(self.outbound.find(flow, |_| true)?.place)
    }

    /// Place of the first entry that matches a packet that arrives without IPsec.
    #[inline]
    pub(crate) fn lookup_inbound(&self, flow: &FlowKey) -> Option<u32> {
        Some(self.inbound.find(&flow.reversed(), |_| true)?.place)
    }

    #[inline]
    pub(crate) fn entry(&self, place: u32) -> Option<&SpdEntry> {
        self.entries.get(place).map(AsRef::as_ref)
    }

    /// Every entry, in the order they are tried.
    pub(crate) fn entries(&self) -> Vec<&SpdEntry> {
        let mut entries: Vec<_> = self.entries.iter().map(AsRef::as_ref).collect();
        entries.sort_by_key(|entry| order(&entry.config));
        entries
    }

    /// Add an entry, or replace the one of its name, whose SAs and counters stay.
    ///
    /// Returns:
    /// Whether there was room for it.
    pub(crate) fn put(&mut self, config: PolicyConfig) -> bool {
        let config = Arc::new(config);
        let known = self.places.get(&config.id).copied();
        let place = match known.and_then(|place| self.entries.get_mut(place)) {
            Some(entry) => {
                let entry = Arc::make_mut(entry);
                let old = std::mem::replace(&mut entry.config, Arc::clone(&config));
                self.take_from_indexes(&old);
                known
            }
            None => self.entries.insert(Arc::new(SpdEntry {
                config: Arc::clone(&config),
                counters: Arc::default(),
                sas: SaList::default(),
            })),
        };
        let Some(place) = place else {
            return false;
        };
        if known.is_none() {
            self.places.insert(config.id, place);
        }
        let rule = Rule::new(order(&config), place, &config.selectors);
        for index in self.indexes(config.direction) {
            index.insert(&rule, &config.selectors);
        }
        true
    }

    /// Take an entry out.
    pub(crate) fn remove(&mut self, id: PolicyId) -> Option<Arc<SpdEntry>> {
        let place = self.places.remove(&id)?;
        let entry = self.entries.remove(place)?;
        self.take_from_indexes(&entry.config);
        Some(entry)
    }

    /// An entry to be changed; readers of older tables keep what they have.
    pub(crate) fn entry_mut(&mut self, id: PolicyId) -> Option<&mut SpdEntry> {
        let place = *self.places.get(&id)?;
        self.entries.get_mut(place).map(Arc::make_mut)
    }

    fn take_from_indexes(&mut self, config: &PolicyConfig) {
        for index in self.indexes(config.direction) {
            index.remove(order(config), &config.selectors);
        }
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
