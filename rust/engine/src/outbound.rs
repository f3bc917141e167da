//! From the device to the network: classify, pick an SA, segment, encapsulate, seal.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use perilune_wire::esp::{EspHeader, NEXT_HEADER_IPV4, NEXT_HEADER_IPV6, TRAILER_OCTETS};
use perilune_wire::flow::FlowKey;
use perilune_wire::segment::Superpacket;

use crate::change::Action;
use crate::drop_reason::DropReason;
use crate::engine::{CachedTables, Engine, Progress};
use crate::event::{Event, Limit};
use crate::flow_cache::{Epoch, FlowCache, Verdict};
use crate::sad::{OutboundSa, SadEntry};
use crate::sealed_batch::{MAX_RUN_OCTETS, SealedBatch};
use crate::spd::SpdEntry;
use crate::tables::Tables;
use crate::time::Instant;
use crate::transform::Sequence;

/// What one thread that seals keeps to itself.
pub struct OutboundWorker {
    tables: CachedTables,
    flows: FlowCache,
    /// Segment of the current frame to go on with, after the batch was full.
    resume_at: usize,
    /// Held frames that may go, and where to go on in the first of them.
    released: VecDeque<Vec<u8>>,
    released_resume_at: usize,
}

/// One frame on its way.
struct Outgoing<'a> {
    frame: &'a [u8],
    packet: Superpacket<'a>,
    /// First segment that is not sent yet.
    from: usize,
    /// Whether it has been held already; then it asks for no other SA.
    was_held: bool,
    now: Instant,
}

/// `Break` with the segment to go on with when the batch is full.
type Flow = ControlFlow<usize>;

impl OutboundWorker {
    pub(crate) fn new(tables: CachedTables) -> Self {
        Self {
            tables,
            flows: FlowCache::new(),
            resume_at: 0,
            released: VecDeque::new(),
            released_resume_at: 0,
        }
    }

    /// Let go of tables that were replaced, so that keys of removed SAs are wiped even when no
    /// traffic flows. Call it when a wait for packets times out.
    pub fn refresh(&mut self) {
        self.tables.load();
    }
}

impl Engine {
    /// Take a frame from the device (virtio header and packet) to where policy sends it.
    pub fn seal(
        &self,
        worker: &mut OutboundWorker,
        frame: &[u8],
        now: Instant,
        out: &mut SealedBatch,
    ) -> Progress {
        let from = std::mem::take(&mut worker.resume_at);
        match self.seal_from(worker, frame, from, false, now, out) {
            ControlFlow::Continue(()) => Progress::Done,
            ControlFlow::Break(next) => {
                worker.resume_at = next;
                Progress::Full
            }
        }
    }

    /// Whether held packets have found an SA and [`Self::release_held`] is to be called.
    pub fn has_released(&self) -> bool {
        self.hold.has_released()
    }

    /// Seal the packets that were held and have an SA now.
    pub fn release_held(
        &self,
        worker: &mut OutboundWorker,
        now: Instant,
        out: &mut SealedBatch,
    ) -> Progress {
        worker.released.append(&mut self.hold.take_released());
        while let Some(frame) = worker.released.pop_front() {
            let from = std::mem::take(&mut worker.released_resume_at);
            if let ControlFlow::Break(next) = self.seal_from(worker, &frame, from, true, now, out) {
                worker.released.push_front(frame);
                worker.released_resume_at = next;
                return Progress::Full;
            }
        }
        Progress::Done
    }

    fn seal_from(
        &self,
        worker: &mut OutboundWorker,
        frame: &[u8],
        from: usize,
        was_held: bool,
        now: Instant,
        out: &mut SealedBatch,
    ) -> Flow {
        let Some(packet) = Superpacket::parse(frame) else {
            self.drops.add(DropReason::FrameMalformed, 1);
            return Flow::Continue(());
        };
        let outgoing = Outgoing {
            frame,
            packet,
            from,
            was_held,
            now,
        };
        // An SA that another thread ends while we look is not in the tables of a second look.
        for is_known in [true, false] {
            if let Some(flow) = self.route(worker, &outgoing, is_known, out) {
                return flow;
            }
        }
        self.drop_rest(&outgoing, from, DropReason::LifetimeExpired, None)
    }

    /// Send a frame where policy says.
    ///
    /// `is_known` lets the flow cache answer.
    ///
    /// Returns:
    /// `None` when the SA has ended in the meantime and another look is needed.
    #[inline]
    fn route(
        &self,
        worker: &mut OutboundWorker,
        outgoing: &Outgoing<'_>,
        is_known: bool,
        out: &mut SealedBatch,
    ) -> Option<Flow> {
        let readiness = self.readiness();
        let tables = worker.tables.load();
        let epoch = Epoch {
            generation: tables.generation,
            readiness,
        };
        let flow = &outgoing.packet.ip().flow;
        let find = || classify(tables, flow);
        let verdict = if is_known {
            worker.flows.get(flow, epoch, find)
        } else {
            find()
        };
        let Some(policy) = verdict.policy.and_then(|place| tables.spd.entry(place)) else {
            return Some(self.drop_rest(outgoing, outgoing.from, DropReason::NoPolicy, None));
        };
        match (
            policy.config.action,
            verdict.sa.and_then(|place| policy.sas.get(place)),
        ) {
            (Action::Bypass, _) => Some(bypass(policy, outgoing, out)),
            (Action::Discard, _) => {
                Some(self.drop_rest(outgoing, outgoing.from, DropReason::PolicyDiscard, None))
            }
            (Action::Protect, Some(entry)) => {
                let is_usable = self.is_usable(&entry.sa, outgoing.now);
                is_usable.then(|| self.protect(policy, entry, outgoing, out))
            }
            (Action::Protect, None) => Some(self.wait_for_sa(policy, outgoing, tables.generation)),
        }
    }

    #[inline]
    fn is_usable(&self, sa: &OutboundSa, now: Instant) -> bool {
        if sa.common.lifetime.is_over(now) {
            self.end_lifetime(&sa.common, Limit::Time);
        }
        !sa.common.is_ended()
    }

    /// Keep or drop a packet that has no SA, and ask for one.
    fn wait_for_sa(&self, policy: &SpdEntry, outgoing: &Outgoing<'_>, generation: u64) -> Flow {
        let id = policy.config.id;
        if self.hold.ask(id, outgoing.now) && !outgoing.was_held {
            self.events.push(Event::Acquire {
                policy: id,
                flow: outgoing.packet.ip().flow,
            });
        }
        if !policy.config.hold || outgoing.from > 0 {
            return self.drop_rest(outgoing, outgoing.from, DropReason::NoSa, None);
        }
        let overflow = self.hold.keep(id, outgoing.frame);
        self.drops.add(DropReason::HoldOverflow, overflow);
        // An SA that came between the look and the hold has released its packets already.
        if self.generation() != generation {
            self.hold.release(id);
        }
        Flow::Continue(())
    }

    /// Send what fits into the batch through the SA.
    fn protect(
        &self,
        policy: &SpdEntry,
        entry: &SadEntry<OutboundSa>,
        outgoing: &Outgoing<'_>,
        out: &mut SealedBatch,
    ) -> Flow {
        let (sa, packet, from) = (&entry.sa, &outgoing.packet, outgoing.from);
        let left = packet.count().saturating_sub(from);
        let largest = sa.common.transform.layout().packet(packet.octets(from));
        if largest > MAX_RUN_OCTETS {
            return self.drop_rest(outgoing, from, DropReason::TooLarge, Some(sa));
        }
        let fit = left.min(out.free().checked_div(largest).unwrap_or(0));
        if fit == 0 {
            return Flow::Break(from);
        }
        let (first, granted) = sa.sequence.take(long(fit));
        let granted_until = from.saturating_add(usize::try_from(granted).unwrap_or(fit));
        let sent_until = self.seal_range(entry, outgoing, granted_until, first, out);
        sa.common.touch(outgoing.now);
        let octets: usize = (from..sent_until).map(|index| packet.octets(index)).sum();
        policy
            .counters
            .add(long(sent_until.saturating_sub(from)), long(octets));
        if sa.sequence.is_exhausted() {
            self.end_sequence(&sa.common);
        }
        if sent_until < granted_until {
            return self.drop_rest(outgoing, sent_until, DropReason::LifetimeExpired, Some(sa));
        }
        if granted < long(fit) {
            return self.drop_rest(
                outgoing,
                sent_until,
                DropReason::SequenceExhausted,
                Some(sa),
            );
        }
        if fit < left {
            Flow::Break(sent_until)
        } else {
            Flow::Continue(())
        }
    }

    /// Seal segments up to `until`, as many as the lifetime allows.
    ///
    /// Returns:
    /// The first that was not.
    fn seal_range(
        &self,
        entry: &SadEntry<OutboundSa>,
        outgoing: &Outgoing<'_>,
        until: usize,
        first: u64,
        out: &mut SealedBatch,
    ) -> usize {
        let (sa, packet) = (&entry.sa, &outgoing.packet);
        let count = until.saturating_sub(outgoing.from);
        let octets: usize = (outgoing.from..until)
            .map(|index| packet.octets(index))
            .sum();
        let is_free = sa.common.lifetime.charge_many(long(count), long(octets));
        for (number, index) in (first..).zip(outgoing.from..until) {
            if !is_free && !self.charge(&sa.common, long(packet.octets(index))) {
                return index;
            }
            let sealed = seal_segment(sa, packet, index, number, out);
            match sealed {
                Some(octets) => {
                    let class = packet.ip().traffic_class;
                    out.commit_esp(octets, &entry.path, entry.encapsulation, class);
                }
                None => self.drops.add(DropReason::TooLarge, 1),
            }
        }
        until
    }

    /// Drop what is left of a frame from one segment on.
    #[cold]
    fn drop_rest(
        &self,
        outgoing: &Outgoing<'_>,
        from: usize,
        reason: DropReason,
        sa: Option<&OutboundSa>,
    ) -> Flow {
        let count = long(outgoing.packet.count().saturating_sub(from));
        self.drops.add(reason, count);
        if let Some(sa) = sa {
            sa.common.add_errors(count);
        }
        if self.audits.allows(reason, outgoing.now) {
            let ip = outgoing.packet.ip();
            self.events.push(Event::Audit {
                reason,
                spi: sa.map_or(0, |sa| sa.common.spi),
                source: ip.flow.source(),
                destination: ip.flow.destination(),
                sequence: sa.map_or(0, |sa| sa.sequence.used()),
                flow_label: ip.flow_label,
                time: outgoing.now,
            });
        }
        Flow::Continue(())
    }
}

/// Send a frame in the clear, cut but not sealed.
fn bypass(policy: &SpdEntry, outgoing: &Outgoing<'_>, out: &mut SealedBatch) -> Flow {
    let packet = &outgoing.packet;
    for index in outgoing.from..packet.count() {
        let octets = packet.octets(index);
        let Some(place) = out.space(octets) else {
            return Flow::Break(index);
        };
        packet.write(index, place);
        out.commit_bypass(octets);
        policy.counters.add(1, long(octets));
    }
    Flow::Continue(())
}

fn classify(tables: &Tables, flow: &FlowKey) -> Verdict {
    let policy = tables.spd.lookup(flow);
    let sa = policy.and_then(|place| tables.spd.entry(place)?.pick(flow));
    Verdict { policy, sa }
}

/// Write one segment as an ESP packet into the free space.
///
/// Returns:
/// Its length, or `None` when it was not possible, which lengths checked before rule out.
#[inline]
fn seal_segment(
    sa: &OutboundSa,
    packet: &Superpacket<'_>,
    index: usize,
    number: u64,
    out: &mut SealedBatch,
) -> Option<usize> {
    let layout = sa.common.transform.layout();
    let inner = packet.octets(index);
    let octets = layout.packet(inner);
    let place = out.space(octets)?;
    let low = u32::try_from(number & 0xffff_ffff).ok()?;
    let header = EspHeader {
        spi: sa.common.spi,
        sequence: low,
    }
    .to_octets();
    place.get_mut(..header.len())?.copy_from_slice(&header);
    let payload_end = layout.payload().checked_add(inner)?;
    packet.write(index, place.get_mut(layout.payload()..payload_end)?);
    let trailer_end = layout.payload().checked_add(layout.padded(inner))?;
    let is_v6 = packet.ip().flow.is_ipv6();
    write_trailer(place.get_mut(payload_end..trailer_end)?, is_v6)?;
    sa.common.transform.seal(
        place,
        Sequence {
            number,
            esn: sa.common.esn,
        },
    )?;
    Some(octets)
}

/// Padding 1, 2, 3, ..., its length, and what is inside (RFC 4303, sections 2.4 to 2.6).
#[inline]
fn write_trailer(place: &mut [u8], is_ipv6: bool) -> Option<()> {
    let (padding, trailer) = place.split_last_chunk_mut::<TRAILER_OCTETS>()?;
    for (octet, value) in padding.iter_mut().zip(1..) {
        *octet = value;
    }
    let next_header = if is_ipv6 {
        NEXT_HEADER_IPV6
    } else {
        NEXT_HEADER_IPV4
    };
    *trailer = [u8::try_from(padding.len()).ok()?, next_header];
    Some(())
}

#[inline]
fn long(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Change, Direction, Lifetimes, PolicyConfig, PolicyId, SaConfig};
    use crate::path::{Encapsulation, Path};
    use crate::selector::{Ports, SelectorPair, TrafficSelector};
    use crate::suite::{Keys, Suite};

    const NOW: Instant = Instant(7);
    const POLICY: PolicyId = PolicyId(1);

    fn everything() -> SelectorPair {
        let all = "0.0.0.0".parse().unwrap()..="255.255.255.255".parse().unwrap();
        let all = vec![TrafficSelector::new(all, 0, Ports::Any).unwrap()];
        SelectorPair {
            local: all.clone(),
            remote: all,
        }
    }

    fn add_sa(engine: &Engine) {
        let address = "192.0.2.1:4500".parse().unwrap();
        let sa = SaConfig {
            spi: 0x1000,
            direction: Direction::Outbound,
            policy: POLICY,
            peer_spi: 0x2000,
            path: Path {
                local: address,
                remote: address,
            },
            encapsulation: Encapsulation::Udp,
            suite: Suite::ChaCha20Poly1305,
            keys: Keys::new(vec![1; 36], vec![]),
            esn: false,
            replay_window: 0,
            selectors: everything(),
            lifetimes: Lifetimes::default(),
            ready_after: None,
        };
        engine.apply(&[Change::AddSa(Box::new(sa))], NOW).unwrap();
    }

    fn engine() -> Engine {
        let engine = Engine::new();
        let (action, selectors) = (Action::Protect, everything());
        let policy = PolicyConfig {
            id: POLICY,
            priority: 0,
            action,
            selectors,
            hold: true,
        };
        engine.apply(&[Change::AddPolicy(policy)], NOW).unwrap();
        engine
    }

    fn frame() -> Vec<u8> {
        let packet = [
            0x45, 0, 0, 20, 0, 0, 0, 0, 64, 47, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        ];
        [[0; 10].as_slice(), &packet].concat()
    }

    //= https://www.rfc-editor.org/rfc/rfc4303#section-3.3.3
    //= type=test
    //# the sender MUST NOT send a packet on an SA if doing so would cause the sequence number
    //# to cycle.
    #[test]
    fn the_last_sequence_number_ends_the_sa() {
        let engine = engine();
        add_sa(&engine);
        let mut worker = engine.outbound_worker();
        let mut out = SealedBatch::with_capacity(0);
        let tables = worker.tables.load();
        tables.spd.entry(0).unwrap().sas[0]
            .sa
            .sequence
            .skip_to(u64::from(u32::MAX) - 1);
        assert_eq!(
            engine.seal(&mut worker, &frame(), NOW, &mut out),
            Progress::Done
        );
        assert_eq!(out.runs().len(), 1);
        let exhausted = Event::SequenceExhausted {
            spi: 0x1000,
            peer_spi: 0x2000,
            policy: POLICY,
        };
        assert_eq!(engine.take_events(9), [exhausted]);
        out.clear();
        assert_eq!(
            engine.seal(&mut worker, &frame(), NOW, &mut out),
            Progress::Done
        );
        assert!(out.is_empty());
        assert!(matches!(
            engine.take_events(9)[..],
            [Event::Acquire { policy: POLICY, .. }]
        ));
    }

    #[test]
    fn an_sa_that_comes_while_a_packet_is_put_on_hold_frees_it() {
        let engine = engine();
        let frame = frame();
        let packet = Superpacket::parse(&frame).unwrap();
        let outgoing = Outgoing {
            frame: &frame,
            packet,
            from: 0,
            was_held: false,
            now: NOW,
        };
        let mut worker = engine.outbound_worker();
        let before = Tables::clone(worker.tables.load());
        add_sa(&engine);
        let policy = before.spd.entry(0).unwrap();
        assert_eq!(
            engine.wait_for_sa(policy, &outgoing, before.generation),
            Flow::Continue(())
        );
        assert!(engine.has_released());
        let mut out = SealedBatch::with_capacity(0);
        assert_eq!(
            engine.release_held(&mut worker, NOW, &mut out),
            Progress::Done
        );
        assert_eq!(out.runs().len(), 1);
    }
}
