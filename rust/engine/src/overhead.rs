//! How large a packet gets on its way through an SA, and how large it may have been to fit a path.

use perilune_wire::esp::{NEXT_HEADER_IPV4, NEXT_HEADER_IPV6, TRAILER_OCTETS};
use perilune_wire::ip;

use crate::ah;
use crate::mode::Parts;
use crate::outer_header::octets_to;
use crate::path::Encapsulation;
use crate::processing::TfcPadding;
use crate::protection::Protection;
use crate::sa::{OutboundSa, SadEntry};
use crate::time::Instant;

pub(crate) const UDP_OCTETS: usize = 8;
/// What every path takes (RFC 8200, section 5); padded to while nothing better is known.
const LEAST_PATH_MTU: usize = 1280;

impl SadEntry<OutboundSa> {
    /// Octets of the packet that parts of these sizes become.
    pub(crate) fn sealed_octets(&self, head: usize, payload: usize) -> usize {
        let (unit, fixed, trailer) = self.shape();
        let padded = payload
            .saturating_add(trailer)
            .div_ceil(unit)
            .saturating_mul(unit);
        head.saturating_add(fixed).saturating_add(padded)
    }

    /// The largest payload behind so long a head that fits a path.
    pub(crate) fn largest_payload(&self, head: usize, path_mtu: usize) -> Option<usize> {
        let (unit, fixed, trailer) = self.shape();
        let room = path_mtu.checked_sub(head)?.checked_sub(fixed)?;
        let units = room.checked_div(unit)?;
        units.saturating_mul(unit).checked_sub(trailer)
    }

    /// What payload and trailer together are a multiple of, the octets around them, and those of
    /// the trailer.
    fn shape(&self) -> (usize, usize, usize) {
        let udp = match self.encapsulation {
            Encapsulation::None => 0,
            Encapsulation::Udp => UDP_OCTETS,
        };
        match &self.sa.common.protection {
            Protection::Ah(transform) => {
                let is_ipv6 = self.path.remote.is_ipv6();
                (1, ah::octets(transform, is_ipv6), 0)
            }
            Protection::Esp(transform) => {
                let layout = transform.layout();
                let fixed = udp.saturating_add(layout.payload());
                (
                    layout.block,
                    fixed.saturating_add(layout.icv),
                    TRAILER_OCTETS,
                )
            }
        }
    }

    /// Octets of the payload with its traffic flow confidentiality padding.
    ///
    /// Only a payload that says itself how long it is can have some: an IP packet, or UDP
    /// (RFC 4303, section 2.7).
    pub(crate) fn with_tfc_padding(&self, parts: &Parts, now: Instant) -> usize {
        let payload = parts.payload.len();
        let says_its_length = [NEXT_HEADER_IPV4, NEXT_HEADER_IPV6, ip::UDP];
        if !says_its_length.contains(&parts.next_header) {
            return payload;
        }
        let wanted = match self.sa.common.processing.tfc {
            TfcPadding::None => payload,
            TfcPadding::To(octets) => usize::from(octets),
            TfcPadding::PathMtu => {
                let mtu = self.sa.path_mtu.get(now).unwrap_or(LEAST_PATH_MTU);
                self.largest_payload(parts.head.len(), mtu).unwrap_or(0)
            }
        };
        wanted.max(payload)
    }

    /// The largest packet that fits the path when a tunnel is around it; `None` while the path
    /// MTU is not known.
    #[inline]
    pub(crate) fn tunnel_mtu(&self, now: Instant) -> Option<usize> {
        let path_mtu = self.sa.path_mtu.get(now)?;
        self.largest_payload(octets_to(self.path.remote.ip()), path_mtu)
    }
}
