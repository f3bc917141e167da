//! Traffic selectors: ranges of addresses and ports, one protocol or any (RFC 7296, section 3.13.1).

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use perilune_wire::flow::FlowKey;

use crate::EngineError;
use crate::conditions::{Conditions, Masked};
use crate::prefix::covering;

/// One side's ports, in a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    pub(crate) fn contains(self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) | (Self::Opaque, None) => true,
            (Self::Range(start, end), Some(port)) => start <= port && port <= end,
            _ => false,
        }
    }
}

/// An address, high half first; a `u128` would be aligned to twice as many octets, and there are many
/// selectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Address([u64; 2]);

impl Address {
    fn new(bits: u128) -> Self {
        Self([bits >> 64, bits & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or(0)))
    }

    #[inline]
    fn bits(self) -> u128 {
        let [high, low] = self.0;
        (u128::from(high) << 64) | u128::from(low)
    }
}

/// What one side of the traffic may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrafficSelector {
    first: Address,
    last: Address,
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
            first: Address::new(first),
            last: Address::new(last),
            ports,
            protocol,
            ipv6,
        })
    }

    /// One of IPv4, with its first address and its last.
    pub(crate) fn of_ipv4(range: [Ipv4Addr; 2], protocol: u8, ports: Ports) -> Self {
        let [first, last] = range.map(|end| Address::new(end.to_bits().into()));
        Self {
            first,
            last,
            ports,
            protocol,
            ipv6: false,
        }
    }

    /// Its first address and its last, if they are of IPv4.
    pub(crate) fn ipv4_range(&self) -> Option<(u32, u32)> {
        let [first, last] = [self.first, self.last].map(|end| u32::try_from(end.bits()).ok());
        (!self.ipv6).then_some((first?, last?))
    }

    /// Whether a packet's source is within.
    #[inline]
    pub fn contains_source(&self, flow: &FlowKey) -> bool {
        let port = flow.ports().map(|ports| ports.0);
        self.contains(flow, flow.source_bits())
            && (flow.lacks_source_port() || self.ports.contains(port))
    }

    /// Whether a packet's destination is within.
    ///
    /// A message type is its sender's and tested against the sender's selector alone
    /// (RFC 4301, section 4.4.1.3): what one may send, the other need not.
    #[inline]
    pub fn contains_destination(&self, flow: &FlowKey) -> bool {
        let port = flow.ports().map(|ports| ports.1);
        self.contains(flow, flow.destination_bits())
            && (flow.lacks_destination_port() || self.ports.contains(port))
    }

    #[inline]
    fn contains(&self, flow: &FlowKey, address: u128) -> bool {
        self.ipv6 == flow.is_ipv6()
            && self.first.bits() <= address
            && address <= self.last.bits()
            && (self.protocol == 0 || self.protocol == flow.protocol())
    }

    pub(crate) fn is_ipv6(&self) -> bool {
        self.ipv6
    }

    /// Whether it wants certain ports: neither any nor those that cannot be seen.
    pub(crate) fn wants_ports(&self) -> bool {
        matches!(self.ports, Ports::Range(..))
    }

    /// Whether ports do not matter to it, hidden ones neither.
    pub(crate) fn takes_any_port(&self) -> bool {
        self.ports == Ports::Any
    }

    /// The same for any port.
    pub(crate) fn for_any_port(self) -> Self {
        Self {
            ports: Ports::Any,
            ..self
        }
    }

    pub(crate) fn ports(&self) -> Ports {
        self.ports
    }

    /// Zero is any.
    pub(crate) fn protocol(&self) -> u8 {
        self.protocol
    }

    /// One or two prefixes that hold all its addresses.
    pub(crate) fn address_prefixes(&self) -> impl Iterator<Item = Masked<u128>> + use<> {
        covering(self.first.bits(), self.last.bits())
    }

    /// One or two prefixes that hold all its ports.
    pub(crate) fn port_prefixes(&self) -> impl Iterator<Item = Masked<u16>> + use<> {
        let (first, last) = match self.ports {
            Ports::Range(first, last) => (first, last),
            Ports::Any | Ports::Opaque => (0, u16::MAX),
        };
        covering(first.into(), last.into()).map(|prefix| Masked {
            value: low_half(prefix.value),
            mask: low_half(prefix.mask),
        })
    }
}

/// The low 16 bits.
fn low_half(bits: u128) -> u16 {
    u16::try_from(bits & u128::from(u16::MAX)).unwrap_or(0)
}

/// Both sides of the traffic of an SPD entry or an SA, seen from this host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct SelectorPair {
    /// What our side may be; one of these has to match.
    pub local: Vec<TrafficSelector>,
    /// What the peer's side may be; one of these has to match.
    pub remote: Vec<TrafficSelector>,
    /// What else has to hold.
    pub conditions: Conditions,
}

impl SelectorPair {
    /// These, without conditions.
    pub fn new(local: Vec<TrafficSelector>, remote: Vec<TrafficSelector>) -> Self {
        Self {
            local,
            remote,
            conditions: Conditions::default(),
        }
    }

    /// Whether a packet that leaves is within: source local, destination remote.
    #[inline]
    pub fn contains_outbound(&self, flow: &FlowKey) -> bool {
        let local = |selector: &TrafficSelector| selector.contains_source(flow);
        let remote = |selector: &TrafficSelector| selector.contains_destination(flow);
        self.local.iter().any(local)
            && self.remote.iter().any(remote)
            && self.conditions.hold_for(flow)
    }

    /// Whether a packet that arrives is within: source remote, destination local.
    #[inline]
    pub fn contains_inbound(&self, flow: &FlowKey) -> bool {
        self.contains_outbound(&flow.reversed())
    }

    /// Whether a packet that leaves is within whatever its ports are, conditions aside.
    pub(crate) fn contains_any_ports(&self, flow: &FlowKey) -> bool {
        let local = |one: &TrafficSelector| one.takes_any_port() && one.contains_source(flow);
        let remote = |one: &TrafficSelector| one.takes_any_port() && one.contains_destination(flow);
        self.local.iter().any(local) && self.remote.iter().any(remote)
    }

    /// Whether one of these wants certain ports.
    pub(crate) fn wants_ports(&self) -> bool {
        let mut sides = self.local.iter().chain(&self.remote);
        sides.any(TrafficSelector::wants_ports)
    }

    /// Whether one of these wants a certain protocol over IPv6.
    pub(crate) fn wants_ipv6_protocol(&self) -> bool {
        let mut sides = self.local.iter().chain(&self.remote);
        sides.any(|selector| selector.ipv6 && selector.protocol != 0)
    }

    /// The same for any ports and without conditions.
    pub(crate) fn for_any_ports(&self) -> Self {
        let widened = |side: &[TrafficSelector]| {
            let widened = side.iter().map(|selector| selector.for_any_port());
            widened.collect()
        };
        Self::new(widened(&self.local), widened(&self.remote))
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

    // covers R4301-4.4.1.1-1
    // covers R4301-4.4.1.1-4
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

    // covers R4301-4.4.1.1-5
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

    // covers R4301-4.4.1.1-7
    #[test]
    fn what_may_be_sent_need_not_be_received() {
        let icmp = |source: &str, destination: &str, message| {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            FlowKey::new(source, destination, 1, Some((message, message))).unwrap()
        };
        let messages = |side, first, last| selector(side, side, 1, Ports::Range(first, last));
        let traceroute = SelectorPair::new(
            vec![messages("10.0.0.1", 0x1e00, 0x1eff)],
            vec![selector("10.0.0.2", "10.0.0.2", 1, Ports::Opaque)],
        );
        let (sent, received) = (
            icmp("10.0.0.1", "10.0.0.2", 0x1e07),
            icmp("10.0.0.2", "10.0.0.1", 0x1e07),
        );
        assert!(traceroute.contains_outbound(&sent) && !traceroute.contains_inbound(&received));
        let echo = SelectorPair::new(
            vec![messages("10.0.0.1", 0x0800, 0x0800)],
            vec![messages("10.0.0.2", 0x0000, 0x0000)],
        );
        assert!(echo.contains_outbound(&icmp("10.0.0.1", "10.0.0.2", 0x0800)));
        assert!(!echo.contains_outbound(&icmp("10.0.0.1", "10.0.0.2", 0x0000)));
        assert!(echo.contains_inbound(&icmp("10.0.0.2", "10.0.0.1", 0x0000)));
        assert!(!echo.contains_inbound(&icmp("10.0.0.2", "10.0.0.1", 0x0800)));
    }
}
