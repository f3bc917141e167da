//! Whether the SPD lets an SA carry what came out of it: no earlier entry may have another use for the
//! packet (RFC 4301, section 4.4.1, "Decorrelation").

use std::net::IpAddr;

use perilune_wire::flow::FlowKey;

use crate::change::Action;
use crate::conditions::Conditions;
use crate::drop_reason::DropReason;
use crate::flow_cache::{Epoch, FlowCache, Verdict};
use crate::processing::Lookup;
use crate::sa::{InboundSa, SadEntry};
use crate::spd::SpdEntry;
use crate::tables::Tables;

/// The SPD as one thread that opens asks it.
pub(crate) struct Precedence<'a> {
    tables: &'a Tables,
    flows: &'a mut FlowCache,
}

impl<'a> Precedence<'a> {
    pub(crate) fn new(tables: &'a Tables, flows: &'a mut FlowCache) -> Self {
        Self { tables, flows }
    }

    /// Check a packet that came out of an SA, as it was inside.
    //= https://www.rfc-editor.org/rfc/rfc4301#section-4.4.1
    //# If the
    //# SPD is not decorrelated, caching is not allowed and an ordered
    //# search of SPD MUST be performed to verify that inbound traffic
    //# arriving on an SA is consistent with the access control policy
    //# expressed in the SPD.
    #[inline]
    pub(crate) fn check(
        &mut self,
        entry: &SadEntry<InboundSa>,
        flow: &FlowKey,
    ) -> Result<(), DropReason> {
        let spd = &self.tables.spd;
        // What is kept is the answer for this very flow, which no other entry can change.
        let epoch = Epoch {
            generation: self.tables.generation,
            readiness: 0,
        };
        let find = || Verdict {
            policy: spd.lookup_opened(flow, |first| is_told(&first.config.selectors.conditions)),
            sa: None,
        };
        let place = self.flows.get(flow, epoch, find).policy;
        let Some((place, first)) = place.and_then(|place| Some((place, spd.entry(place)?))) else {
            return Ok(());
        };
        let policy = entry.sa.common.policy;
        let is_its_own = first.config.id == policy || !spd.is_before(place, policy);
        if is_its_own || self.allows(first, entry) {
            Ok(())
        } else {
            Err(DropReason::EarlierPolicy)
        }
    }

    /// Whether an entry leaves its packets to the SA of another: where both are for the same peer,
    /// which may order its SPD otherwise, where neither goes before the other by priority, as with two
    /// ways to one network, where nobody has an SA of it, and in a group.
    #[cold]
    fn allows(&self, first: &SpdEntry, entry: &SadEntry<InboundSa>) -> bool {
        let peer: IpAddr = entry.path().remote.ip();
        let own = self.tables.spd.config(entry.sa.common.policy);
        first.action == Action::Protect
            && (entry.sa.common.lookup != Lookup::Spi
                || own.is_some_and(|own| own.priority == first.config.priority)
                || first.sas.is_empty()
                || first.sas.iter().any(|sa| sa.path().remote.ip() == peer))
    }
}

/// Whether a packet that arrived shows all that an entry asks: its DSCP may not be asked (RFC 4301,
/// section 4.1), and its user cannot be.
fn is_told(asked: &Conditions) -> bool {
    asked.tos.is_none() && asked.traffic_class.is_none() && asked.user.is_none()
}
