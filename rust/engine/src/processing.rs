//! How the packets of an SA are made and undone (RFC 4301, section 4.4.2.1): security protocol,
//! mode, and what the headers outside are made of.

use std::net::IpAddr;
use std::sync::Arc;

use crate::time::Duration;

/// The security protocol of an SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// IP Authentication Header, protocol 51 (RFC 4302).
    Ah,
    /// IP Encapsulating Security Payload, protocol 50 (RFC 4303).
    Esp,
}

impl Protocol {
    /// Its number in an IP header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ah => 51,
            Self::Esp => 50,
        }
    }
}

/// What an SA protects: the payload of an IP packet, or the whole of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Transport for traffic between the two ends of the SA themselves, tunnel for all other
    /// (the mode `any` of RFC 4301, section 4.4.2.1).
    Any,
    /// Bound end-to-end tunnel: the inner addresses are these and are not sent.
    Beet {
        /// Our side's inner address.
        local: IpAddr,
        /// The peer's side's inner address.
        remote: IpAddr,
    },
    /// The payload, behind the packet's own IP header.
    Transport,
    /// The whole packet, behind an IP header of its own.
    Tunnel,
}

/// The DF bit of an IPv4 header that a tunnel makes (RFC 4301, section 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DontFragment {
    /// Never set.
    Clear,
    /// As inside; set around IPv6.
    #[default]
    Copy,
    /// Always set.
    Set,
}

/// The DSCP of a header that a tunnel makes (RFC 4301, section 5.1.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Dscp {
    /// As inside.
    #[default]
    Copy,
    /// What each of them becomes.
    Map(DscpMap),
}

/// What the DSCPs of inner headers are outside, so that they tell nobody more than they have to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DscpMap(Arc<[u8; DscpMap::COUNT]>);

impl DscpMap {
    /// How many DSCPs there are (RFC 2474, section 3).
    pub const COUNT: usize = 64;

    /// The map with the outer DSCP of each inner one; `None` when one of them is none.
    pub fn new(outer: [u8; Self::COUNT]) -> Option<Self> {
        let is_sound = outer.iter().all(|dscp| usize::from(*dscp) < Self::COUNT);
        is_sound.then(|| Self(Arc::new(outer)))
    }

    /// What is outside of a DSCP.
    #[inline]
    pub fn outer(&self, inner: u8) -> u8 {
        self.0.get(usize::from(inner)).copied().unwrap_or(0)
    }
}

/// When a packet that is too large, and may be, is fragmented (RFC 4301, section 8.2.1, case 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Fragmentation {
    /// The protected packet is cut; the peer joins it before it opens it.
    #[default]
    After,
    /// The packet is cut first and each fragment protected; tunnel mode only.
    Before,
}

/// Traffic flow confidentiality: padding behind the payload (RFC 4303, section 2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TfcPadding {
    /// None.
    #[default]
    None,
    /// Up to what fits the path MTU; to 1280 octets while that is not known.
    PathMtu,
    /// Up to a payload of so many octets.
    To(u16),
}

/// Where the destination options header of an IPv6 packet goes that stands right before the next
/// layer, in transport mode (RFC 4302 and RFC 4303, section 3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DestinationOptions {
    /// Behind the security protocol's header: protected as payload.
    #[default]
    Inside,
    /// Before it: for the eyes of who removes the protection.
    Outside,
}

/// Which outer addresses are those inside (RFC 5374, section 3.1: tunnel mode with address
/// preservation, for multicast).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PreservedAddresses {
    /// The source.
    pub source: bool,
    /// The destination.
    pub destination: bool,
}

/// Everything about the form of an SA's packets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Processing {
    /// What is protected.
    pub mode: Mode,
    /// DF bit outside; tunnel and BEET mode.
    pub df: DontFragment,
    /// DSCP outside; tunnel and BEET mode.
    pub dscp: Dscp,
    /// TTL or hop limit outside; tunnel mode.
    pub hop_limit: u8,
    /// Flow label outside, 20 bits; tunnel and BEET mode over IPv6. It is not copied from inside: of a
    /// gateway's many flows several may have the same (RFC 4301, section 5.1.2.2, note 8).
    pub flow_label: u32,
    /// When to fragment.
    pub fragmentation: Fragmentation,
    /// Traffic flow confidentiality; ESP only, and not in transport mode but for UDP.
    pub tfc: TfcPadding,
    /// IP compression with DEFLATE (RFC 3173, RFC 2394): the CPI that the receiver chose; `None`
    /// without.
    pub compression: Option<u16>,
    /// Transport mode of IPv6.
    pub destination_options: DestinationOptions,
    /// Tunnel mode.
    pub preserved: PreservedAddresses,
    /// Path MTU in octets to begin with and to come back to; `None` when not known.
    pub path_mtu: Option<u16>,
    /// How long a path MTU that was learnt is believed (RFC 4301, section 8.2.2).
    pub path_mtu_age: Duration,
    /// Whether unauthenticated ICMP errors may lower the path MTU (RFC 4301, section 8.2.1).
    pub believe_icmp: bool,
}

impl Processing {
    /// Age of a path MTU unless another is asked for: ten minutes (RFC 1191, section 6.3).
    pub const PATH_MTU_AGE: Duration = Duration::seconds(600);
    /// TTL of outer headers unless another is asked for.
    pub const HOP_LIMIT: u8 = 64;

    /// A mode with everything else at its default.
    pub const fn of(mode: Mode) -> Self {
        Self {
            mode,
            df: DontFragment::Copy,
            dscp: Dscp::Copy,
            hop_limit: Self::HOP_LIMIT,
            flow_label: 0,
            fragmentation: Fragmentation::After,
            tfc: TfcPadding::None,
            compression: None,
            destination_options: DestinationOptions::Inside,
            preserved: PreservedAddresses {
                source: false,
                destination: false,
            },
            path_mtu: None,
            path_mtu_age: Self::PATH_MTU_AGE,
            believe_icmp: true,
        }
    }
}

/// By what an inbound SA is found (RFC 4301, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lookup {
    /// The SPI alone: unicast.
    #[default]
    Spi,
    /// SPI and destination: a multicast group, any sender; each has a window of its own.
    SpiDestination,
    /// SPI, destination and source: one sender to a multicast group.
    SpiDestinationSource,
}
