//! From the network to the device: what each packet goes through, whether it comes alone, in a bundle or
//! with its IP header.

use crate::drop_reason::DropReason;
use crate::engine::{CachedTables, Engine, Progress};
use crate::event::{Event, Limit};
use crate::flow_cache::FlowCache;
use crate::opened_batch::OpenedBatch;
use crate::path::{Encapsulation, PathInfo};
use crate::precedence::Precedence;
use crate::sa::{InboundSa, SaCommon, SadEntry};
use crate::sad::InboundSad;
use crate::sealed_batch::MAX_RUN_SEGMENTS;
use crate::time::Instant;
use crate::windows::Arrival;

/// What one thread that opens keeps to itself.
pub struct InboundWorker {
    pub(crate) tables: CachedTables,
    pub(crate) flows: FlowCache,
    /// Packets of the bundle under way.
    pub(crate) arrivals: Vec<Arrival>,
    /// Where to go on in a bundle, in octets, after the batch was full.
    pub(crate) resume_at: usize,
}

impl InboundWorker {
    pub(crate) fn new(tables: CachedTables) -> Self {
        Self {
            tables,
            flows: FlowCache::new(),
            arrivals: Vec::with_capacity(MAX_RUN_SEGMENTS),
            resume_at: 0,
        }
    }

    /// Let go of tables that were replaced; see
    /// [`OutboundWorker::refresh`](crate::OutboundWorker::refresh).
    pub fn refresh(&mut self) {
        self.tables.load();
    }
}

/// One packet on its way, with what an audit record wants to know.
pub(crate) struct Incoming<'a> {
    pub(crate) from: &'a PathInfo,
    pub(crate) now: Instant,
    pub(crate) spi: u32,
    pub(crate) sequence: u64,
    pub(crate) precedence: Precedence<'a>,
}

impl<'a> Incoming<'a> {
    /// A packet of which nothing is known yet, and the SAs that it may be for.
    pub(crate) fn new(
        worker: &'a mut InboundWorker,
        from: &'a PathInfo,
        now: Instant,
    ) -> (Self, &'a InboundSad) {
        let tables = worker.tables.load();
        let incoming = Self {
            from,
            now,
            spi: 0,
            sequence: 0,
            precedence: Precedence::new(tables, &mut worker.flows),
        };
        (incoming, &tables.inbound)
    }
}

impl Engine {
    /// [`Self::open_bundle`] of one ESP packet.
    ///
    /// `esp` begins with the SPI; a UDP header or a non-ESP marker is gone.
    pub fn open(
        &self,
        worker: &mut InboundWorker,
        esp: &mut [u8],
        from: &PathInfo,
        now: Instant,
        out: &mut OpenedBatch,
    ) -> Progress {
        let segment = esp.len();
        self.open_bundle(worker, esp, segment, from, now, out)
    }

    /// Whether an SA may still be used.
    #[inline]
    pub(crate) fn check_lifetime(&self, sa: &SaCommon, now: Instant) -> Result<(), DropReason> {
        if sa.is_ended() || sa.lifetime.is_over(now) {
            self.end_lifetime(sa, Limit::Time);
            return Err(DropReason::LifetimeExpired);
        }
        Ok(())
    }

    /// A packet was authentic: SAs may wait for that, and it may show that the peer has moved.
    #[inline]
    pub(crate) fn note_verified(
        &self,
        entry: &SadEntry<InboundSa>,
        incoming: &Incoming<'_>,
        is_newest: bool,
    ) {
        if entry.sa.shown.note_verified() {
            self.change_readiness();
        }
        let from = incoming.from;
        let can_move = entry.encapsulation == Encapsulation::Udp && from.encapsulated;
        if is_newest && can_move && from.remote != entry.path().remote {
            self.note_moved(entry, incoming);
        }
    }

    #[cold]
    fn note_moved(&self, entry: &SadEntry<InboundSa>, incoming: &Incoming<'_>) {
        let PathInfo {
            local, remote: new, ..
        } = *incoming.from;
        if entry.sa.shown.report(new) {
            let old = entry.path().remote;
            self.events.push(Event::PeerMoved {
                spi: incoming.spi,
                old,
                new,
                local,
            });
        }
    }

    #[cold]
    pub(crate) fn refuse_unknown(&self, incoming: &Incoming<'_>) {
        self.drops.add(DropReason::UnknownSpi, 1);
        if self.unknown_spis.allows(incoming.now) {
            let PathInfo {
                remote: from,
                encapsulated,
                ..
            } = *incoming.from;
            self.events.push(Event::UnknownSpi {
                spi: incoming.spi,
                from,
                encapsulated,
            });
        }
        self.audit_inbound(incoming, DropReason::UnknownSpi);
    }

    #[cold]
    pub(crate) fn drop_inbound(&self, incoming: &Incoming<'_>, reason: DropReason, sa: &InboundSa) {
        self.drops.add(reason, 1);
        if reason != DropReason::DummyPacket {
            sa.common.add_errors(1);
        }
        self.audit_inbound(incoming, reason);
    }

    pub(crate) fn audit_inbound(&self, incoming: &Incoming<'_>, reason: DropReason) {
        if self.audits.allows(reason, incoming.now) {
            self.events.push(Event::Audit {
                reason,
                spi: incoming.spi,
                source: incoming.from.remote.ip(),
                destination: incoming.from.local.ip(),
                sequence: incoming.sequence,
                flow_label: incoming.from.flow_label,
                time: incoming.now,
            });
        }
    }
}

#[cfg(test)]
mod tests;
