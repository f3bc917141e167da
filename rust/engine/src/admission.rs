//! Whether what came out of an SA may have been in it (RFC 4301, section 5.2, steps 4 and 5).

use std::sync::Arc;

use perilune_wire::flow::FlowKey;
use perilune_wire::icmp;
use perilune_wire::ip::IpPacket;

use crate::change::PolicyConfig;
use crate::conditions::Conditions;
use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::fragment_policy::{check_offset, hides_ports};
use crate::icmp_errors::{IcmpErrors, flow_of_cause};
use crate::processing::Mode;
use crate::sa::{InboundSa, SadEntry};
use crate::time::Instant;

/// What an SPD entry asks of packets that its SAs bring, besides the selectors of these.
#[derive(PartialEq, Eq, Default)]
pub(crate) struct Arrivals {
    conditions: Conditions,
    icmp_errors: IcmpErrors,
}

impl Arrivals {
    /// What an entry asks of an SA of some mode; `None` when nothing out of the ordinary.
    pub(crate) fn of(policy: &PolicyConfig, mode: Mode) -> Option<Arc<Self>> {
        let arrivals = Self {
            conditions: policy.selectors.conditions.on_arrival(mode),
            icmp_errors: policy.icmp_errors,
        };
        (arrivals != Self::default()).then(|| Arc::new(arrivals))
    }
}

impl Engine {
    /// Check a packet that came out of an SA, as it was inside.
    #[inline]
    pub(crate) fn admit_packet(
        &self,
        entry: &SadEntry<InboundSa>,
        octets: &[u8],
        outline: &IpPacket,
        now: Instant,
    ) -> Result<(), DropReason> {
        let is_usual = entry.arrivals.is_none() && !outline.is_fragment;
        if is_usual && entry.selects(&outline.flow.reversed()) {
            return Ok(());
        }
        self.admit_unusual(entry, octets, outline, now)
    }

    /// Check one that the selectors alone do not decide about.
    #[cold]
    fn admit_unusual(
        &self,
        entry: &SadEntry<InboundSa>,
        octets: &[u8],
        outline: &IpPacket,
        now: Instant,
    ) -> Result<(), DropReason> {
        let is_selected = entry.selects(&outline.flow.reversed());
        let is_checked = match entry.icmp_errors() {
            IcmpErrors::Checked => true,
            IcmpErrors::Related => !is_selected,
            IcmpErrors::Selected => false,
        };
        if is_checked && icmp::is_error(&outline.flow) {
            return entry.admit_error(octets, outline);
        }
        if outline.is_fragment {
            return self.admit_fragment(entry, octets, outline, now);
        }
        admit_if(is_selected)
    }

    /// Check a fragment by one of the three methods of RFC 4301, section 7.
    fn admit_fragment(
        &self,
        entry: &SadEntry<InboundSa>,
        octets: &[u8],
        outline: &IpPacket,
        now: Instant,
    ) -> Result<(), DropReason> {
        let common = &entry.sa.common;
        let flow = outline.flow.reversed();
        let is_selected = entry.selects(&flow);
        if hides_ports(octets, outline) {
            return Err(DropReason::FragmentRefused);
        }
        if common.selectors.contains_any_ports(&flow.without_ports()) {
            return admit_if(is_selected);
        }
        let shows_ports = flow.ports().is_some();
        if is_selected && !shows_ports {
            //= https://www.rfc-editor.org/rfc/rfc4301#section-7.2
            //# Receivers MUST perform a minimum offset check
            //# on IPv4 (non-initial) fragments to protect against overlapping
            //# fragment attacks when SAs of this type are employed.
            return check_offset(octets, outline);
        }
        //= https://www.rfc-editor.org/rfc/rfc4301#section-7.3
        //# receiver MUST discard non-initial fragments that arrive on an SA with
        //# non-trivial port (or ICMP type/code or MH type) selector values
        //# unless this feature has been negotiated.
        if !common.stateful_fragments || (shows_ports && !is_selected) {
            return admit_if(is_selected);
        }
        let followed = self.inbound_tracker.follow(common.spi, octets, now)?;
        match followed {
            None => Err(DropReason::FragmentFirstMissing),
            Some((_, true)) => Err(DropReason::FragmentRefused),
            Some((first, false)) => admit_if(entry.selects(&first.reversed())),
        }
    }
}

impl SadEntry<InboundSa> {
    /// Check an ICMP error by the packet that it is about.
    fn admit_error(&self, octets: &[u8], outline: &IpPacket) -> Result<(), DropReason> {
        //= https://www.rfc-editor.org/rfc/rfc4301#section-6.2
        //# If the packet fails this check, the IPsec
        //# implementation MUST NOT forwarded the ICMP message to the
        //# destination.
        let cause = flow_of_cause(octets, outline);
        cause
            .filter(|cause| self.selects(cause))
            .map(|_| ())
            .ok_or(DropReason::IcmpErrorForeign)
    }

    fn icmp_errors(&self) -> IcmpErrors {
        let asked = self.arrivals.as_ref();
        asked.map(|asked| asked.icmp_errors).unwrap_or_default()
    }

    /// Whether the SA and its SPD entry select a packet, seen from this host's side: what answers to
    /// it, or the packet itself reversed.
    #[inline]
    fn selects(&self, flow: &FlowKey) -> bool {
        let asked = self.arrivals.as_ref();
        self.sa.common.selectors.contains(flow)
            && asked.is_none_or(|asked| asked.conditions.hold_for(flow))
    }
}

fn admit_if(is_selected: bool) -> Result<(), DropReason> {
    if is_selected {
        Ok(())
    } else {
        Err(DropReason::SelectorMismatch)
    }
}
