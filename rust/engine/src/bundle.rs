//! ESP packets that came together, as one receive call with `UDP_GRO` brings them: what all packets of
//! an SA share is looked up once.
//!
//! ```text
//! bundle: | SPI 1 | SPI 1 | SPI 1 | SPI 2 |    each as long as the first, the last may be shorter
//!         |<-------- run -------->|<-run->|
//! run:    check all for replay -> open all -> update the window -> decapsulate one by one
//! ```

use std::sync::Arc;

use perilune_wire::esp::{EspHeader, NEXT_HEADER_IPV4, NEXT_HEADER_IPV6};
use perilune_wire::extension_header::{AH, ESP};
use perilune_wire::flow::FlowKey;

use crate::decapsulate::strip_trailer;
use crate::drop_reason::DropReason;
use crate::engine::{Engine, Progress};
use crate::inbound::{InboundWorker, Incoming};
use crate::mode::Parts;
use crate::opened_batch::OpenedBatch;
use crate::path::{Encapsulation, PathInfo};
use crate::precedence::Precedence;
use crate::sa::{InboundSa, SadEntry};
use crate::sad::InboundSad;
use crate::time::Instant;
use crate::transform::{Sequence, Transform};
use crate::windows::Arrival;

type Entry = Arc<SadEntry<InboundSa>>;

/// ESP packets of one SA, one after the other.
struct Run<'a> {
    octets: &'a mut [u8],
    /// Length of each but the last.
    segment: usize,
}

/// What the packets of a run have done so far.
pub(crate) struct Carried {
    /// The flow of the last that selectors and SPD let pass, if they would let any of it.
    pub(crate) admitted: Option<FlowKey>,
    /// Whether the lifetime is charged for all of them at the end.
    pub(crate) is_far_from_bounds: bool,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
}

impl Engine {
    /// Open ESP packets in place that came from one sender in one piece, each `segment` octets long
    /// and the last perhaps shorter, and put what was inside into the batch.
    ///
    /// Each begins with its SPI. One that is dropped takes no other with it. When the batch is full,
    /// the same call goes on with the first packet that was not looked at.
    pub fn open_bundle(
        &self,
        worker: &mut InboundWorker,
        bundle: &mut [u8],
        segment: usize,
        from: &PathInfo,
        now: Instant,
        out: &mut OpenedBatch,
    ) -> Progress {
        let mut at = std::mem::take(&mut worker.resume_at);
        // Whatever the caller does, a bundle is never begun behind its end.
        if at >= bundle.len() {
            at = 0;
        }
        loop {
            let octets = bundle.get_mut(at..).unwrap_or_default();
            let segment = segment.clamp(1, octets.len().max(1));
            let rest = Run { octets, segment };
            let Some(done) = self.open_first(worker, rest, from, now, out) else {
                worker.resume_at = at;
                return Progress::Full;
            };
            at = at.saturating_add(done);
            if at >= bundle.len() {
                return Progress::Done;
            }
        }
    }

    /// Open as many of the first packets as are of one SA and fit into the batch.
    ///
    /// Returns:
    /// How many octets they are, or `None` when not one fits.
    fn open_first(
        &self,
        worker: &mut InboundWorker,
        rest: Run<'_>,
        from: &PathInfo,
        now: Instant,
        out: &mut OpenedBatch,
    ) -> Option<usize> {
        let Run { octets, segment } = rest;
        let Some(header) = EspHeader::parse(octets) else {
            self.drops.add(DropReason::EspMalformed, 1);
            return Some(segment);
        };
        let tables = worker.tables.load();
        let mut incoming = Incoming {
            from,
            now,
            spi: header.spi,
            sequence: u64::from(header.sequence),
            precedence: Precedence::new(tables, &mut worker.flows),
        };
        let sad = &tables.inbound;
        let Some(entry) = sad.find(header.spi, from.local.ip(), from.remote.ip()) else {
            self.refuse_unknown(&incoming);
            return Some(segment);
        };
        if !entry.sa.common.is_plain_tunnel() {
            let first = octets.get(..segment)?;
            let progress = self.open_without_header(worker, first, from, now, out);
            return (progress == Progress::Done).then_some(segment);
        }
        // What is inside is shorter than the packet by more than the header of a frame is long.
        let fit = out.room().checked_div(segment).unwrap_or(0);
        if fit == 0 && out.is_empty() {
            self.drop_inbound(&incoming, DropReason::TooLarge, &entry.sa);
            return Some(segment);
        }
        let alike = octets.chunks(segment).take(fit);
        let count = alike
            .take_while(|packet| has_spi(packet, header.spi))
            .count();
        let run = octets.len().min(count.saturating_mul(segment));
        let run = Run {
            octets: octets.get_mut(..run).filter(|run| !run.is_empty())?,
            segment,
        };
        let done = run.octets.len();
        self.open_run((sad, entry), run, &mut worker.arrivals, &mut incoming, out);
        Some(done)
    }

    fn open_run(
        &self,
        (sad, entry): (&InboundSad, &Entry),
        Run { octets, segment }: Run<'_>,
        arrivals: &mut Vec<Arrival>,
        incoming: &mut Incoming<'_>,
        out: &mut OpenedBatch,
    ) {
        let (sa, from) = (&entry.sa, incoming.from);
        arrivals.clear();
        arrivals.extend(octets.chunks(segment).map(Arrival::new));
        let usable = self
            .check_lifetime(&sa.common, incoming.now)
            .and_then(|()| sa.common.protection.esp().ok_or(DropReason::UnknownSpi));
        if let Ok(transform) = usable {
            sa.windows.check_all(from.remote.ip(), arrivals);
            let packets = octets.chunks_mut(segment);
            verify(transform, sa.common.esn, packets.zip(arrivals.iter_mut()));
            //= https://www.rfc-editor.org/rfc/rfc4303#section-3.4.3
            //# The receive window is updated only if the integrity verification succeeds.
            sa.windows.accept_all(from.remote.ip(), arrivals);
        }
        let mut carried = Carried {
            admitted: None,
            is_far_from_bounds: sa.common.lifetime.is_far_from_bounds(),
            packets: 0,
            octets: 0,
        };
        let can_move = entry.encapsulation == Encapsulation::Udp && from.encapsulated;
        let is_elsewhere = can_move && from.remote != entry.path().remote;
        for (packet, arrival) in octets.chunks_mut(segment).zip(arrivals) {
            incoming.sequence = arrival.sequence;
            let delivered = usable.and_then(|transform| {
                let is_newest = arrival.fate?;
                self.note_verified(entry, incoming, is_newest && is_elsewhere);
                let plain = transform.layout().encrypted(packet.len());
                let plain = plain.and_then(|plain| packet.get_mut(plain));
                let plain = plain.ok_or(DropReason::EspMalformed)?;
                self.deliver((sad, entry), plain, incoming, &mut carried, out)
            });
            if let Err(reason) = delivered {
                self.drop_inbound(incoming, reason, sa);
            }
        }
        if carried.packets > 0 {
            sa.common.touch(incoming.now);
        }
        if carried.is_far_from_bounds {
            sa.common.lifetime.add(carried.packets, carried.octets);
        }
    }

    /// Put what was inside of an authentic packet into the batch.
    #[inline]
    fn deliver(
        &self,
        (sad, entry): (&InboundSad, &Entry),
        plain: &mut [u8],
        incoming: &mut Incoming<'_>,
        carried: &mut Carried,
        out: &mut OpenedBatch,
    ) -> Result<(), DropReason> {
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
        self.decapsulate((entry, carried), inner, next_header, incoming, out)
    }
}

/// Verify and decrypt in place what the window lets pass.
#[inline]
fn verify<'a>(
    transform: &Transform,
    esn: bool,
    packets: impl Iterator<Item = (&'a mut [u8], &'a mut Arrival)>,
) {
    for (packet, arrival) in packets {
        if arrival.fate.is_ok() {
            let number = arrival.sequence;
            let opened = transform.open(packet, Sequence { number, esn });
            arrival.fate = opened.map(|_| false);
        }
    }
}

#[inline]
fn has_spi(packet: &[u8], spi: u32) -> bool {
    EspHeader::parse(packet).is_some_and(|header| header.spi == spi)
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
