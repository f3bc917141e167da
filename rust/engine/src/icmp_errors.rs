//! ICMP errors that pass through SAs (RFC 4301, section 6.2).
//!
//! An error comes from anywhere on the way of the packet that caused it, so that its own addresses
//! are often not those that policy knows. Then it belongs to the SA of the answers to that packet.
//!
//! ```text
//!   host A === gateway ===== SA ===== gateway --- router --- host B
//!                                                   |
//!      router -> A: ICMP error about A -> B   <-----+   goes on the SA of B -> A
//! ```

use perilune_wire::flow::FlowKey;
use perilune_wire::icmp::IcmpError;
use perilune_wire::ip::{self, IpPacket};

use crate::change::Action;
use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::outbound::{Flow, Outgoing};
use crate::sa::{OutboundSa, SadEntry};
use crate::sealed_batch::SealedBatch;
use crate::spd::SpdEntry;
use crate::tables::Tables;

/// Which ICMP errors the SAs of an SPD entry carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IcmpErrors {
    /// Those about packets of the SA, whatever selectors say: one that they select and that is about
    /// something else is not let in either.
    Checked,
    /// Those that the selectors select, and all others that are about packets of the SA.
    #[default]
    Related,
    /// Those that the selectors select, whatever they are about.
    Selected,
}

impl Engine {
    /// Send an ICMP error that policy does not let out for its own sake on the SA of the answers to
    /// the packet that caused it.
    ///
    /// Returns:
    /// `None` when the SA has ended in the meantime and another look is needed.
    #[cold]
    pub(crate) fn route_error(
        &self,
        tables: &Tables,
        selected: Option<&SpdEntry>,
        outgoing: &Outgoing<'_>,
        out: &mut SealedBatch,
    ) -> Option<Flow> {
        let answers = flow_of_answers(outgoing);
        if let Some((policy, entry)) = answers.and_then(|flow| sa_for(tables, &flow)) {
            return self.send_on(tables, policy, entry, outgoing, out);
        }
        //= https://www.rfc-editor.org/rfc/rfc4301#section-6.2
        //# If no such
        //# SA exists, no SA will be created, and this is an auditable event.
        let reason = DropReason::IcmpErrorUnrelated;
        Some(match selected {
            Some(policy) => self.discard(policy, outgoing, reason),
            None => self.drop_rest(outgoing, outgoing.from, reason, None),
        })
    }
}

/// Whether an SPD entry that selects an ICMP error says nothing about such: it discards all that is
/// left. One that names the protocol means it.
pub(crate) fn leaves_errors_open(policy: &SpdEntry, error: &FlowKey) -> bool {
    let selectors = &policy.config.selectors;
    let mut sides = selectors.local.iter().chain(&selectors.remote);
    policy.config.action == Action::Discard
        && sides.all(|selector| selector.protocol() != error.protocol())
}

/// The packet that caused an ICMP error, if the error says that it did not arrive, and says so to its
/// sender and to nobody else.
pub(crate) fn flow_of_cause(octets: &[u8], outline: &IpPacket) -> Option<FlowKey> {
    let error = IcmpError::parse(octets)?;
    let cause = error.quoted.flow;
    let is_to_sender = cause.source_bits() == outline.flow.destination_bits();
    let is_sound = is_to_sender && cause.is_ipv6() == error.is_ipv6;
    // Labels are not looked for in what is quoted; the error itself has to have that of the packet.
    (is_sound && error.is_about_delivery()).then(|| cause.with_level(outline.flow.level()))
}

fn flow_of_answers(outgoing: &Outgoing<'_>) -> Option<FlowKey> {
    let mut packet = vec![0; outgoing.packet.octets(0)];
    outgoing.packet.write(0, &mut packet);
    let cause = flow_of_cause(&packet, &ip::parse(&packet)?)?;
    Some(cause.reversed())
}

/// The active SA that carries a packet, where its entry lets SAs carry errors too.
fn sa_for<'a>(
    tables: &'a Tables,
    flow: &FlowKey,
) -> Option<(&'a SpdEntry, &'a SadEntry<OutboundSa>)> {
    let policy = tables.spd.entry(tables.spd.lookup(flow)?)?;
    let carries = policy.config.action == Action::Protect
        && policy.config.icmp_errors != IcmpErrors::Selected;
    let entry = policy.sas.get(policy.sas.pick(flow)?)?;
    carries.then_some((policy, entry))
}
