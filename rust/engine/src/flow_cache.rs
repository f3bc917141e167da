//! What the SPD said about recent flows, so that it is asked once for each and not for each packet.

use perilune_wire::flow::FlowKey;

const ENTRIES: usize = 4096;

/// When an answer was found; one that is not of now is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// [`crate::tables::Tables::generation`].
    pub(crate) generation: u64,
    /// How often an SA has become ready or has ended.
    pub(crate) readiness: u64,
}

/// The SPD entry of a flow and its SA, by their places in the tables of that generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Place in the SPD; `None` when no entry matches.
    pub(crate) policy: Option<u32>,
    /// Place among the SAs of the entry; `None` when none fits.
    pub(crate) sa: Option<u32>,
}

/// A table of flows in which each has one place, and the latest stays. One for each worker.
pub(crate) struct FlowCache {
    places: Box<[Option<(FlowKey, Epoch, Verdict)>]>,
}

impl FlowCache {
    pub(crate) fn new() -> Self {
        Self {
            places: vec![None; ENTRIES].into_boxed_slice(),
        }
    }

    /// The answer for a flow, asked of `find` when it is not known or not of this epoch.
    #[inline]
    pub(crate) fn get(
        &mut self,
        flow: &FlowKey,
        epoch: Epoch,
        find: impl FnOnce() -> Verdict,
    ) -> Verdict {
        let mask = self.places.len().wrapping_sub(1);
        let place = usize::try_from(flow.hash()).unwrap_or(0) & mask;
        let Some(place) = self.places.get_mut(place) else {
            return find();
        };
        match place {
            Some((key, of, verdict)) if key == flow && *of == epoch => *verdict,
            _ => place.insert((*flow, epoch, find())).2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_lasts_for_its_epoch() {
        let address = "10.0.0.1".parse().unwrap();
        let flow = FlowKey::new(address, address, 6, Some((1, 2))).unwrap();
        let epoch = |generation, readiness| Epoch {
            generation,
            readiness,
        };
        let verdict = |place| Verdict {
            policy: Some(place),
            sa: None,
        };
        let mut cache = FlowCache::new();
        assert_eq!(cache.get(&flow, epoch(1, 0), || verdict(1)), verdict(1));
        assert_eq!(cache.get(&flow, epoch(1, 0), || verdict(2)), verdict(1));
        assert_eq!(cache.get(&flow, epoch(2, 0), || verdict(3)), verdict(3));
        assert_eq!(cache.get(&flow, epoch(2, 1), || verdict(4)), verdict(4));
        let other = FlowKey::new(address, address, 6, Some((1, 3))).unwrap();
        assert_eq!(cache.get(&other, epoch(2, 1), || verdict(5)), verdict(5));
    }
}
