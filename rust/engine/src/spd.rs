//! The security policy database: ordered entries, the first that matches decides
//! (RFC 4301, section 4.4.1), each with the SAs that carry its traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use perilune_wire::flow::FlowKey;

use crate::change::{Direction, PolicyConfig, PolicyId};
use crate::cow_map::CowMap;
use crate::sa::{OutboundSa, SadEntry};
use crate::slab::Slab;
use crate::spd_index::{Rule, SpdIndex};

/// One entry with its SAs and counters.
#[derive(Clone)]
pub(crate) struct SpdEntry {
    pub(crate) config: Arc<PolicyConfig>,
    pub(crate) counters: Arc<PolicyCounters>,
    /// Its outbound SAs, the newest last.
    pub(crate) sas: Vec<Arc<SadEntry<OutboundSa>>>,
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

impl SpdEntry {
    /// Whether an SA is there for another of the entry to travel in.
    fn carries_another(&self, carrier: &SadEntry<OutboundSa>) -> bool {
        let within = |entry: &Arc<SadEntry<OutboundSa>>| entry.sa.common.within;
        let mut named = self.sas.iter().filter_map(within);
        named.any(|id| (id.spi, id.remote) == carrier.key())
    }

    /// Choose the SA for a packet: of those whose selectors fit, the newest that is ready;
    /// when none is, the newest.
    pub(crate) fn pick(&self, flow: &FlowKey) -> Option<usize> {
        let fits = |entry: &SadEntry<OutboundSa>| {
            let common = &entry.sa.common;
            !common.is_ended()
                && common.selectors.contains_outbound(flow)
                && !self.carries_another(entry)
        };
        let mut newest = None;
        for (index, entry) in self
            .sas
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, entry)| fits(entry))
        {
            if entry.sa.is_ready() {
                return Some(index);
            }
            newest = newest.or(Some(index));
        }
        newest
    }
}

/// The entries in the order they are tried. A copy costs little and a change does too.
#[derive(Clone)]
pub(crate) struct Spd {
    entries: Slab<SpdEntry>,
    places: CowMap<PolicyId, u32>,
    outbound: SpdIndex,
}

impl Default for Spd {
    fn default() -> Self {
        Self {
            entries: Slab::default(),
            places: CowMap::default(),
            outbound: SpdIndex::new(Direction::Outbound),
        }
    }
}

impl Spd {
    /// Place of the first entry that matches a packet that leaves.
    #[inline]
    pub(crate) fn lookup(&self, flow: &FlowKey) -> Option<u32> {
        Some(self.outbound.find(flow, |_| true)?.place)
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
                self.outbound.remove(order(&old), &old.selectors);
                known
            }
            None => self.entries.insert(SpdEntry {
                config: Arc::clone(&config),
                counters: Arc::default(),
                sas: Vec::new(),
            }),
        };
        let Some(place) = place else {
            return false;
        };
        if known.is_none() {
            self.places.insert(config.id, place);
        }
        let rule = Rule::new(order(&config), place, &config.selectors);
        self.outbound.insert(&rule, &config.selectors);
        true
    }

    /// Take an entry out.
    pub(crate) fn remove(&mut self, id: PolicyId) -> Option<Arc<SpdEntry>> {
        let place = self.places.remove(&id)?;
        let entry = self.entries.remove(place)?;
        let config = &entry.config;
        self.outbound.remove(order(config), &config.selectors);
        Some(entry)
    }

    /// An entry to be changed; readers of older tables keep what they have.
    pub(crate) fn entry_mut(&mut self, id: PolicyId) -> Option<&mut SpdEntry> {
        let place = *self.places.get(&id)?;
        self.entries.get_mut(place).map(Arc::make_mut)
    }
}

/// Lower ones are tried first.
fn order(config: &PolicyConfig) -> u64 {
    (u64::from(config.priority) << 32) | u64::from(config.id.0)
}

#[cfg(test)]
mod tests;
