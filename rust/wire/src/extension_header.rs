//! What stands between the beginning of an IP packet and its next layer protocol: IPv4 options or
//! IPv6 extension headers (RFC 8200, section 4), and where another header may be put among them.
//!
//! ```text
//! +------+------------+--------+---------+----------+---------+-----------+
//! | IPv6 | hop-by-hop | dest.  | routing | fragment | dest.   | TCP, ESP, |
//! |      | options    | options|         |          | options | AH, ...   |
//! +------+------------+--------+---------+----------+---------+-----------+
//!                                 per_fragment^         ^        ^
//!                                 before_options -------+        |
//!                                 next_layer --------------------+
//! ```
//!
//! The headers that are skipped are those of RFC 4301, section 4.4.1.1. AH, ESP and whatever else is
//! not one of them (the Mobility Header, HIP, Shim6 too) is a next layer protocol.

/// Next header of hop-by-hop options.
pub const HOP_BY_HOP: u8 = 0;
/// Next header of a routing header.
pub const ROUTING: u8 = 43;
/// Next header of a fragment header.
pub const FRAGMENT: u8 = 44;
/// Protocol or next header of ESP.
pub const ESP: u8 = 50;
/// Protocol or next header of AH.
pub const AH: u8 = 51;
/// Next header when nothing follows.
pub const NO_NEXT_HEADER: u8 = 59;
/// Next header of destination options.
pub const DESTINATION_OPTIONS: u8 = 60;
/// Next header of the Mobility Header.
pub const MOBILITY: u8 = 135;

/// More extension headers than this are no packet that anybody needs.
pub const MAX_HEADERS: usize = 16;
/// Octets of an IPv4 header without options.
pub const IPV4_OCTETS: usize = 20;
/// Octets of an IPv6 header without extension headers.
pub const IPV6_OCTETS: usize = 40;
/// Octets of an IPv6 fragment header.
pub const FRAGMENT_OCTETS: usize = 8;

const IPV4_PROTOCOL_AT: usize = 9;
const IPV6_NEXT_HEADER_AT: usize = 6;

/// Where a header begins or may be put, and the octet in front of it that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Octets from the beginning of the packet.
    pub offset: usize,
    /// Offset of the protocol or next header field that says what is at `offset`.
    pub protocol_at: usize,
}

/// What a fragment says of itself (RFC 791, section 3.1; RFC 8200, section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// Where its data belongs, in octets.
    pub offset: usize,
    /// Whether others follow it.
    pub more: bool,
    /// What the fragments of one packet have in common; 16 bits in IPv4.
    pub identification: u32,
    /// Where the fragment header is; `None` in IPv4, which has it in the IP header.
    pub header: Option<Place>,
}

/// The way to the next layer protocol of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderChain {
    /// The next layer protocol, as RFC 4301 calls it: AH and ESP are such.
    pub protocol: u8,
    /// Where the next layer begins: behind IPv4 options, or IPv6 extension headers.
    pub next_layer: Place,
    /// Behind the hop-by-hop, routing and fragment headers and what is before them, but in front
    /// of destination options for the last destination only.
    pub before_options: Place,
    /// Behind what every node on the way reads; a fragment header goes here.
    pub per_fragment: Place,
    /// Length of the packet in octets, as its header says.
    pub total: usize,
    /// What is said of fragmentation: in IPv4 when it is a fragment, in IPv6 when there is a
    /// fragment header, even one around a whole packet.
    pub fragment: Option<Fragment>,
}

impl Place {
    /// Change the field that names what is at this place.
    ///
    /// Returns:
    /// What it said before, or `None` when `packet` is not the one the place was found in.
    pub fn rename(self, packet: &mut [u8], protocol: u8) -> Option<u8> {
        let field = packet.get_mut(self.protocol_at)?;
        Some(std::mem::replace(field, protocol))
    }
}

impl Fragment {
    /// Whether this is a part of a packet only.
    #[inline]
    pub fn is_part(&self) -> bool {
        self.more || self.offset != 0
    }
}

impl HeaderChain {
    /// Walk the headers of the packet that `octets` begin with; what follows the packet is ignored.
    ///
    /// Returns:
    /// `None` when there is no sound packet: a length that does not fit, a wrong version, an
    /// extension header that ends behind the packet, hop-by-hop options that are not first (RFC
    /// 8200, section 4), a second fragment header, or more than [`MAX_HEADERS`].
    pub fn parse(octets: &[u8]) -> Option<Self> {
        Self::parse_quoted(octets).filter(|chain| chain.total <= octets.len())
    }

    /// Walk the headers of a packet whose end may be missing, as in an ICMP error; `total` is then
    /// more than there is.
    pub fn parse_quoted(octets: &[u8]) -> Option<Self> {
        match octets.first()? >> 4 {
            4 => Self::parse_v4(octets),
            6 => Self::parse_v6(octets),
            _ => None,
        }
    }

    /// Where ESP or AH goes in transport mode (RFC 4302, section 3.1.1; RFC 4303, section 3.1.1).
    ///
    /// Destination options for the last destination are put inside, and so are protected, or stay
    /// outside, where a receiver reads them before it looks for the SA. A Home Address option has
    /// to stay outside (RFC 6275, section 11.3.2).
    pub fn transport_place(&self, options_inside: bool) -> Place {
        if options_inside {
            self.before_options
        } else {
            self.next_layer
        }
    }

    /// Whether this is a fragment and not the first: the next layer's header is elsewhere.
    #[inline]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.offset != 0)
    }

    /// Whether this is a fragment, the first one included.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.fragment.is_some_and(|fragment| fragment.is_part())
    }

    fn parse_v4(octets: &[u8]) -> Option<Self> {
        let header = octets.first_chunk::<IPV4_OCTETS>()?;
        let [first, _, l0, l1, i0, i1, f0, f1, _, protocol, ..] = *header;
        let offset = usize::from(first & 0xf).saturating_mul(4);
        let total = usize::from(u16::from_be_bytes([l0, l1]));
        if offset < IPV4_OCTETS || total < offset || octets.len() < offset {
            return None;
        }
        let place = Place {
            offset,
            protocol_at: IPV4_PROTOCOL_AT,
        };
        let field = u16::from_be_bytes([f0, f1]);
        let fragment = Fragment {
            offset: usize::from(field & 0x1fff).saturating_mul(8),
            more: field & 0x2000 != 0,
            identification: u16::from_be_bytes([i0, i1]).into(),
            header: None,
        };
        Some(Self {
            protocol,
            next_layer: place,
            before_options: place,
            per_fragment: place,
            total,
            fragment: fragment.is_part().then_some(fragment),
        })
    }

    fn parse_v6(octets: &[u8]) -> Option<Self> {
        let [_, _, _, _, l0, l1, next_header, _] = *octets.first_chunk()?;
        let total = IPV6_OCTETS.checked_add(usize::from(u16::from_be_bytes([l0, l1])))?;
        let chain = Self::walk(octets.get(..total).unwrap_or(octets), next_header)?;
        Some(Self { total, ..chain })
    }

    /// Walk the extension headers of an IPv6 packet without anything behind it.
    #[inline]
    pub(crate) fn walk(packet: &[u8], next_header: u8) -> Option<Self> {
        let start = Place {
            offset: IPV6_OCTETS,
            protocol_at: IPV6_NEXT_HEADER_AT,
        };
        let mut chain = Self {
            protocol: next_header,
            next_layer: start,
            before_options: start,
            per_fragment: start,
            total: packet.len(),
            fragment: None,
        };
        let mut headers = 0usize;
        while is_skipped(chain.protocol) && !chain.is_later_fragment() {
            headers = headers.saturating_add(1);
            if headers > MAX_HEADERS {
                return None;
            }
            chain.step(packet)?;
        }
        packet.get(chain.next_layer.offset..).map(|_| chain)
    }

    /// Go over one extension header.
    fn step(&mut self, packet: &[u8]) -> Option<()> {
        let (kind, at) = (self.protocol, self.next_layer);
        let [next, units] = *packet.get(at.offset..)?.first_chunk()?;
        let octets = match kind {
            //= https://www.rfc-editor.org/rfc/rfc8200#section-4
            //# The same
            //# action should be taken if a node encounters a Next Header value of
            //# zero in any header other than an IPv6 header.
            HOP_BY_HOP if at.offset != IPV6_OCTETS => return None,
            FRAGMENT => {
                if self.fragment.is_some() {
                    return None;
                }
                self.fragment = Some(read_fragment(packet, at)?);
                FRAGMENT_OCTETS
            }
            _ => usize::from(units).saturating_add(1).saturating_mul(8),
        };
        self.protocol = next;
        self.next_layer = Place {
            offset: at.offset.checked_add(octets)?,
            protocol_at: at.offset,
        };
        if kind != DESTINATION_OPTIONS {
            self.before_options = self.next_layer;
        }
        if matches!(kind, HOP_BY_HOP | ROUTING) {
            self.per_fragment = self.next_layer;
        }
        packet.get(self.next_layer.offset..).map(|_| ())
    }
}

/// Whether a next header is one that RFC 4301, section 4.4.1.1, skips by default.
#[inline]
fn is_skipped(next_header: u8) -> bool {
    matches!(
        next_header,
        HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS
    )
}

fn read_fragment(packet: &[u8], at: Place) -> Option<Fragment> {
    let [_, _, high, low, identification @ ..] =
        *packet.get(at.offset..)?.first_chunk::<FRAGMENT_OCTETS>()?;
    let field = u16::from_be_bytes([high, low]);
    Some(Fragment {
        offset: usize::from(field & 0xfff8),
        more: field & 1 != 0,
        identification: u32::from_be_bytes(identification),
        header: Some(at),
    })
}

#[cfg(test)]
mod tests;
