//! Dummy packets: for an eavesdropper like any other, for the receiver nothing (RFC 4303, section
//! 2.6).

use perilune_wire::esp::NEXT_HEADER_DUMMY;

use crate::change::SaId;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::mode::Parts;
use crate::outbound::{OutboundWorker, outermost};
use crate::outer_header::OuterHeader;
use crate::processing::Protocol;
use crate::sealed_batch::SealedBatch;
use crate::time::Instant;

/// Most dummies of one SA in one call of [`Engine::fill_with_dummies`].
const MOST_AT_ONCE: u64 = 64;

impl Engine {
    /// Send dummy packets, of so many octets of payload, on an outbound SA of ESP until it has sent
    /// `least` packets since it was added, real ones included; 64 at most.
    ///
    /// An SA that may not be used yet gets none.
    ///
    /// Returns:
    /// How many packets it has sent now.
    ///
    /// # Errors
    /// As [`Self::send_dummy`].
    pub fn fill_with_dummies(
        &self,
        worker: &mut OutboundWorker,
        (id, least): (SaId, u64),
        octets: u16,
        now: Instant,
        out: &mut SealedBatch,
    ) -> Result<u64, EngineError> {
        let sent = |worker: &mut OutboundWorker| {
            let entry = worker.tables.load().outbound.get(&(id.spi, id.remote));
            let sa = &entry.ok_or(EngineError::UnknownSa(id))?.sa;
            Ok((sa.common.lifetime.packets(), sa.is_ready()))
        };
        let (before, is_ready) = sent(worker)?;
        let missing = least.saturating_sub(before).min(MOST_AT_ONCE);
        for _ in 0..if is_ready { missing } else { 0 } {
            if !self.send_dummy(worker, id, octets, now, out)? {
                break;
            }
        }
        sent(worker).map(|(packets, _)| packets)
    }

    /// Send a dummy packet with so many octets of payload on an outbound SA of ESP.
    ///
    /// Returns:
    /// Whether it is in the batch; it is not when the batch is full or the SA has ended.
    ///
    /// # Errors
    /// [`EngineError::UnknownSa`], or [`EngineError::Form`] for AH, which hides nothing.
    pub fn send_dummy(
        &self,
        worker: &mut OutboundWorker,
        id: SaId,
        octets: u16,
        now: Instant,
        out: &mut SealedBatch,
    ) -> Result<bool, EngineError> {
        let tables = worker.tables.load();
        let entry = tables.outbound.get(&(id.spi, id.remote));
        let entry = entry.ok_or(EngineError::UnknownSa(id))?;
        if entry.sa.common.protection.protocol() == Protocol::Ah {
            return Err(EngineError::Form("AH has no dummy packets"));
        }
        if !out.has_turn(outermost(tables, &entry.sa)) {
            return Ok(false);
        }
        let header = OuterHeader {
            source: entry.path().local.ip(),
            destination: entry.path().remote.ip(),
            traffic_class: 0,
            hop_limit: entry.sa.common.processing.hop_limit,
            flow_label: entry.sa.common.processing.flow_label,
            dont_fragment: false,
            identification: self.next_identification().max(1),
        };
        let (head, protocol_at) = header
            .to_octets(0)
            .ok_or(EngineError::Form("the outer addresses are of two families"))?;
        let parts = Parts {
            head,
            protocol_at,
            next_header: NEXT_HEADER_DUMMY,
            payload: vec![0; usize::from(octets)],
        };
        let Ok(sealed) = self.seal_parts(entry, parts, u64::from(octets), now) else {
            return Ok(false);
        };
        let whole = self.wrap_in_others(tables, entry, sealed, now);
        Ok(whole.is_ok_and(|packet| out.commit_whole(&packet).is_some()))
    }
}
