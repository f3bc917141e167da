//! Traffic selectors of IPv4 in less than half the room: there are many of them, one or more for each SPD
//! entry and SA.

use std::net::Ipv4Addr;

use perilune_wire::flow::FlowKey;

use crate::selector::{Ports, TrafficSelector};

/// What one side of IPv4 traffic may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ipv4Selector {
    first: u32,
    last: u32,
    ports: Ports,
    /// Zero is any.
    protocol: u8,
}

impl Ipv4Selector {
    /// The same selector, if it is one of IPv4.
    pub(crate) fn new(selector: &TrafficSelector) -> Option<Self> {
        let (first, last) = selector.ipv4_range()?;
        Some(Self {
            first,
            last,
            ports: selector.ports(),
            protocol: selector.protocol(),
        })
    }

    /// What it was made of.
    pub(crate) fn wide(self) -> TrafficSelector {
        let range = [self.first, self.last].map(Ipv4Addr::from_bits);
        TrafficSelector::of_ipv4(range, self.protocol, self.ports)
    }

    /// [`TrafficSelector::contains_source`].
    #[inline]
    pub(crate) fn contains_source(&self, flow: &FlowKey) -> bool {
        let port = flow.ports().map(|ports| ports.0);
        self.contains(flow, flow.source_bits())
            && (flow.lacks_source_port() || self.ports.contains(port))
    }

    /// [`TrafficSelector::contains_destination`].
    #[inline]
    pub(crate) fn contains_destination(&self, flow: &FlowKey) -> bool {
        let port = flow.ports().map(|ports| ports.1);
        self.contains(flow, flow.destination_bits())
            && (flow.lacks_destination_port() || self.ports.contains(port))
    }

    #[inline]
    fn contains(&self, flow: &FlowKey, address: u128) -> bool {
        !flow.is_ipv6()
            && u128::from(self.first) <= address
            && address <= u128::from(self.last)
            && (self.protocol == 0 || self.protocol == flow.protocol())
    }

    /// [`TrafficSelector::takes_any_port`].
    pub(crate) fn takes_any_port(&self) -> bool {
        self.ports == Ports::Any
    }
}
