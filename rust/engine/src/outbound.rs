//! From the device to the network: classify, pick an SA, segment, encapsulate, seal.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use perilune_wire::flow::FlowKey;
use perilune_wire::icmp;
use perilune_wire::segment::Superpacket;
use perilune_wire::virtio_net_hdr::VirtioNetHdr;

use crate::change::{Action, Direction};
use crate::drop_reason::DropReason;
use crate::engine::{CachedTables, Engine, Progress};
use crate::event::{Event, Limit};
use crate::flow_cache::{Epoch, FlowCache, Verdict};
use crate::hold::{Held, Wanted};
use crate::icmp_errors::leaves_errors_open;
use crate::sa::{OutboundSa, SadEntry};
use crate::sealed_batch::SealedBatch;
use crate::spd::SpdEntry;
use crate::tables::Tables;
use crate::time::Instant;
use crate::whole_packet::MAX_NESTING;

/// What one thread that seals keeps to itself.
pub struct OutboundWorker {
    pub(crate) tables: CachedTables,
    flows: FlowCache,
    /// Segment of the current frame to go on with, after the batch was full.
    resume_at: usize,
    /// Held frames that may go, and where to go on in the first of them.
    released: VecDeque<Held>,
    released_resume_at: usize,
}

/// A frame as it comes in.
#[derive(Clone, Copy)]
struct Entry<'a> {
    frame: &'a [u8],
    user: Option<u32>,
    /// Segment to begin with.
    from: usize,
    was_held: bool,
}

/// One frame on its way.
pub(crate) struct Outgoing<'a> {
    frame: &'a [u8],
    pub(crate) packet: Superpacket<'a>,
    /// First segment that is not sent yet.
    pub(crate) from: usize,
    /// Whether it has been held already; then it asks for no other SA.
    was_held: bool,
    pub(crate) now: Instant,
}

/// `Break` with the segment to go on with when the batch is full.
pub(crate) type Flow = ControlFlow<usize>;

impl Outgoing<'_> {
    /// The same with a packet that was made of it.
    pub(crate) fn with_packet<'b>(&self, packet: &'b [u8]) -> Option<Outgoing<'b>> {
        Some(Outgoing {
            frame: packet,
            packet: Superpacket::of_parts(VirtioNetHdr::PLAIN, packet)?,
            from: 0,
            was_held: self.was_held,
            now: self.now,
        })
    }
}

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

    /// Let go of tables that were replaced, so that [`Engine::take_events`] can wipe the keys of
    /// removed SAs even when no traffic flows. Call it when a wait for packets times out.
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
        self.seal_of(None, worker, frame, now, out)
    }

    /// The same with a frame of which is known from which local user it comes.
    pub fn seal_of(
        &self,
        user: Option<u32>,
        worker: &mut OutboundWorker,
        frame: &[u8],
        now: Instant,
        out: &mut SealedBatch,
    ) -> Progress {
        let from = std::mem::take(&mut worker.resume_at);
        let entry = Entry {
            frame,
            user,
            from,
            was_held: false,
        };
        match self.seal_from(worker, entry, now, out) {
            ControlFlow::Continue(()) => Progress::Done,
            ControlFlow::Break(next) => {
                worker.resume_at = next;
                Progress::Full
            }
        }
    }

    /// Whether held packets have found an SA, or this worker has some left of those that had, and
    /// [`Self::release_held`] is to be called.
    pub fn has_released(&self, worker: &OutboundWorker) -> bool {
        !worker.released.is_empty() || self.hold.has_released()
    }

    /// Seal the packets that were held and have an SA now.
    pub fn release_held(
        &self,
        worker: &mut OutboundWorker,
        now: Instant,
        out: &mut SealedBatch,
    ) -> Progress {
        worker.released.append(&mut self.hold.take_released());
        while let Some(held) = worker.released.pop_front() {
            let entry = Entry {
                frame: &held.frame,
                user: held.user,
                from: std::mem::take(&mut worker.released_resume_at),
                was_held: true,
            };
            if let ControlFlow::Break(next) = self.seal_from(worker, entry, now, out) {
                worker.released.push_front(held);
                worker.released_resume_at = next;
                return Progress::Full;
            }
        }
        Progress::Done
    }

    fn seal_from(
        &self,
        worker: &mut OutboundWorker,
        entry: Entry<'_>,
        now: Instant,
        out: &mut SealedBatch,
    ) -> Flow {
        let Some(packet) = Superpacket::parse(entry.frame) else {
            self.drops.add(DropReason::FrameMalformed, 1);
            return Flow::Continue(());
        };
        // Whatever the caller does, a frame is never begun behind its end.
        let from = if entry.from < packet.count() {
            entry.from
        } else {
            0
        };
        let outgoing = Outgoing {
            frame: entry.frame,
            packet: packet.with_user(entry.user),
            from,
            was_held: entry.was_held,
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
        let ip = outgoing.packet.ip();
        if ip.is_fragment && tables.spd.ports_matter(Direction::Outbound, &ip.flow) {
            return self.route_fragment(tables, outgoing, out);
        }
        let epoch = Epoch {
            generation: tables.generation,
            readiness,
        };
        let flow = &ip.flow;
        let find = || classify(tables, flow);
        let verdict = if is_known {
            worker.flows.get(flow, epoch, find)
        } else {
            find()
        };
        let selected = verdict.policy.and_then(|place| tables.spd.entry(place));
        if icmp::is_error(flow) && selected.is_none_or(|policy| leaves_errors_open(policy, flow)) {
            return self.route_error(tables, selected, outgoing, out);
        }
        let Some(policy) = selected else {
            return Some(self.drop_rest(outgoing, outgoing.from, DropReason::NoPolicy, None));
        };
        match (
            policy.action,
            verdict.sa.and_then(|place| policy.sas.get(place)),
        ) {
            (Action::Bypass, _) => Some(bypass(policy, outgoing, out)),
            (Action::Discard, _) => Some(self.discard(policy, outgoing, DropReason::PolicyDiscard)),
            (Action::Protect, Some(entry)) => self.send_on(tables, policy, entry, outgoing, out),
            (Action::Protect, None) => {
                Some(self.wait_for_sa(policy, *flow, outgoing, tables.generation))
            }
        }
    }

    /// Send a frame on an SA, when that has its turn; `None` when it has ended.
    #[inline]
    pub(crate) fn send_on(
        &self,
        tables: &Tables,
        policy: &SpdEntry,
        entry: &SadEntry<OutboundSa>,
        outgoing: &Outgoing<'_>,
        out: &mut SealedBatch,
    ) -> Option<Flow> {
        self.is_usable(&entry.sa, outgoing.now).then(|| {
            if !out.has_turn(outermost(tables, &entry.sa)) {
                return Flow::Break(outgoing.from);
            }
            if entry.sa.common.is_plain_tunnel() && fits_path(entry, outgoing) {
                self.protect(policy, entry, outgoing, out)
            } else {
                self.protect_whole(tables, policy, entry, outgoing, out)
            }
        })
    }

    #[inline]
    pub(crate) fn is_usable(&self, sa: &OutboundSa, now: Instant) -> bool {
        if sa.common.lifetime.is_over(now) {
            self.end_lifetime(&sa.common, Limit::Time);
        }
        !sa.common.is_ended()
    }

    /// Drop a frame because its entry says so, which is something that the entry has done.
    #[cold]
    pub(crate) fn discard(
        &self,
        policy: &SpdEntry,
        outgoing: &Outgoing<'_>,
        reason: DropReason,
    ) -> Flow {
        let (packet, from) = (&outgoing.packet, outgoing.from);
        let octets = packet.octets_of(from..packet.count());
        let packets = packet.count().saturating_sub(from);
        policy.counters.add(long(packets), long(octets));
        self.drop_rest(outgoing, from, reason, None)
    }

    /// Keep or drop a packet that has no SA, and ask for one.
    pub(crate) fn wait_for_sa(
        &self,
        policy: &SpdEntry,
        flow: FlowKey,
        outgoing: &Outgoing<'_>,
        generation: u64,
    ) -> Flow {
        let wanted = Wanted {
            policy: policy.config.id,
            share: policy.config.populate.share(&flow),
            flow,
        };
        if !policy.config.hold {
            return self.drop_rest(outgoing, outgoing.from, DropReason::NoSa, None);
        }
        if self.hold.ask(&wanted, outgoing.now) && !outgoing.was_held {
            self.events.push(Event::Acquire {
                policy: wanted.policy,
                flow,
            });
        }
        if outgoing.from > 0 {
            return self.drop_rest(outgoing, outgoing.from, DropReason::NoSa, None);
        }
        let overflow = self.hold.keep(&wanted, outgoing.frame);
        self.drops.add(DropReason::HoldOverflow, overflow);
        // An SA that came between the look and the hold has released its packets already.
        if self.generation() != generation {
            self.hold.release(wanted.policy, |_| true);
        }
        Flow::Continue(())
    }

    /// Drop what is left of a frame from one segment on.
    #[cold]
    pub(crate) fn drop_rest(
        &self,
        outgoing: &Outgoing<'_>,
        from: usize,
        reason: DropReason,
        sa: Option<&OutboundSa>,
    ) -> Flow {
        let count = long(outgoing.packet.count().saturating_sub(from));
        self.drop_some(outgoing, count, reason, sa);
        Flow::Continue(())
    }

    /// Drop so many segments of a frame.
    #[cold]
    pub(crate) fn drop_some(
        &self,
        outgoing: &Outgoing<'_>,
        count: u64,
        reason: DropReason,
        sa: Option<&OutboundSa>,
    ) {
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
    }
}

/// Whether the largest segment of a frame fits what is known of the path of a plain tunnel.
#[inline]
fn fits_path(entry: &SadEntry<OutboundSa>, outgoing: &Outgoing<'_>) -> bool {
    let octets = outgoing.packet.octets(outgoing.from);
    let mtu = entry.tunnel_mtu(outgoing.now);
    mtu.is_none_or(|mtu| octets <= mtu)
}

/// The SA that packets of this one leave in. Those within it need no turn of their own: what they have
/// is sent in the same order.
pub(crate) fn outermost<'a>(tables: &'a Tables, sa: &'a Arc<OutboundSa>) -> &'a Arc<OutboundSa> {
    let mut outer = sa;
    for _ in 0..MAX_NESTING {
        let Some(within) = outer.common.within() else {
            break;
        };
        match tables.outbound.get(&(within.spi, within.remote)) {
            Some(next) => outer = &next.sa,
            None => break,
        }
    }
    outer
}

/// Send a frame in the clear, cut but not sealed.
pub(crate) fn bypass(policy: &SpdEntry, outgoing: &Outgoing<'_>, out: &mut SealedBatch) -> Flow {
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
    let sa = policy.and_then(|place| tables.spd.entry(place)?.sas.pick(flow));
    Verdict { policy, sa }
}

#[inline]
pub(crate) fn long(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
