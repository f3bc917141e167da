//! From the network to the device: find the SA, check for replay, open, decapsulate, check
//! selectors.

use std::sync::Arc;

use perilune_wire::esp::{EspHeader, NEXT_HEADER_IPV4, NEXT_HEADER_IPV6};
use perilune_wire::extension_header::{AH, ESP};

use crate::decapsulate::strip_trailer;
use crate::drop_reason::DropReason;
use crate::engine::{CachedTables, Engine, Progress};
use crate::event::{Event, Limit};
use crate::flow_cache::FlowCache;
use crate::mode::Parts;
use crate::opened_batch::OpenedBatch;
use crate::path::{Encapsulation, PathInfo};
use crate::precedence::Precedence;
use crate::sa::{InboundSa, SaCommon, SadEntry};
use crate::sad::InboundSad;
use crate::time::Instant;
use crate::transform::Sequence;

/// What one thread that opens keeps to itself.
pub struct InboundWorker {
    pub(crate) tables: CachedTables,
    flows: FlowCache,
}

impl InboundWorker {
    pub(crate) fn new(tables: CachedTables) -> Self {
        Self {
            tables,
            flows: FlowCache::new(),
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
        let (mut incoming, sad) = Incoming::new(worker, from, now);
        (incoming.spi, incoming.sequence) = (header.spi, u64::from(header.sequence));
        let found = sad.find(header.spi, from.local.ip(), from.remote.ip());
        let Some(entry) = found else {
            self.refuse_unknown(&incoming);
            return Progress::Done;
        };
        if !entry.sa.common.is_plain_tunnel() {
            return self.open_without_header(worker, esp, from, now, out);
        }
        if !out.has_room_for(esp.len()) {
            if !out.is_empty() {
                return Progress::Full;
            }
            self.drop_inbound(&incoming, DropReason::TooLarge, &entry.sa);
        } else if let Err(reason) = self.open_on(sad, entry, esp, &mut incoming, out) {
            self.drop_inbound(&incoming, reason, &entry.sa);
        }
        Progress::Done
    }

    #[inline]
    fn open_on(
        &self,
        sad: &InboundSad,
        entry: &Arc<SadEntry<InboundSa>>,
        esp: &mut [u8],
        incoming: &mut Incoming<'_>,
        out: &mut OpenedBatch,
    ) -> Result<(), DropReason> {
        let sa = &entry.sa;
        self.check_lifetime(&sa.common, incoming.now)?;
        let low = u32::try_from(incoming.sequence).unwrap_or(u32::MAX);
        incoming.sequence = sa.windows.check(incoming.from.remote.ip(), low)?;
        let sequence = Sequence {
            number: incoming.sequence,
            esn: sa.common.esn,
        };
        let transform = sa.common.protection.esp().ok_or(DropReason::UnknownSpi)?;
        let plain = transform.open(esp, sequence)?;
        //= https://www.rfc-editor.org/rfc/rfc4303#section-3.4.3
        //# The receive window is updated only if the integrity verification succeeds.
        let is_newest = sa
            .windows
            .accept(incoming.from.remote.ip(), incoming.sequence)?;
        self.note_verified(entry, incoming, is_newest);
        let plain = esp.get_mut(plain).ok_or(DropReason::EspMalformed)?;
        let (inner, next_header) = strip_trailer(plain)?;
        if carries_ipsec(inner, next_header) {
            let parts = Parts {
                head: Vec::new(),
                protocol_at: 0,
                next_header,
                payload: inner.to_vec(),
            };
            return self.open_inner(sad, entry, parts, incoming, out);
        }
        self.decapsulate(entry, inner, next_header, incoming, out)
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

/// Whether the packet of a tunnel has AH or ESP right behind its IP header.
#[inline]
fn carries_ipsec(inner: &[u8], next_header: u8) -> bool {
    let at = match next_header {
        NEXT_HEADER_IPV4 => 9,
        NEXT_HEADER_IPV6 => 6,
        _ => return false,
    };
    matches!(inner.get(at), Some(&(AH | ESP)))
}

#[cfg(test)]
mod tests;
