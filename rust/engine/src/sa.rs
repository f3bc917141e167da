//! Security associations (RFC 4301, section 4.4.2.1).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::admission::Arrivals;
use crate::change::{Direction, PolicyConfig, PolicyId, SaConfig, SaId};
use crate::compression::Compression;
use crate::error::EngineError;
use crate::lifetime::Lifetime;
use crate::matcher::Matcher;
use crate::path::{Encapsulation, Path, StoredPath};
use crate::path_mtu::PathMtu;
use crate::processing::{
    DontFragment, Fragmentation, Lookup, Mode, Processing, Protocol, TfcPadding,
};
use crate::protection::Protection;
use crate::sad::InboundSad;
use crate::selector::SelectorPair;
use crate::sequence::OutboundSequence;
use crate::shown::Shown;
use crate::stats::SaStats;
use crate::suite::Suite;
use crate::time::Instant;
use crate::turn::Turn;
use crate::windows::Windows;

const LAST_RESERVED_SPI: u32 = 255;

/// What both directions have.
pub(crate) struct SaCommon {
    pub(crate) spi: u32,
    pub(crate) peer_spi: u32,
    pub(crate) direction: Direction,
    /// Inbound SAs only.
    pub(crate) lookup: Lookup,
    pub(crate) policy: PolicyId,
    pub(crate) processing: Arc<Processing>,
    unusual: Option<Box<Unusual>>,
    pub(crate) suite: Suite,
    pub(crate) esn: bool,
    pub(crate) selectors: Matcher,
    pub(crate) stateful_fragments: bool,
    pub(crate) protection: Protection,
    pub(crate) lifetime: Lifetime,
    is_plain: bool,
    ended: AtomicBool,
    errors: AtomicU64,
    last_used: AtomicU64,
    added: Instant,
}

/// What few SAs have.
struct Unusual {
    compression: Option<Compression>,
    within: Option<SaId>,
}

impl Unusual {
    fn new(config: &SaConfig) -> Option<Box<Self>> {
        let unusual = Self {
            compression: config.processing.compression.map(Compression::new),
            within: config.within,
        };
        let is_any = unusual.compression.is_some() || unusual.within.is_some();
        is_any.then(|| Box::new(unusual))
    }
}

/// An SA from the peer to us.
pub(crate) struct InboundSa {
    pub(crate) common: SaCommon,
    pub(crate) windows: Windows,
    pub(crate) shown: Shown,
}

/// An SA from us to the peer.
pub(crate) struct OutboundSa {
    pub(crate) common: SaCommon,
    pub(crate) sequence: OutboundSequence,
    pub(crate) turn: Turn,
    pub(crate) path_mtu: PathMtu,
    waits_for: Option<Arc<AtomicBool>>,
}

/// An SA and where it goes now; a move makes a new entry around the same SA.
pub(crate) struct SadEntry<T> {
    pub(crate) sa: Arc<T>,
    path: StoredPath,
    pub(crate) encapsulation: Encapsulation,
    /// What the SPD entry asks of packets that arrive; `None` when nothing out of the ordinary, and
    /// for outbound SAs.
    pub(crate) arrivals: Option<Arc<Arrivals>>,
}

impl SaCommon {
    fn new(config: &SaConfig, form: &Arc<Processing>, now: Instant) -> Result<Self, EngineError> {
        if config.spi <= LAST_RESERVED_SPI {
            return Err(EngineError::Spi(config.spi));
        }
        if !config.selectors.is_whole() {
            return Err(EngineError::Selector);
        }
        let counts = config.esn || config.replay_window > 0 || config.suite.uses_counter();
        if config.sequence.cycles && counts {
            return Err(EngineError::SequenceCycles);
        }
        if let (Some(algorithm), false) = (config.suite.insecure(), config.allow_insecure) {
            return Err(EngineError::Insecure(algorithm));
        }
        check_form(config)?;
        Ok(Self {
            spi: config.spi,
            peer_spi: config.peer_spi,
            direction: config.direction,
            lookup: config.lookup,
            policy: config.policy,
            processing: Arc::clone(form),
            unusual: Unusual::new(config),
            suite: config.suite,
            esn: config.esn,
            selectors: Matcher::new(&selectors_of(config)),
            stateful_fragments: config.stateful_fragments,
            protection: Protection::new(config.suite, &config.keys)?,
            lifetime: Lifetime::new(&config.lifetimes, now),
            is_plain: is_plain_tunnel(config),
            ended: AtomicBool::new(false),
            errors: AtomicU64::new(0),
            last_used: AtomicU64::new(u64::MAX),
            added: now,
        })
    }

    /// Whether its packets are ESP in tunnel mode with nothing out of the ordinary outside, so
    /// that the sockets make the outer header.
    #[inline]
    pub(crate) fn is_plain_tunnel(&self) -> bool {
        self.is_plain
    }

    /// What compresses its payloads, if that was agreed upon.
    pub(crate) fn compression(&self) -> Option<&Compression> {
        self.unusual.as_ref()?.compression.as_ref()
    }

    /// The SA that its packets travel in, if they do.
    pub(crate) fn within(&self) -> Option<&SaId> {
        self.unusual.as_ref()?.within.as_ref()
    }

    /// Whether it may not be used any more.
    #[inline]
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Stop it.
    ///
    /// Returns:
    /// Whether this call did it.
    pub(crate) fn end(&self) -> bool {
        !self.ended.swap(true, Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn touch(&self, now: Instant) {
        self.last_used.store(now.0, Ordering::Relaxed);
    }

    pub(crate) fn add_errors(&self, packets: u64) {
        self.errors.fetch_add(packets, Ordering::Relaxed);
    }

    fn stats(&self, path: Path, encapsulation: Encapsulation) -> SaStats {
        let last_used = self.last_used.load(Ordering::Relaxed);
        SaStats {
            spi: self.spi,
            peer_spi: self.peer_spi,
            direction: self.direction,
            policy: self.policy,
            path,
            encapsulation,
            suite: self.suite,
            esn: self.esn,
            packets: self.lifetime.packets(),
            octets: self.lifetime.octets(),
            errors: self.errors.load(Ordering::Relaxed),
            sequence: 0,
            replay_window: 0,
            path_mtu: None,
            added: self.added,
            last_used: (last_used != u64::MAX).then_some(Instant(last_used)),
            expired: self.is_ended(),
            ready: true,
        }
    }
}

/// The selectors to check packets with; on arrival some conditions do not count.
fn selectors_of(config: &SaConfig) -> SelectorPair {
    let mut selectors = config.selectors.clone();
    if config.direction == Direction::Inbound {
        selectors.conditions = selectors.conditions.on_arrival(config.processing.mode);
    }
    selectors
}

/// Whether the form of the packets is one that the standards have.
fn check_form(config: &SaConfig) -> Result<(), EngineError> {
    let form = &config.processing;
    if config.suite.protocol() == Protocol::Ah {
        //= https://www.rfc-editor.org/rfc/rfc7296#section-2.23
        //# NAT boxes, it is impossible for AH to work
        if config.encapsulation == Encapsulation::Udp {
            return Err(EngineError::Form("AH does not travel in UDP"));
        }
        if form.tfc != TfcPadding::None {
            return Err(EngineError::Form("AH has no padding"));
        }
    }
    if let Mode::Beet { local, remote } = form.mode
        && local.is_ipv4() != remote.is_ipv4()
    {
        return Err(EngineError::Form("the inner addresses are of two families"));
    }
    let is_tunnel = matches!(form.mode, Mode::Any | Mode::Tunnel);
    if !is_tunnel && form.fragmentation == Fragmentation::Before {
        return Err(EngineError::Form("only a tunnel takes fragments"));
    }
    Ok(())
}

fn is_plain_tunnel(config: &SaConfig) -> bool {
    let ordinary = Processing {
        df: config.processing.df,
        dscp: config.processing.dscp.clone(),
        fragmentation: config.processing.fragmentation,
        path_mtu: config.processing.path_mtu,
        path_mtu_age: config.processing.path_mtu_age,
        believe_icmp: config.processing.believe_icmp,
        destination_options: config.processing.destination_options,
        ..Processing::of(Mode::Tunnel)
    };
    config.suite.protocol() == Protocol::Esp
        && config.within.is_none()
        && config.processing == ordinary
}

impl OutboundSa {
    /// Whether it may be chosen while there is another.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        self.waits_for
            .as_ref()
            .is_none_or(|verified| verified.load(Ordering::Acquire))
    }

    /// How DF is set outside: never, where only routers that may cut packets get them through.
    #[inline]
    pub(crate) fn outer_df(&self) -> DontFragment {
        if self.path_mtu.may_be_less() {
            return DontFragment::Clear;
        }
        self.common.processing.df
    }
}

impl<T> SadEntry<T> {
    /// Where it goes.
    #[inline]
    pub(crate) fn path(&self) -> Path {
        Path::from(&self.path)
    }

    /// The same SA on another path.
    pub(crate) fn moved(&self, path: Path, encapsulation: Encapsulation) -> Self {
        Self {
            sa: Arc::clone(&self.sa),
            path: path.into(),
            encapsulation,
            arrivals: self.arrivals.clone(),
        }
    }
}

impl SadEntry<InboundSa> {
    /// Make one; `form` is the processing of its configuration, as others may have it too.
    pub(crate) fn new(
        config: &SaConfig,
        form: &Arc<Processing>,
        policy: &PolicyConfig,
        now: Instant,
    ) -> Result<Self, EngineError> {
        if config.replay_window > 0 && !config.suite.has_integrity() {
            return Err(EngineError::ReplayWithoutIntegrity);
        }
        let sa = InboundSa {
            common: SaCommon::new(config, form, now)?,
            windows: Windows::new(config)?,
            shown: Shown::default(),
        };
        Ok(Self {
            sa: Arc::new(sa),
            path: config.path.into(),
            encapsulation: config.encapsulation,
            arrivals: Arrivals::of(policy, config.processing.mode),
        })
    }

    /// The same SA under an entry that has changed.
    pub(crate) fn under(&self, policy: &PolicyConfig) -> Self {
        Self {
            arrivals: Arrivals::of(policy, self.sa.common.processing.mode),
            ..self.moved(self.path(), self.encapsulation)
        }
    }

    /// Its name.
    pub(crate) fn id(&self) -> SaId {
        SaId::new(Direction::Inbound, self.sa.common.spi, self.path())
    }

    pub(crate) fn stats(&self) -> SaStats {
        SaStats {
            sequence: self.sa.windows.top(),
            replay_window: self.sa.windows.packets(),
            ..self.sa.common.stats(self.path(), self.encapsulation)
        }
    }
}

impl SadEntry<OutboundSa> {
    /// Make one; `form` is the processing of its configuration, as others may have it too, and
    /// `inbound` is where the SA of its `ready_after` is looked up.
    pub(crate) fn new(
        config: &SaConfig,
        form: &Arc<Processing>,
        inbound: &InboundSad,
        now: Instant,
    ) -> Result<Self, EngineError> {
        let awaited = |spi: u32| {
            let id = SaId::new(Direction::Inbound, spi, config.path);
            let entry = inbound.named(id).ok_or(EngineError::UnknownSa(id))?;
            Ok(entry.sa.shown.verified())
        };
        let sa = OutboundSa {
            common: SaCommon::new(config, form, now)?,
            sequence: OutboundSequence::new(config.esn, &config.sequence),
            turn: Turn::default(),
            path_mtu: PathMtu::new(&config.processing),
            waits_for: config.ready_after.map(awaited).transpose()?,
        };
        Ok(Self {
            sa: Arc::new(sa),
            path: config.path.into(),
            encapsulation: config.encapsulation,
            arrivals: None,
        })
    }

    /// What it is found by.
    pub(crate) fn key(&self) -> (u32, SocketAddr) {
        (self.sa.common.spi, self.path().remote)
    }

    pub(crate) fn stats(&self) -> SaStats {
        SaStats {
            sequence: self.sa.sequence.used(),
            ready: self.sa.is_ready(),
            path_mtu: self.sa.path_mtu.learnt(),
            ..self.sa.common.stats(self.path(), self.encapsulation)
        }
    }
}
