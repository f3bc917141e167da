//! Selectors as searches for an entry and checks of packets want them: those of the usual entry or
//! SA, one for each side, lie together in memory.

use std::sync::Arc;

use perilune_wire::flow::FlowKey;

use crate::conditions::Conditions;
use crate::selector::{SelectorPair, TrafficSelector};

/// What [`SelectorPair::contains_outbound`] asks, in another shape.
#[derive(Clone)]
pub(crate) struct Matcher {
    local: Side,
    remote: Side,
    conditions: Option<Arc<Conditions>>,
}

#[derive(Clone)]
enum Side {
    One(TrafficSelector),
    Any(Arc<[TrafficSelector]>),
}

impl Matcher {
    pub(crate) fn new(selectors: &SelectorPair) -> Self {
        let conditions = &selectors.conditions;
        Self {
            local: Side::new(&selectors.local),
            remote: Side::new(&selectors.remote),
            conditions: (!conditions.is_empty()).then(|| Arc::new(conditions.clone())),
        }
    }

    /// The selectors that it was made of.
    pub(crate) fn selectors(&self) -> SelectorPair {
        SelectorPair {
            local: self.local.all().to_vec(),
            remote: self.remote.all().to_vec(),
            conditions: self.conditions.as_deref().cloned().unwrap_or_default(),
        }
    }

    /// Whether a packet that leaves is within; one that arrives has to be reversed.
    #[inline]
    pub(crate) fn contains(&self, flow: &FlowKey) -> bool {
        self.local.any(|selector| selector.contains_source(flow))
            && self
                .remote
                .any(|selector| selector.contains_destination(flow))
            && self
                .conditions
                .as_ref()
                .is_none_or(|conditions| conditions.hold_for(flow))
    }

    /// [`SelectorPair::contains_any_ports`].
    pub(crate) fn contains_any_ports(&self, flow: &FlowKey) -> bool {
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
