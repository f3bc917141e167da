//! Which ICMP errors from the unprotected side, which nobody has authenticated, are accepted, and how
//! far they are believed (RFC 4301, section 6.1.1).

use perilune_wire::icmp::IcmpError;

/// RFC 8200, section 5.
const LEAST_IPV6: u32 = 1280;

/// A type of ICMP error, or one of its codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IcmpKind {
    /// Whether it is of `ICMPv6`, whose types are others.
    pub is_ipv6: bool,
    /// Type.
    pub kind: u8,
    /// Code; `None` is all of them.
    pub code: Option<u8>,
}

impl IcmpKind {
    /// "Fragmentation needed and DF set" (RFC 792).
    pub const FRAGMENTATION_NEEDED: Self = Self {
        is_ipv6: false,
        kind: 3,
        code: Some(4),
    };
    /// "Packet Too Big" (RFC 4443, section 3.2).
    pub const PACKET_TOO_BIG: Self = Self {
        is_ipv6: true,
        kind: 2,
        code: None,
    };

    fn is_of(self, error: &IcmpError<'_>) -> bool {
        self.is_ipv6 == error.is_ipv6
            && self.kind == error.kind
            && self.code.is_none_or(|code| code == error.code)
    }
}

/// What an administrator lets unauthenticated ICMP errors about our packets do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IcmpControls {
    /// What is accepted; all else is dropped, counted and audited.
    pub accepted: Vec<IcmpKind>,
    /// Least path MTU over IPv4 that is believed, in octets of the outer packet. Over IPv6 it is what
    /// every path has, 1280.
    pub least_path_mtu: u16,
}

impl Default for IcmpControls {
    /// "Too big" of both versions, down to what every host can receive (RFC 791, section 3.1).
    fn default() -> Self {
        Self {
            accepted: vec![IcmpKind::FRAGMENTATION_NEEDED, IcmpKind::PACKET_TOO_BIG],
            least_path_mtu: 576,
        }
    }
}

impl IcmpControls {
    pub(crate) fn accept(&self, error: &IcmpError<'_>) -> bool {
        self.accepted.iter().any(|kind| kind.is_of(error))
    }

    pub(crate) fn least(&self, is_ipv6: bool) -> u32 {
        if is_ipv6 {
            LEAST_IPV6
        } else {
            self.least_path_mtu.into()
        }
    }
}
