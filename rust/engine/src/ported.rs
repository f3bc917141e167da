//! Between which addresses ports matter: there a fragment that shows none may be of a packet that another
//! SPD entry is about (RFC 4301, section 7 and appendix D.2).

use std::sync::Arc;

use perilune_wire::extension_header::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ROUTING};
use perilune_wire::flow::FlowKey;

use crate::change::{Direction, PolicyConfig};
use crate::cow_map::CowMap;
use crate::matcher::Matcher;
use crate::selector::SelectorPair;
use crate::slab::Slab;
use crate::spd_index::{Rule, SpdIndex};

/// The selectors of entries that want certain ports, without these; each only once.
#[derive(Clone)]
pub(crate) struct PortedEntries {
    index: SpdIndex,
    matchers: Slab<Matcher>,
    known: CowMap<Arc<SelectorPair>, Known>,
    /// How many entries want a certain protocol, of any port, over IPv6.
    of_protocol: usize,
}

#[derive(Clone, Copy)]
struct Known {
    place: u32,
    entries: usize,
}

impl PortedEntries {
    pub(crate) fn new(direction: Direction) -> Self {
        Self {
            index: SpdIndex::new(direction),
            matchers: Slab::default(),
            known: CowMap::default(),
            of_protocol: 0,
        }
    }

    /// Whether an entry wants certain ports, or has an SA for each; or a protocol, which a fragment of IPv6
    /// may hide.
    pub(crate) fn has_part_in(config: &PolicyConfig) -> bool {
        wants_ports(config) || config.selectors.wants_ipv6_protocol()
    }

    pub(crate) fn add(&mut self, config: &PolicyConfig) {
        if !wants_ports(config) {
            self.of_protocol = self.of_protocol.saturating_add(1);
            return;
        }
        let selectors = Arc::new(config.selectors.for_any_ports());
        let known = self.known.get(&selectors).copied();
        let Some(known) = known.or_else(|| self.insert(&selectors)) else {
            return;
        };
        let entries = known.entries.saturating_add(1);
        self.known.insert(selectors, Known { entries, ..known });
    }

    fn insert(&mut self, selectors: &SelectorPair) -> Option<Known> {
        let place = self.matchers.insert(Matcher::new(selectors))?;
        self.index.insert(place.into(), place, selectors);
        Some(Known { place, entries: 0 })
    }

    pub(crate) fn remove(&mut self, config: &PolicyConfig) {
        if !wants_ports(config) {
            self.of_protocol = self.of_protocol.saturating_sub(1);
            return;
        }
        let selectors = Arc::new(config.selectors.for_any_ports());
        match self.known.remove(&selectors) {
            Some(Known { place, entries: 1 }) => {
                self.index.remove(place, &selectors);
                self.matchers.remove(place);
            }
            Some(known) => {
                let entries = known.entries.saturating_sub(1);
                self.known.insert(selectors, Known { entries, ..known });
            }
            None => {}
        }
    }

    /// Whether nothing is left of any entry.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
            && self.of_protocol == 0
            && self.index.is_empty()
            && self.matchers.iter().next().is_none()
    }

    /// Whether one of them may be about a packet; one that arrives has to be reversed.
    pub(crate) fn may_want(&self, flow: &FlowKey) -> bool {
        let rule = |place: u32| {
            let matcher = self.matchers.get(place)?;
            Some(Rule {
                order: place.into(),
                matcher,
            })
        };
        let is_any = !self.known.is_empty();
        ((is_any || self.of_protocol > 0) && hides_protocol(flow))
            || (is_any && self.index.find(flow, rule, |_| true).is_some())
    }
}

fn wants_ports(config: &PolicyConfig) -> bool {
    config.selectors.wants_ports() || config.populate.wants_ports()
}

/// Whether a fragment of IPv6 that is not the first begins in the middle of extension headers.
fn hides_protocol(flow: &FlowKey) -> bool {
    const HEADERS: [u8; 4] = [HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS];
    flow.is_ipv6() && flow.ports().is_none() && HEADERS.contains(&flow.protocol())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Action, PolicyId};
    use crate::icmp_errors::IcmpErrors;
    use crate::populate::Populate;
    use crate::selector::{Ports, TrafficSelector};
    use proptest::prelude::*;

    fn entry(host: u8, port: Option<u16>) -> PolicyConfig {
        let address = std::net::Ipv4Addr::new(10, 0, 0, host).into();
        let side = |ports| vec![TrafficSelector::new(address..=address, 6, ports).unwrap()];
        let ports = port.map_or(Ports::Any, |port| Ports::Range(port, port));
        PolicyConfig {
            id: PolicyId(1),
            priority: 1,
            action: Action::Bypass,
            direction: None,
            selectors: SelectorPair::new(side(Ports::Any), side(ports)),
            populate: Populate::default(),
            hold: false,
            icmp_errors: IcmpErrors::default(),
        }
    }

    proptest! {
        #[test]
        fn ports_matter_as_long_as_an_entry_wants_some(
            steps in prop::collection::vec((0u8..3, 1u16..4, any::<bool>()), 0..40),
        ) {
            let mut ported = PortedEntries::new(Direction::Outbound);
            let mut there = Vec::new();
            for (host, port, adds) in steps {
                if adds {
                    ported.add(&entry(host, Some(port)));
                    there.push((host, port));
                } else if let Some(place) = there.iter().position(|one| *one == (host, port)) {
                    ported.remove(&entry(host, Some(port)));
                    there.remove(place);
                }
                for host in 0..3 {
                    let address = std::net::Ipv4Addr::new(10, 0, 0, host).into();
                    let fragment = FlowKey::new(address, address, 6, None).unwrap();
                    let expected = there.iter().any(|(other, _)| *other == host);
                    prop_assert_eq!(ported.may_want(&fragment), expected);
                    let datagram = FlowKey::new(address, address, 17, None).unwrap();
                    prop_assert!(!ported.may_want(&datagram));
                }
            }
        }
    }

    #[test]
    fn an_entry_has_part_in_it_that_wants_ports_or_an_sa_for_each() {
        assert!(PortedEntries::has_part_in(&entry(1, Some(1))));
        let mut each = entry(1, None);
        assert!(!PortedEntries::has_part_in(&each));
        each.populate.remote_port = true;
        assert!(PortedEntries::has_part_in(&each));
    }
}
