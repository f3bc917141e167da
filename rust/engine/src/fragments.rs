//! Fragments that have to be put together first: of what arrives with AH or ESP, and of what leaves
//! on an SA that takes whole packets only (RFC 4303, sections 3.1.1 and 3.4.1). And those that only have
//! to go where the first of their packet goes (RFC 4301, section 7.3).

use std::sync::Mutex;

use perilune_wire::flow::FlowKey;
use perilune_wire::reassembly::{
    FragmentTracker, Reassembler, ReassemblyLimits, Refusal, TrackingLimits,
};

use crate::drop_reason::{DropCounters, DropReason};
use crate::time::Instant;

/// Ten packets of any size, or many of the usual one.
const LIMITS: ReassemblyLimits = ReassemblyLimits {
    packets: 256,
    octets: 1 << 20,
    fragments: 64,
    timeout_ns: 30_000_000_000,
};

/// As many packets as a busy network has under way; what is kept of each has a bound too.
const TRACKED: TrackingLimits = TrackingLimits {
    packets: 1024,
    fragments: 128,
    timeout_ns: 60_000_000_000,
};

/// Packets of one direction that are not whole yet.
pub(crate) struct Gatherer(Mutex<Reassembler>);

impl Default for Gatherer {
    fn default() -> Self {
        Self(Mutex::new(Reassembler::new(LIMITS)))
    }
}

impl Gatherer {
    /// Take in a fragment.
    ///
    /// Returns:
    /// Its packet, when this was the last that missed.
    pub(crate) fn gather(
        &self,
        fragment: &[u8],
        now: Instant,
        drops: &DropCounters,
    ) -> Result<Option<Vec<u8>>, DropReason> {
        let mut reassembler = crate::lock(&self.0);
        let gathered = reassembler.insert(fragment, now.0);
        let lost = reassembler.take_lost();
        let given_up = lost.evicted.saturating_add(lost.expired);
        drops.add(DropReason::FragmentsIncomplete, given_up);
        gathered.map_err(|refusal| match refusal {
            Refusal::Malformed | Refusal::NotFragment => DropReason::FrameMalformed,
            _ => DropReason::FragmentRefused,
        })
    }
}

/// Packets whose first fragment has passed.
pub(crate) struct Tracker(Mutex<FragmentTracker>);

impl Default for Tracker {
    fn default() -> Self {
        Self(Mutex::new(FragmentTracker::new(TRACKED)))
    }
}

impl Tracker {
    /// Take note of a fragment; `context` is the SPI where it comes out of an SA.
    ///
    /// Returns:
    /// The selector fields of its packet's first fragment, and whether this one was here before; `None`
    /// when the first has not been.
    pub(crate) fn follow(
        &self,
        context: u32,
        fragment: &[u8],
        now: Instant,
    ) -> Result<Option<(FlowKey, bool)>, DropReason> {
        match crate::lock(&self.0).follow(context, fragment, now.0) {
            Ok(found) => Ok(Some((found.first, found.is_again))),
            Err(Refusal::FirstMissing) => Ok(None),
            Err(_) => Err(DropReason::FragmentRefused),
        }
    }
}
