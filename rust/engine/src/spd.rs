//! The security policy database: ordered entries, the first that matches decides
//! (RFC 4301, section 4.4.1), each with the SAs that carry its traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use perilune_wire::flow::FlowKey;

use crate::change::{PolicyConfig, PolicyId};
use crate::sa::{OutboundSa, SadEntry};

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
    fn order(&self) -> (u32, PolicyId) {
        (self.config.priority, self.config.id)
    }

    /// Choose the SA for a packet: of those whose selectors fit, the newest that is ready;
    /// when none is, the newest.
    pub(crate) fn pick(&self, flow: &FlowKey) -> Option<usize> {
        let fits = |entry: &SadEntry<OutboundSa>| {
            let common = &entry.sa.common;
            !common.is_ended() && common.selectors.contains_outbound(flow)
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

/// The entries in the order they are tried.
#[derive(Clone, Default)]
pub(crate) struct Spd {
    entries: Vec<Arc<SpdEntry>>,
}

impl Spd {
    /// Index of the first entry that matches a packet that leaves.
    pub(crate) fn lookup(&self, flow: &FlowKey) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.config.selectors.contains_outbound(flow))
    }

    #[inline]
    pub(crate) fn entry(&self, index: usize) -> Option<&SpdEntry> {
        self.entries.get(index).map(AsRef::as_ref)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &SpdEntry> {
        self.entries.iter().map(AsRef::as_ref)
    }

    /// Add an entry, or replace the one of its name, whose SAs and counters stay.
    pub(crate) fn put(&mut self, config: PolicyConfig) {
        let config = Arc::new(config);
        let (counters, sas) = match self.remove(config.id) {
            Some(old) => (Arc::clone(&old.counters), old.sas.clone()),
            None => Default::default(),
        };
        let entry = SpdEntry {
            config,
            counters,
            sas,
        };
        let place = self
            .entries
            .partition_point(|other| other.order() < entry.order());
        self.entries.insert(place, Arc::new(entry));
    }

    /// Take an entry out.
    pub(crate) fn remove(&mut self, id: PolicyId) -> Option<Arc<SpdEntry>> {
        let place = self
            .entries
            .iter()
            .position(|entry| entry.config.id == id)?;
        Some(self.entries.remove(place))
    }

    /// An entry to be changed; readers of older tables keep what they have.
    pub(crate) fn entry_mut(&mut self, id: PolicyId) -> Option<&mut SpdEntry> {
        self.entries
            .iter_mut()
            .find(|entry| entry.config.id == id)
            .map(Arc::make_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Action;
    use crate::selector::{Ports, SelectorPair, TrafficSelector};
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    prop_compose! {
        fn selectors()(a in 0u8..16, b in 0u8..16, protocol in 0u8..3, port in 0u16..8, span in 0u16..8, any: bool)
            -> TrafficSelector
        {
            let ports = if any { Ports::Any } else { Ports::Range(port, port + span) };
            TrafficSelector::new(address(a.min(b))..=address(a.max(b)), protocol, ports).unwrap()
        }
    }

    prop_compose! {
        fn policies()(
            id in 0u32..20,
            priority in 0u32..4,
            local in prop::collection::vec(selectors(), 1..3),
            remote in prop::collection::vec(selectors(), 1..3),
        ) -> PolicyConfig {
            let selectors = SelectorPair { local, remote };
            PolicyConfig { id: PolicyId(id), priority, action: Action::Protect, selectors, hold: false }
        }
    }

    prop_compose! {
        fn flows()(s in 0u8..16, d in 0u8..16, protocol in 1u8..3, ports in any::<Option<(u8, u8)>>()) -> FlowKey {
            let ports = ports.map(|(s, d)| (u16::from(s & 15), u16::from(d & 15)));
            FlowKey::new(address(s), address(d), protocol, ports).unwrap()
        }
    }

    proptest! {
        #[test]
        fn lookup_is_a_linear_scan(configs in prop::collection::vec(policies(), 0..25), flows in prop::collection::vec(flows(), 20)) {
            let mut spd = Spd::default();
            let mut plain: Vec<PolicyConfig> = Vec::new();
            for config in configs {
                plain.retain(|other| other.id != config.id);
                plain.push(config.clone());
                spd.put(config);
            }
            plain.sort_by_key(|config| (config.priority, config.id));
            for flow in flows {
                let expected = plain.iter().find(|config| config.selectors.contains_outbound(&flow));
                let found = spd.lookup(&flow).and_then(|index| spd.entry(index));
                prop_assert_eq!(found.map(|entry| entry.config.id), expected.map(|config| config.id));
            }
        }
    }
}
