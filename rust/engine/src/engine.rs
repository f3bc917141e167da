//! The engine: policies and SAs, transactions on them, time, and what it tells.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;

use crate::audit::{AuditLimits, RateLimit};
use crate::change::{Change, Direction};
use crate::deadline::{Deadlines, Due};
use crate::drop_reason::{DropCounters, DropReason};
use crate::error::EngineError;
use crate::event::{Event, EventQueue, Limit};
use crate::fragments::{Gatherer, Tracker};
use crate::hold::Hold;
use crate::icmp_controls::IcmpControls;
use crate::inbound::InboundWorker;
use crate::lifetime::Charge;
use crate::outbound::OutboundWorker;
use crate::replies::Replies;
use crate::retired::Retired;
use crate::sa::{OutboundSa, SaCommon};
use crate::sequence::Notice;
use crate::stats::{PolicyStats, Stats};
use crate::tables::Tables;
use crate::time::Instant;

const EVENT_CAPACITY: usize = 4096;

/// Whether a call could finish.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The input is dealt with.
    Done,
    /// The batch is full and nothing is lost: hand the batch over, clear it, and make the same
    /// call with the same input again.
    Full,
}

/// Tables as one worker last saw them.
pub(crate) type CachedTables = Cache<Arc<ArcSwap<Tables>>, Arc<Tables>>;

/// The data plane; share it behind an `Arc`.
///
/// Packets are looked up in tables that never change; a transaction puts new ones in their place.
/// So the packet path takes no lock that another thread holds for long: what is left is one for
/// each inbound SA's anti-replay window, and those of events, audits and held packets.
pub struct Engine {
    tables: Arc<ArcSwap<Tables>>,
    transaction: Mutex<()>,
    pub(crate) retired: Retired,
    readiness: AtomicU64,
    deadlines: Deadlines,
    identification: AtomicU16,
    pub(crate) icmp: IcmpControls,
    pub(crate) hold: Hold,
    pub(crate) inbound_fragments: Gatherer,
    pub(crate) outbound_fragments: Gatherer,
    /// Of what leaves, of what arrives in the clear, and of what comes out of SAs.
    pub(crate) outbound_tracker: Tracker,
    pub(crate) clear_tracker: Tracker,
    pub(crate) inbound_tracker: Tracker,
    pub(crate) replies: Replies,
    pub(crate) events: EventQueue,
    pub(crate) drops: DropCounters,
    pub(crate) audits: AuditLimits,
    pub(crate) unknown_spis: RateLimit,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine without policies: everything is dropped.
    pub fn new() -> Self {
        Self {
            tables: Arc::default(),
            transaction: Mutex::new(()),
            retired: Retired::default(),
            readiness: AtomicU64::new(0),
            deadlines: Deadlines::default(),
            identification: AtomicU16::new(1),
            icmp: IcmpControls::default(),
            hold: Hold::default(),
            inbound_fragments: Gatherer::default(),
            outbound_fragments: Gatherer::default(),
            outbound_tracker: Tracker::default(),
            clear_tracker: Tracker::default(),
            inbound_tracker: Tracker::default(),
            replies: Replies::default(),
            events: EventQueue::new(EVENT_CAPACITY),
            drops: DropCounters::new(),
            audits: AuditLimits::new(),
            unknown_spis: RateLimit::default(),
        }
    }

    /// The same with other controls of unauthenticated ICMP.
    pub fn with_icmp(icmp: IcmpControls) -> Self {
        let engine = Self::new();
        Self { icmp, ..engine }
    }

    /// Carry out a transaction: all of it, or nothing and an error.
    ///
    /// Call [`Self::on_time`] afterwards, there may be new deadlines; and when
    /// [`Self::has_released`] says so, have an outbound worker call [`Self::release_held`].
    ///
    /// # Errors
    /// What was wrong with the first change that could not be made.
    pub fn apply(&self, changes: &[Change], now: Instant) -> Result<(), EngineError> {
        let _one_at_a_time = crate::lock(&self.transaction);
        let (next, effects) = self.tables.load().after(changes, now)?;
        self.retired.add(self.tables.swap(Arc::new(next)));
        self.retired.free();
        for sa in &effects.removed {
            sa.common().end();
        }
        for (added, soft_time) in &effects.added {
            self.deadlines.add(added, *soft_time);
            let sa = added.common();
            if sa.direction == Direction::Outbound {
                let carries = |flow: &_| sa.selectors.contains(flow);
                self.hold.release(sa.policy, carries);
            }
        }
        for policy in effects.removed_policies {
            self.drops
                .add(DropReason::HoldPolicyRemoved, self.hold.forget(policy));
        }
        Ok(())
    }

    /// A worker for one thread that seals.
    pub fn outbound_worker(&self) -> OutboundWorker {
        OutboundWorker::new(self.cached_tables())
    }

    /// A worker for one thread that opens.
    pub fn inbound_worker(&self) -> InboundWorker {
        InboundWorker::new(self.cached_tables())
    }

    /// Do what is due by now: lifetimes, and SAs that were asked for in vain.
    ///
    /// Returns:
    /// When to call again at the latest, or `None` when nothing is planned.
    pub fn on_time(&self, now: Instant) -> Option<Instant> {
        for (sa, due) in self.deadlines.take_due(now) {
            match due {
                Due::Hard => self.end_lifetime(sa.common(), Limit::Time),
                Due::Soft => self.say_soft(sa.common(), Limit::Time),
            }
        }
        let (dropped, next_acquire) = self.hold.on_time(now);
        self.drops.add(DropReason::AcquireTimedOut, dropped);
        [self.deadlines.next(), next_acquire]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether [`Self::take_replies`] has something.
    pub fn has_replies(&self) -> bool {
        self.replies.is_waiting()
    }

    /// Take out the IP packets that the engine made for the protected side: ICMP errors about
    /// packets that are too large for their path.
    pub fn take_replies(&self) -> Vec<Vec<u8>> {
        self.replies.take()
    }

    /// Whether [`Self::take_events`] has something; cheap enough to ask after every batch.
    pub fn has_events(&self) -> bool {
        self.events.is_waiting()
    }

    /// Whether there are databases that a transaction has replaced and that no worker has any more, so
    /// that [`Self::take_events`] frees them and wipes the keys of SAs that are gone.
    pub fn has_retired(&self) -> bool {
        self.retired.can_free()
    }

    /// Take out the oldest events, at most so many, and free what [`Self::has_retired`] is about.
    ///
    /// Not for a thread that carries packets: after a large transaction it takes milliseconds.
    pub fn take_events(&self, most: usize) -> Vec<Event> {
        self.retired.free();
        self.events.take(most)
    }

    /// Read all counters; as [`Self::take_events`], not for a thread that carries packets.
    pub fn stats(&self) -> Stats {
        self.retired.free();
        let tables = self.tables.load();
        let mut sas: Vec<_> = tables.inbound.iter().map(|entry| entry.stats()).collect();
        sas.sort_by_key(|sa| sa.spi);
        let entries = tables.spd.entries();
        let outbound = entries.iter().flat_map(|entry| entry.sas.iter());
        sas.extend(outbound.map(|entry| entry.stats()));
        let policies = entries.iter().map(|entry| PolicyStats {
            id: entry.config.id,
            action: entry.config.action,
            packets: entry.counters.packets(),
            octets: entry.counters.octets(),
            held: self.hold.held(entry.config.id),
        });
        Stats {
            sas,
            policies: policies.collect(),
            drops: self.drops.read(),
            events_lost: self.events.lost(),
        }
    }

    /// How many packets were dropped for a reason.
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.drops.count(reason)
    }

    /// Account for one packet of an SA.
    ///
    /// Returns:
    /// Whether it may pass.
    #[inline]
    pub(crate) fn charge(&self, sa: &SaCommon, octets: u64) -> bool {
        match sa.lifetime.charge(octets) {
            Charge::Within => return true,
            Charge::Soft(limit) => self.say_soft(sa, limit),
            Charge::Last(limit) => self.end_lifetime(sa, limit),
            Charge::Refused(limit) => {
                self.end_lifetime(sa, limit);
                return false;
            }
        }
        true
    }

    /// Stop an SA whose lifetime is over.
    pub(crate) fn end_lifetime(&self, sa: &SaCommon, limit: Limit) {
        if !sa.end() {
            return;
        }
        self.change_readiness();
        let &SaCommon {
            spi,
            peer_spi,
            direction,
            policy,
            ..
        } = sa;
        self.events.push(Event::HardExpire {
            spi,
            peer_spi,
            direction,
            policy,
            limit,
        });
    }

    /// Stop an SA that has no sequence number left, or ask for more.
    #[inline]
    pub(crate) fn watch_sequence(&self, sa: &OutboundSa) {
        if !sa.sequence.wants_notice() {
            return;
        }
        match sa.sequence.notice() {
            Some(Notice::Exhausted) => self.end_sequence(&sa.common),
            Some(Notice::Low) => self.events.push(Event::SequenceLow {
                spi: sa.common.spi,
                peer_spi: sa.common.peer_spi,
                policy: sa.common.policy,
            }),
            None => {}
        }
    }

    fn end_sequence(&self, sa: &SaCommon) {
        if !sa.end() {
            return;
        }
        self.change_readiness();
        let &SaCommon {
            spi,
            peer_spi,
            policy,
            ..
        } = sa;
        self.events.push(Event::SequenceExhausted {
            spi,
            peer_spi,
            policy,
        });
    }

    /// Have flow caches choose SAs anew: one has become ready or has ended.
    pub(crate) fn change_readiness(&self) {
        self.readiness.fetch_add(1, Ordering::Release);
    }

    #[inline]
    pub(crate) fn readiness(&self) -> u64 {
        self.readiness.load(Ordering::Acquire)
    }

    /// The tables of now.
    pub(crate) fn tables(&self) -> Arc<Tables> {
        self.tables.load_full()
    }

    /// Which tables are the ones of now.
    pub(crate) fn generation(&self) -> u64 {
        self.tables.load().generation
    }

    /// A number for an IPv4 header that is made here (RFC 6864): the next of all that are.
    pub(crate) fn next_identification(&self) -> u16 {
        self.identification.fetch_add(1, Ordering::Relaxed)
    }

    fn say_soft(&self, sa: &SaCommon, limit: Limit) {
        let is_by_time = limit == Limit::Time;
        if sa.is_ended() || (is_by_time && !sa.lifetime.say_soft()) {
            return;
        }
        let &SaCommon {
            spi,
            peer_spi,
            direction,
            policy,
            ..
        } = sa;
        self.events.push(Event::SoftExpire {
            spi,
            peer_spi,
            direction,
            policy,
            limit,
        });
    }

    fn cached_tables(&self) -> CachedTables {
        Cache::new(Arc::clone(&self.tables))
    }
}
