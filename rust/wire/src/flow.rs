//! The selector fields of one packet, as one comparable value (RFC 4301, section 4.4.1.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses, protocol and ports of a packet, and the rest of what the SPD looks at.
///
/// Ports of ICMP are type and code as one 16-bit number, type first, on both sides
/// (RFC 7296, section 3.13.1); those of the Mobility Header its type, likewise.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    source: u128,
    destination: u128,
    source_port: u16,
    destination_port: u16,
    flow_label: u32,
    user: u32,
    protocol: u8,
    traffic_class: u8,
    level: u8,
    kind: u8,
}

const IPV6: u8 = 1;
const OPAQUE: u8 = 2;
/// A message type stands for the ports, and the receiver's side has none of its own.
const NO_SOURCE_PORT: u8 = 4;
const NO_DESTINATION_PORT: u8 = 8;
const LEVEL: u8 = 16;
const USER: u8 = 32;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const MOBILITY: u8 = 135;

impl FlowKey {
    /// Make a key. `ports` is source and destination port, or `None` when they cannot be seen
    /// (a fragment that is not the first, a protocol without ports): OPAQUE in RFC 4301's words.
    ///
    /// `None` when the addresses are of different families.
    pub fn new(
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        ports: Option<(u16, u16)>,
    ) -> Option<Self> {
        let (source, destination, family) = match (source, destination) {
            (IpAddr::V4(s), IpAddr::V4(d)) => (s.to_bits().into(), d.to_bits().into(), 0),
            (IpAddr::V6(s), IpAddr::V6(d)) => (s.to_bits(), d.to_bits(), IPV6),
            _ => return None,
        };
        Some(Self::from_bits(
            source,
            destination,
            family == IPV6,
            protocol,
            ports,
        ))
    }

    #[inline]
    pub(crate) fn from_bits(
        source: u128,
        destination: u128,
        ipv6: bool,
        protocol: u8,
        ports: Option<(u16, u16)>,
    ) -> Self {
        let family = if ipv6 { IPV6 } else { 0 };
        let (source_port, destination_port) = ports.unwrap_or((0, 0));
        let layout = match (ports, protocol) {
            (None, _) => OPAQUE,
            (Some(_), ICMP | ICMPV6 | MOBILITY) => NO_DESTINATION_PORT,
            (Some(_), _) => 0,
        };
        Self {
            source,
            destination,
            source_port,
            destination_port,
            flow_label: 0,
            user: 0,
            protocol,
            traffic_class: 0,
            level: 0,
            kind: family | layout,
        }
    }

    /// The same with the octet of IPv4's TOS or IPv6's Traffic Class, and a flow label (20 bits; zero for IPv4).
    #[inline]
    #[must_use]
    pub fn with_class(self, traffic_class: u8, flow_label: u32) -> Self {
        Self {
            flow_label,
            traffic_class,
            ..self
        }
    }

    /// The same with a sensitivity level, higher for more sensitive, or `None` without one.
    #[inline]
    #[must_use]
    pub fn with_level(self, level: Option<u8>) -> Self {
        let kind = (self.kind & !LEVEL) | if level.is_some() { LEVEL } else { 0 };
        let level = level.unwrap_or(0);
        Self {
            level,
            kind,
            ..self
        }
    }

    /// The same with the number of the local user it comes from, or `None` where nobody knows.
    #[inline]
    #[must_use]
    pub fn with_user(self, user: Option<u32>) -> Self {
        let kind = (self.kind & !USER) | if user.is_some() { USER } else { 0 };
        let user = user.unwrap_or(0);
        Self { user, kind, ..self }
    }

    /// The same as a fragment of the packet has it that is not the first: ports are OPAQUE.
    #[must_use]
    pub fn without_ports(self) -> Self {
        Self {
            source_port: 0,
            destination_port: 0,
            kind: (self.kind & !(NO_SOURCE_PORT | NO_DESTINATION_PORT)) | OPAQUE,
            ..self
        }
    }

    /// The same packet seen from its receiver, or the flow of what is answered: source and
    /// destination change places.
    #[inline]
    #[must_use]
    pub fn reversed(self) -> Self {
        const SIDES: u8 = NO_SOURCE_PORT | NO_DESTINATION_PORT;
        let side = match self.kind & SIDES {
            0 => 0,
            side => side ^ SIDES,
        };
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            kind: (self.kind & !SIDES) | side,
            ..self
        }
    }

    /// Whether the addresses are of IPv6.
    #[inline]
    pub fn is_ipv6(&self) -> bool {
        self.kind & IPV6 != 0
    }

    /// Source address as a number; an IPv4 address is in the low 32 bits.
    #[inline]
    pub fn source_bits(&self) -> u128 {
        self.source
    }

    /// Destination address as a number; an IPv4 address is in the low 32 bits.
    #[inline]
    pub fn destination_bits(&self) -> u128 {
        self.destination
    }

    /// Source address.
    pub fn source(&self) -> IpAddr {
        self.address(self.source)
    }

    /// Destination address.
    pub fn destination(&self) -> IpAddr {
        self.address(self.destination)
    }

    /// Next layer protocol: what follows any IPv6 extension headers.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Source and destination port, or `None` when OPAQUE.
    #[inline]
    pub fn ports(&self) -> Option<(u16, u16)> {
        (self.kind & OPAQUE == 0).then_some((self.source_port, self.destination_port))
    }

    /// Whether the protocol has ports, or types in their place, even if this packet shows none.
    pub fn has_ports(&self) -> bool {
        crate::ip::has_ports(self.protocol)
    }

    /// Whether the source has no port to test, because the message type is the sender's
    /// (RFC 4301, section 4.4.1.3) and the packet is [`Self::reversed`].
    #[inline]
    pub fn lacks_source_port(&self) -> bool {
        self.kind & NO_SOURCE_PORT != 0
    }

    /// Whether the destination has no port to test, because the message type is the sender's
    /// (RFC 4301, section 4.4.1.3).
    #[inline]
    pub fn lacks_destination_port(&self) -> bool {
        self.kind & NO_DESTINATION_PORT != 0
    }

    /// IPv4's TOS or IPv6's Traffic Class.
    #[inline]
    pub fn traffic_class(&self) -> u8 {
        self.traffic_class
    }

    /// Flow label of IPv6, in 20 bits.
    #[inline]
    pub fn flow_label(&self) -> u32 {
        self.flow_label
    }

    /// Sensitivity level, if the packet has one.
    #[inline]
    pub fn level(&self) -> Option<u8> {
        (self.kind & LEVEL != 0).then_some(self.level)
    }

    /// The local user it comes from, if known.
    #[inline]
    pub fn user(&self) -> Option<u32> {
        (self.kind & USER != 0).then_some(self.user)
    }

    /// A short hash for tables indexed by flow; not for keys an attacker must not steer.
    #[inline]
    pub fn hash(&self) -> u32 {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let fold = |value: u128| low_half(value) ^ low_half(value >> 64);
        let ports = (u64::from(self.source_port) << 16) | u64::from(self.destination_port);
        let kind = u64::from(u32::from_be_bytes([
            self.level,
            self.traffic_class,
            self.protocol,
            self.kind,
        ]));
        let labels = (u64::from(self.flow_label) << 32) | u64::from(self.user);
        let mut mixed = fold(self.source).wrapping_mul(ODD);
        mixed = (mixed.rotate_left(23) ^ fold(self.destination)).wrapping_mul(ODD);
        mixed = (mixed.rotate_left(23) ^ (ports << 32) ^ kind ^ labels.rotate_left(7))
            .wrapping_mul(ODD);
        let [.., a, b, c, d] = (mixed >> 32).to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    fn address(&self, bits: u128) -> IpAddr {
        if self.is_ipv6() {
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        } else {
            let [.., a, b, c, d] = bits.to_be_bytes();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
    }
}

#[inline]
fn low_half(value: u128) -> u64 {
    u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0)
}

impl std::fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} -> {} protocol {}",
            self.source(),
            self.destination(),
            self.protocol
        )?;
        match self.ports() {
            Some((source, destination)) => write!(f, " ports {source} -> {destination}"),
            None => write!(f, " ports opaque"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_gives_back_what_it_was_made_of() {
        let (source, destination) = ("10.1.0.1".parse().unwrap(), "10.2.0.2".parse().unwrap());
        let key = FlowKey::new(source, destination, 6, Some((1024, 443))).unwrap();
        assert_eq!((key.source(), key.destination()), (source, destination));
        assert_eq!(
            (key.protocol(), key.ports(), key.is_ipv6()),
            (6, Some((1024, 443)), false)
        );
        assert_eq!(FlowKey::new(source, "::1".parse().unwrap(), 6, None), None);
    }

    #[test]
    fn the_way_back_is_the_other_way_round() {
        let (source, destination) = ("10.1.0.1".parse().unwrap(), "10.2.0.2".parse().unwrap());
        let key = FlowKey::new(source, destination, 6, Some((1024, 443))).unwrap();
        let back = FlowKey::new(destination, source, 6, Some((443, 1024))).unwrap();
        assert_eq!((key.reversed(), back.reversed()), (back, key));
    }

    #[test]
    fn opaque_ports_are_not_port_zero() {
        let address = "::1".parse().unwrap();
        assert_ne!(
            FlowKey::new(address, address, 6, None),
            FlowKey::new(address, address, 6, Some((0, 0)))
        );
    }

    #[test]
    fn a_message_type_is_the_senders() {
        let (source, destination) = ("10.1.0.1".parse().unwrap(), "10.2.0.2".parse().unwrap());
        let echo = FlowKey::new(source, destination, 1, Some((0x800, 0x800))).unwrap();
        assert!(echo.lacks_destination_port() && !echo.lacks_source_port());
        let seen = echo.reversed();
        assert_eq!((seen.source(), seen.destination()), (destination, source));
        assert!(seen.lacks_source_port() && !seen.lacks_destination_port());
        assert_eq!(seen.reversed(), echo);
        let tcp = FlowKey::new(source, destination, 6, Some((1, 2))).unwrap();
        assert_eq!(tcp.reversed().ports(), Some((2, 1)));
        assert!(!tcp.reversed().lacks_source_port());
    }

    #[test]
    fn what_is_not_known_is_not_zero() {
        let address = "10.1.0.1".parse().unwrap();
        let key = FlowKey::new(address, address, 6, None).unwrap();
        assert_eq!((key.level(), key.user()), (None, None));
        let known = key.with_level(Some(0)).with_user(Some(0));
        assert_eq!((known.level(), known.user()), (Some(0), Some(0)));
        assert_ne!(known, key);
        assert_eq!(known.with_level(None).with_user(None), key);
    }
}
