//! How large a packet gets on its way through an SA, and how large it may have been to fit a path.

use perilune_wire::esp::{NEXT_HEADER_IPV4, NEXT_HEADER_IPV6, TRAILER_OCTETS};
use perilune_wire::ip;

use crate::ah;
use crate::mode::Parts;
use crate::outer_header::octets_to;
use crate::path::Encapsulation;
use crate::processing::{Mode, TfcPadding};
use crate::protection::Protection;
use crate::sa::{OutboundSa, SadEntry};
use crate::time::Instant;

pub(crate) const UDP_OCTETS: usize = 8;
/// What every path takes (RFC 8200, section 5); padded to while nothing better is known.
pub(crate) const LEAST_PATH_MTU: usize = 1280;

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

    /// The largest packet with so long a header that may go into this SA, so that what comes out is
    /// at most `room` octets.
    pub(crate) fn largest_inside(&self, head: usize, room: usize) -> usize {
        let outer_head = octets_to(self.path().remote.ip());
        let (kept, head) = match self.sa.common.processing.mode {
            Mode::Transport => (head, head),
            Mode::Beet { .. } => (head, outer_head),
            Mode::Any | Mode::Tunnel => (0, outer_head),
        };
        let payload = self.largest_payload(head, room).unwrap_or(0);
        payload.saturating_add(kept)
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
                let is_ipv6 = self.path().remote.is_ipv6();
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

    /// Octets of the payload with its traffic flow confidentiality padding; `room` is the largest
    /// packet that may come out of this SA.
    ///
    /// Only a payload that says itself how long it is can have some: an IP packet, or UDP
    /// (RFC 4303, section 2.7).
    pub(crate) fn with_tfc_padding(&self, parts: &Parts, room: impl FnOnce() -> usize) -> usize {
        let payload = parts.payload.len();
        let says_its_length = [NEXT_HEADER_IPV4, NEXT_HEADER_IPV6, ip::UDP];
        if !says_its_length.contains(&parts.next_header) {
            return payload;
        }
        let wanted = match self.sa.common.processing.tfc {
            TfcPadding::None => payload,
            TfcPadding::To(octets) => usize::from(octets),
            TfcPadding::PathMtu => self.largest_payload(parts.head.len(), room()).unwrap_or(0),
        };
        wanted.max(payload)
    }

    /// The largest packet that fits the path when a tunnel is around it; `None` while the path
    /// MTU is not known.
    #[inline]
    pub(crate) fn tunnel_mtu(&self, now: Instant) -> Option<usize> {
        let path_mtu = self.sa.path_mtu.get(now)?;
        self.largest_payload(octets_to(self.path().remote.ip()), path_mtu)
    }
}
