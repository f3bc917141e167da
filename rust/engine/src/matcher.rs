//! Selectors as searches for an entry and checks of packets want them: those of the usual entry or
//! SA, one for each side, lie together in memory.

use std::sync::Arc;

use perilune_wire::flow::FlowKey;

use crate::conditions::Conditions;
use crate::ipv4_selector::Ipv4Selector;
use crate::selector::{SelectorPair, TrafficSelector};

/// What [`SelectorPair::contains_outbound`] asks, in another shape; no larger than half a line of the
/// processor's cache.
#[derive(Clone)]
pub(crate) struct Matcher(Shape);

#[derive(Clone)]
enum Shape {
    /// One IPv4 selector for each side, and no conditions: nearly all that there are.
    Ipv4 {
        local: Ipv4Selector,
        remote: Ipv4Selector,
    },
    Any(Arc<Sides>),
}

struct Sides {
    local: Side,
    remote: Side,
    conditions: Option<Box<Conditions>>,
}

enum Side {
    One(TrafficSelector),
    Any(Box<[TrafficSelector]>),
}

impl Matcher {
    pub(crate) fn new(selectors: &SelectorPair) -> Self {
        Self(
            Shape::of_ipv4(selectors)
                .unwrap_or_else(|| Shape::Any(Arc::new(Sides::new(selectors)))),
        )
    }

    /// The selectors that it was made of.
    pub(crate) fn selectors(&self) -> SelectorPair {
        match &self.0 {
            Shape::Ipv4 { local, remote } => {
                SelectorPair::new(vec![local.wide()], vec![remote.wide()])
            }
            Shape::Any(sides) => SelectorPair {
                local: sides.local.all().to_vec(),
                remote: sides.remote.all().to_vec(),
                conditions: sides.conditions.as_deref().cloned().unwrap_or_default(),
            },
        }
    }

    /// Whether a packet that leaves is within; one that arrives has to be reversed.
    #[inline]
    pub(crate) fn contains(&self, flow: &FlowKey) -> bool {
        match &self.0 {
            Shape::Ipv4 { local, remote } => {
                local.contains_source(flow) && remote.contains_destination(flow)
            }
            Shape::Any(sides) => sides.contain(flow),
        }
    }

    /// [`SelectorPair::contains_any_ports`].
    pub(crate) fn contains_any_ports(&self, flow: &FlowKey) -> bool {
        match &self.0 {
            Shape::Ipv4 { local, remote } => {
                local.takes_any_port() && remote.takes_any_port() && self.contains(flow)
            }
            Shape::Any(sides) => sides.contain_any_ports(flow),
        }
    }
}

impl Shape {
    fn of_ipv4(selectors: &SelectorPair) -> Option<Self> {
        let ([local], [remote]) = (&*selectors.local, &*selectors.remote) else {
            return None;
        };
        let sides = Self::Ipv4 {
            local: Ipv4Selector::new(local)?,
            remote: Ipv4Selector::new(remote)?,
        };
        selectors.conditions.is_empty().then_some(sides)
    }
}

impl Sides {
    fn new(selectors: &SelectorPair) -> Self {
        let conditions = &selectors.conditions;
        Self {
            local: Side::new(&selectors.local),
            remote: Side::new(&selectors.remote),
            conditions: (!conditions.is_empty()).then(|| Box::new(conditions.clone())),
        }
    }

    fn contain(&self, flow: &FlowKey) -> bool {
        self.local.any(|selector| selector.contains_source(flow))
            && self
                .remote
                .any(|selector| selector.contains_destination(flow))
            && self
                .conditions
                .as_ref()
                .is_none_or(|conditions| conditions.hold_for(flow))
    }

    fn contain_any_ports(&self, flow: &FlowKey) -> bool {
        let local = |one: &TrafficSelector| one.takes_any_port() && one.contains_source(flow);
        let remote = |one: &TrafficSelector| one.takes_any_port() && one.contains_destination(flow);
        self.local.any(local) && self.remote.any(remote)
    }
}

impl Side {
    fn new(selectors: &[TrafficSelector]) -> Self {
        match selectors {
            [one] => Self::One(*one),
            any => Self::Any(any.into()),
        }
    }

    fn all(&self) -> &[TrafficSelector] {
        match self {
            Self::One(selector) => std::slice::from_ref(selector),
            Self::Any(selectors) => selectors,
        }
    }

    #[inline]
    fn any(&self, is_wanted: impl Fn(&TrafficSelector) -> bool) -> bool {
        match self {
            Self::One(selector) => is_wanted(selector),
            Self::Any(selectors) => selectors.iter().any(is_wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use crate::selector::Ports;

    /// One of the last addresses of IPv4, or the same number in IPv6.
    fn address(bits: u8, ipv6: bool) -> IpAddr {
        let bits = u32::from(bits) | 0xffff_ff00;
        if ipv6 {
            Ipv6Addr::from_bits(bits.into()).into()
        } else {
            Ipv4Addr::from_bits(bits).into()
        }
    }

    fn selector() -> impl Strategy<Value = TrafficSelector> {
        let ports = prop_oneof![
            Just(Ports::Any),
            Just(Ports::Opaque),
            (0u16..4, 0u16..4).prop_map(|(first, more)| Ports::Range(first, first + more)),
        ];
        let all = (0u8..4, 0u8..4, 0u8..3, prop::bool::weighted(0.2), ports);
        all.prop_map(|(first, more, protocol, ipv6, ports)| {
            let addresses = address(first, ipv6)..=address(first + more, ipv6);
            TrafficSelector::new(addresses, protocol, ports).unwrap()
        })
    }

    fn flow() -> impl Strategy<Value = FlowKey> {
        let ports = prop::option::of((0u16..6, 0u16..6));
        let all = (0u8..8, 0u8..8, 0u8..3, any::<bool>(), ports, any::<u8>());
        all.prop_map(|(source, destination, protocol, ipv6, ports, class)| {
            let ends = [source, destination].map(|bits| address(bits, ipv6));
            let flow = FlowKey::new(ends[0], ends[1], protocol, ports);
            flow.unwrap().with_class(class, 0)
        })
    }

    proptest! {
        #[test]
        fn every_shape_asks_what_the_selectors_ask(
            local in prop::collection::vec(selector(), 1..3),
            remote in prop::collection::vec(selector(), 1..3),
            user in prop::option::weighted(0.2, 0u32..2),
            flows in prop::collection::vec(flow(), 1..50),
        ) {
            let mut selectors = SelectorPair::new(local, remote);
            selectors.conditions.user = user;
            let matcher = Matcher::new(&selectors);
            for flow in flows {
                for flow in [flow, flow.reversed(), flow.with_user(Some(1))] {
                    prop_assert_eq!(matcher.contains(&flow), selectors.contains_outbound(&flow));
                    prop_assert_eq!(
                        matcher.contains_any_ports(&flow),
                        selectors.contains_any_ports(&flow)
                    );
                }
            }
            prop_assert_eq!(matcher.selectors(), selectors);
        }
    }
}
