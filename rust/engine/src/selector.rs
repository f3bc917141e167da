//! Traffic selectors: ranges of addresses and ports, one protocol or any (RFC 7296, section 3.13.1).

use std::net::IpAddr;
use std::ops::RangeInclusive;

use perilune_wire::flow::FlowKey;

use crate::EngineError;

/// One side's ports, in a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// Any port, and packets whose ports cannot be seen.
    Any,
    /// Only packets whose ports cannot be seen.
    Opaque,
    /// Ports from the first to the last, both included.
    Range(u16, u16),
}

impl Ports {
    /// Read the way IKE writes them: 0 to 65535 is ANY, 65535 to 0 is OPAQUE.
    ///
    /// # Errors
    /// [`EngineError::Selector`] for any other range whose end is before its start.
    pub fn from_range(start: u16, end: u16) -> Result<Self, EngineError> {
        match (start, end) {
            (0, u16::MAX) => Ok(Self::Any),
            (u16::MAX, 0) => Ok(Self::Opaque),
            (start, end) if start <= end => Ok(Self::Range(start, end)),
            _ => Err(EngineError::Selector),
        }
    }

    #[inline]
    fn contains(self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) | (Self::Opaque, None) => true,
            (Self::Range(start, end), Some(port)) => start <= port && port <= end,
            _ => false,
        }
    }
}

/// What one side of the traffic may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficSelector {
    first: u128,
    last: u128,
    ports: Ports,
    protocol: u8,
    ipv6: bool,
}

impl TrafficSelector {
    /// Make a selector. `protocol` zero is any.
    ///
    /// # Errors
    /// [`EngineError::Selector`] when the addresses are of two families or in the wrong order.
    pub fn new(
        addresses: RangeInclusive<IpAddr>,
        protocol: u8,
        ports: Ports,
    ) -> Result<Self, EngineError> {
        let (first, last, ipv6) = match (*addresses.start(), *addresses.end()) {
            (IpAddr::V4(s), IpAddr::V4(e)) => (s.to_bits().into(), e.to_bits().into(), false),
            (IpAddr::V6(s), IpAddr::V6(e)) => (s.to_bits(), e.to_bits(), true),
            _ => return Err(EngineError::Selector),
        };
        if first > last {
            return Err(EngineError::Selector);
        }
        Ok(Self {
            first,
            last,
            ports,
            protocol,
            ipv6,
        })
    }

    /// Whether a packet's source is within.
    #[inline]
    pub fn contains_source(&self, flow: &FlowKey) -> bool {
        self.contains(flow, flow.source_bits(), flow.ports().map(|ports| ports.0))
    }

    /// Whether a packet's destination is within.
    #[inline]
    pub fn contains_destination(&self, flow: &FlowKey) -> bool {
        self.contains(
            flow,
            flow.destination_bits(),
            flow.ports().map(|ports| ports.1),
        )
    }

    #[inline]
    fn contains(&self, flow: &FlowKey, address: u128, port: Option<u16>) -> bool {
        self.ipv6 == flow.is_ipv6()
            && self.first <= address
            && address <= self.last
            && (self.protocol == 0 || self.protocol == flow.protocol())
            && self.ports.contains(port)
    }
}

/// Both sides of the traffic of an SPD entry or an SA, seen from this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorPair {
    /// What our side may be; one of these has to match.
    pub local: Vec<TrafficSelector>,
    /// What the peer's side may be; one of these has to match.
    pub remote: Vec<TrafficSelector>,
}

impl SelectorPair {
    /// Whether a packet that leaves is within: source local, destination remote.
    #[inline]
    pub fn contains_outbound(&self, flow: &FlowKey) -> bool {
        self.local
            .iter()
            .any(|selector| selector.contains_source(flow))
            && self
                .remote
                .iter()
                .any(|selector| selector.contains_destination(flow))
    }

    /// Whether a packet that arrives is within: source remote, destination local.
    #[inline]
    pub fn contains_inbound(&self, flow: &FlowKey) -> bool {
        self.remote
            .iter()
            .any(|selector| selector.contains_source(flow))
            && self
                .local
                .iter()
                .any(|selector| selector.contains_destination(flow))
    }

    /// Whether both sides have at least one selector.
    pub(crate) fn is_whole(&self) -> bool {
        !self.local.is_empty() && !self.remote.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(first: &str, last: &str, protocol: u8, ports: Ports) -> TrafficSelector {
        TrafficSelector::new(
            first.parse().unwrap()..=last.parse().unwrap(),
            protocol,
            ports,
        )
        .unwrap()
    }

    fn flow(source: &str, destination: &str, ports: Option<(u16, u16)>) -> FlowKey {
        FlowKey::new(
            source.parse().unwrap(),
            destination.parse().unwrap(),
            6,
            ports,
        )
        .unwrap()
    }

    #[test]
    fn edges_of_ranges_are_inside() {
        let net = selector("10.1.0.0", "10.1.0.255", 6, Ports::Range(80, 90));
        assert!(net.contains_source(&flow("10.1.0.0", "10.9.0.1", Some((80, 1)))));
        assert!(net.contains_source(&flow("10.1.0.255", "10.9.0.1", Some((90, 1)))));
        assert!(!net.contains_source(&flow("10.1.1.0", "10.9.0.1", Some((80, 1)))));
        assert!(!net.contains_source(&flow("10.1.0.1", "10.9.0.1", Some((91, 80)))));
        assert!(net.contains_destination(&flow("10.9.0.1", "10.1.0.7", Some((1, 85)))));
    }

    #[test]
    fn families_do_not_mix() {
        let all = selector("0.0.0.0", "255.255.255.255", 0, Ports::Any);
        assert!(!all.contains_source(&flow("::1", "::2", None)));
    }

    #[test]
    fn hidden_ports_match_any_and_opaque_only() {
        let fragment = flow("10.0.0.1", "10.0.0.2", None);
        let with = |ports| selector("10.0.0.0", "10.0.0.9", 0, ports).contains_source(&fragment);
        assert!(with(Ports::Any) && with(Ports::Opaque) && !with(Ports::Range(0, 80)));
    }

    #[test]
    fn ranges_are_read_as_ike_writes_them() {
        assert_eq!(Ports::from_range(0, 65535).unwrap(), Ports::Any);
        assert_eq!(Ports::from_range(65535, 0).unwrap(), Ports::Opaque);
        assert_eq!(Ports::from_range(22, 22).unwrap(), Ports::Range(22, 22));
        assert!(Ports::from_range(23, 22).is_err());
        let backwards = "10.0.0.9".parse().unwrap()..="10.0.0.1".parse().unwrap();
        assert!(TrafficSelector::new(backwards, 0, Ports::Any).is_err());
    }
}
