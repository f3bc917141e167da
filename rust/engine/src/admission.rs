//! Whether what came out of an SA may have been in it (RFC 4301, section 5.2, steps 4 and 5).

use std::sync::Arc;

use perilune_wire::flow::FlowKey;
use perilune_wire::icmp;
use perilune_wire::ip::IpPacket;

use crate::change::PolicyConfig;
use crate::conditions::Conditions;
use crate::drop_reason::DropReason;
use crate::icmp_errors::{IcmpErrors, flow_of_cause};
use crate::processing::Mode;
use crate::sa::{InboundSa, SadEntry};

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

impl SadEntry<InboundSa> {
    /// Check a packet that came out of this SA, as it was inside.
    #[inline]
    pub(crate) fn admit(&self, octets: &[u8], outline: &IpPacket) -> Result<(), DropReason> {
        if self.arrivals.is_none() && self.selects(&outline.flow.reversed()) {
            return Ok(());
        }
        self.admit_unusual(octets, outline)
    }

    /// Check one that the selectors alone do not decide about.
    #[cold]
    fn admit_unusual(&self, octets: &[u8], outline: &IpPacket) -> Result<(), DropReason> {
        let is_selected = self.selects(&outline.flow.reversed());
        let carried = self.arrivals.as_ref().map(|asked| asked.icmp_errors);
        let is_checked = match carried.unwrap_or_default() {
            IcmpErrors::Checked => true,
            IcmpErrors::Related => !is_selected,
            IcmpErrors::Selected => false,
        };
        if !is_checked || !icmp::is_error(&outline.flow) {
            let mismatch = Err(DropReason::SelectorMismatch);
            return if is_selected { Ok(()) } else { mismatch };
        }
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

    /// Whether the SA and its SPD entry select a packet, seen from this host's side: what answers to
    /// it, or the packet itself reversed.
    #[inline]
    fn selects(&self, flow: &FlowKey) -> bool {
        let asked = self.arrivals.as_ref();
        self.sa.common.selectors.contains(flow)
            && asked.is_none_or(|asked| asked.conditions.hold_for(flow))
    }
}
