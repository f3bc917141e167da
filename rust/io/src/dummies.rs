//! Dummy packets for SAs that are to send so many packets at least (RFC 4303, section 2.6).

use perilune_engine::{Engine, EngineError, OutboundWorker, SaId, SealedBatch};

use crate::clock;
use crate::outbound_worker::send_batch;
use crate::shared::Shared;

/// What one SA wants.
#[derive(Clone, Copy, Debug)]
pub struct Dummies {
    /// An outbound SA of ESP.
    pub sa: SaId,
    /// How many packets it is to have sent since it was added, real ones included.
    pub least: u64,
    /// Octets of payload of each dummy.
    pub octets: u16,
}

/// Seals dummies beside the workers that read the device.
pub(crate) struct DummyWorker {
    engine: OutboundWorker,
    batch: SealedBatch,
}

impl DummyWorker {
    pub(crate) fn new(engine: &Engine) -> Self {
        Self {
            engine: engine.outbound_worker(),
            batch: SealedBatch::in_turn(SealedBatch::DEFAULT_OCTETS),
        }
    }

    /// Send what is missing of each; see [`Engine::fill_with_dummies`].
    ///
    /// Returns:
    /// How many packets each has sent now; `None` where there is no such SA, or it has no dummies.
    pub(crate) fn send(&mut self, shared: &Shared, wanted: &[Dummies]) -> Vec<Option<u64>> {
        let now = clock::now();
        let mut fill = |one: &Dummies| -> Result<u64, EngineError> {
            let Self { engine, batch } = self;
            let Dummies { sa, least, octets } = *one;
            let sent = shared
                .engine
                .fill_with_dummies(engine, (sa, least), octets, now, batch);
            send_batch(shared, 0, batch);
            sent
        };
        wanted.iter().map(|one| fill(one).ok()).collect()
    }

    /// Let go of what was removed.
    pub(crate) fn refresh(&mut self) {
        self.engine.refresh();
    }
}
