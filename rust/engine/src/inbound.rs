//! From the network to the device: find the SA, check for replay, open, decapsulate, check
//! selectors.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use perilune_wire::esp::EspHeader;

use crate::decapsulate::strip_trailer;
use crate::drop_reason::DropReason;
use crate::engine::{CachedTables, Engine, Progress};
use crate::event::{Event, Limit};
use crate::opened_batch::OpenedBatch;
use crate::path::{Encapsulation, PathInfo};
use crate::sa::{InboundSa, SadEntry};
use crate::time::Instant;
use crate::transform::Sequence;

/// What one thread that opens keeps to itself.
pub struct InboundWorker {
    pub(crate) tables: CachedTables,
}

impl InboundWorker {
    pub(crate) fn new(tables: CachedTables) -> Self {
        Self { tables }
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
    spi: u32,
    sequence: u64,
}

impl Engine {
    /// Open one ESP packet in place and put what was inside into the batch.
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
        let Some(header) = EspHeader::parse(esp) else {
            self.drops.add(DropReason::EspMalformed, 1);
            return Progress::Done;
        };
        let mut incoming = Incoming {
            from,
            now,
            spi: header.spi,
            sequence: u64::from(header.sequence),
        };
        let Some(entry) =
            worker
                .tables
                .load()
                .inbound
                .find(header.spi, from.local.ip(), from.remote.ip())
        else {
            self.refuse_unknown(&incoming);
            return Progress::Done;
        };
        if !out.has_room_for(esp.len()) {
            if !out.is_empty() {
                return Progress::Full;
            }
            self.drop_inbound(&incoming, DropReason::TooLarge, &entry.sa);
        } else if let Err(reason) = self.open_on(entry, esp, header.sequence, &mut incoming, out) {
            self.drop_inbound(&incoming, reason, &entry.sa);
        }
        Progress::Done
    }

    #[inline]
    fn open_on(
        &self,
        entry: &Arc<SadEntry<InboundSa>>,
        esp: &mut [u8],
        low: u32,
        incoming: &mut Incoming<'_>,
        out: &mut OpenedBatch,
    ) -> Result<(), DropReason> {
        let sa = &entry.sa;
        if sa.common.is_ended() || sa.common.lifetime.is_over(incoming.now) {
            self.end_lifetime(&sa.common, Limit::Time);
            return Err(DropReason::LifetimeExpired);
        }
        incoming.sequence = sa.windows.check(incoming.from.remote.ip(), low)?;
        let sequence = Sequence {
            number: incoming.sequence,
            esn: sa.common.esn,
        };
        let plain = sa.common.transform.open(esp, sequence)?;
        //= https://www.rfc-editor.org/rfc/rfc4303#section-3.4.3
        //# The receive window is updated only if the integrity verification succeeds.
        let is_newest = sa
            .windows
            .accept(incoming.from.remote.ip(), incoming.sequence)?;
        self.note_verified(entry, incoming, is_newest);
        let plain = esp.get_mut(plain).ok_or(DropReason::EspMalformed)?;
        let (inner, next_header) = strip_trailer(plain)?;
        self.decapsulate(sa, inner, next_header, incoming, out)
    }

    /// A packet was authentic: SAs may wait for that, and it may show that the peer has moved.
    #[inline]
    fn note_verified(&self, entry: &SadEntry<InboundSa>, incoming: &Incoming<'_>, is_newest: bool) {
        let sa = &entry.sa;
        if !sa.verified.load(Ordering::Relaxed) {
            sa.verified.store(true, Ordering::Release);
            self.change_readiness();
        }
        let from = incoming.from;
        let can_move = entry.encapsulation == Encapsulation::Udp && from.encapsulated;
        if is_newest && can_move && from.remote != entry.path.remote {
            self.note_moved(entry, incoming);
        }
    }

    #[cold]
    fn note_moved(&self, entry: &SadEntry<InboundSa>, incoming: &Incoming<'_>) {
        let PathInfo {
            local, remote: new, ..
        } = *incoming.from;
        let reported = crate::lock(&entry.sa.reported).replace(new);
        if reported != Some(new) {
            let old = entry.path.remote;
            self.events.push(Event::PeerMoved {
                spi: incoming.spi,
                old,
                new,
                local,
            });
        }
    }

    #[cold]
    fn refuse_unknown(&self, incoming: &Incoming<'_>) {
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
    fn drop_inbound(&self, incoming: &Incoming<'_>, reason: DropReason, sa: &InboundSa) {
        self.drops.add(reason, 1);
        if reason != DropReason::DummyPacket {
            sa.common.add_errors(1);
        }
        self.audit_inbound(incoming, reason);
    }

    fn audit_inbound(&self, incoming: &Incoming<'_>, reason: DropReason) {
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
