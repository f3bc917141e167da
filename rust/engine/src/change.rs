//! What a key management protocol asks of the engine.

use std::net::SocketAddr;

use crate::icmp_errors::IcmpErrors;
use crate::path::{Encapsulation, Path};
use crate::populate::Populate;
use crate::processing::{Lookup, Processing};
use crate::selector::SelectorPair;
use crate::suite::{Keys, Suite};
use crate::time::Duration;

/// Name of an SPD entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub u32);

/// Direction of an SA, seen from this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the peer to us.
    Inbound,
    /// From us to the peer.
    Outbound,
}

/// Name of an SA.
///
/// An inbound SA is named by its SPI alone, which we chose, or one of a group also by the ends of
/// its path (see [`Lookup`]); an outbound one by the SPI the peer chose and where the peer is now
/// ([`Path::remote`] as last given for it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SaId {
    /// Direction.
    pub direction: Direction,
    /// Security Parameters Index.
    pub spi: u32,
    /// Our end, or the group that packets are sent to; compared only for inbound SAs of a group.
    pub local: SocketAddr,
    /// Where the peer is; not compared for inbound SAs but those of one sender to a group.
    pub remote: SocketAddr,
}

impl SaId {
    /// The name of an SA on a path.
    pub const fn new(direction: Direction, spi: u32, path: Path) -> Self {
        Self {
            direction,
            spi,
            local: path.local,
            remote: path.remote,
        }
    }
}

/// Bounds on the use of an SA; `None` is unbounded (RFC 4301, section 4.4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Octets of inner packets.
    pub octets: Option<u64>,
    /// Packets.
    pub packets: Option<u64>,
    /// Time since the SA was added.
    pub time: Option<Duration>,
}

/// When an SA is to be replaced and when it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifetimes {
    /// At these an event asks for a replacement.
    pub soft: Limits,
    /// At these the SA stops at once.
    pub hard: Limits,
}

/// Where an SA's sequence numbers stand when it is added, for keys that live longer than it does (RFC
/// 4303, section 3.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SequenceState {
    /// The last number that was used before, or inbound, verified; everything up to it counts as seen.
    pub used: u64,
    /// Outbound only: the last number that may be used until [`Change::ReserveSequence`] says more.
    pub reserved: Option<u64>,
    /// Outbound only: begin again behind the last number of 32 bits, for receivers that don't look for
    /// replays. Refused with long numbers, a replay window or a suite whose IV is a counter.
    pub cycles: bool,
}

/// Everything about an SA.
#[derive(Debug, Clone)]
pub struct SaConfig {
    /// Security Parameters Index; 1 to 255 are reserved and refused, as is zero.
    pub spi: u32,
    /// Direction.
    pub direction: Direction,
    /// SPD entry it belongs to; the entry must exist.
    pub policy: PolicyId,
    /// SPI of the SA in the other direction, for events and statistics.
    pub peer_spi: u32,
    /// Where it goes.
    pub path: Path,
    /// What it travels in. Inbound packets are accepted either way (RFC 7296, section 2.23).
    pub encapsulation: Encapsulation,
    /// Mode, and what headers outside are made of.
    pub processing: Processing,
    /// Inbound only: by what it is found.
    pub lookup: Lookup,
    /// The SA of the same direction in which its packets travel in turn (an SA bundle): an
    /// outbound packet goes through that one next, an inbound one must have come out of it.
    pub within: Option<SaId>,
    /// Security protocol and algorithms.
    pub suite: Suite,
    /// Whether algorithms are accepted that are for old peers only ([`Suite::insecure`]).
    pub allow_insecure: bool,
    /// Keys for this direction.
    pub keys: Keys,
    /// 64-bit sequence numbers (RFC 4303, section 2.2.1).
    pub esn: bool,
    /// Where sequence numbers begin.
    pub sequence: SequenceState,
    /// Anti-replay window in packets: 0 (off) or 32 to 4096. Inbound only.
    pub replay_window: u32,
    /// Traffic it may carry.
    pub selectors: SelectorPair,
    /// Whether fragments behind the first travel on it although its selectors want ports, which both
    /// ends have agreed upon (`NON_FIRST_FRAGMENTS_ALSO`, RFC 7296, section 3.10.1): the stateful
    /// fragment checking of RFC 4301, section 7.3. Without it such packets are put together first.
    pub stateful_fragments: bool,
    /// When it ends.
    pub lifetimes: Lifetimes,
    /// Outbound only: while another SA of the policy can be used, leave this one alone until a
    /// packet has been verified on the inbound SA of this SPI. A responder to a rekey sets it,
    /// because the initiator may not have installed its inbound half yet (RFC 7296, section 2.8).
    pub ready_after: Option<u32>,
}

impl SaConfig {
    /// The name the SA will have.
    pub fn id(&self) -> SaId {
        SaId::new(self.direction, self.spi, self.path)
    }
}

/// What an SPD entry does with traffic (RFC 4301, section 4.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Let it pass in the clear.
    Bypass,
    /// Throw it away.
    Discard,
    /// Send it through an SA.
    Protect,
}

/// An SPD entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyConfig {
    /// Its name; adding a name that exists replaces the entry and keeps its SAs.
    pub id: PolicyId,
    /// Entries are tried from the lowest number up; equal ones by name.
    pub priority: u32,
    /// What to do.
    pub action: Action,
    /// Which way the packets go that it is about; `None` is both, which protection always is.
    pub direction: Option<Direction>,
    /// Traffic it is about, seen from this host.
    pub selectors: SelectorPair,
    /// What of its selectors an SA takes from the packet that asks for it. Protect only.
    pub populate: Populate,
    /// Ask for an SA where there is none, and keep packets until it exists, instead of dropping them.
    /// Protect only.
    pub hold: bool,
    /// Which ICMP errors its SAs carry. Protect only.
    pub icmp_errors: IcmpErrors,
}

/// One step of a transaction.
#[derive(Debug, Clone)]
pub enum Change {
    /// Add or replace an SPD entry.
    AddPolicy(PolicyConfig),
    /// Add an SA; its name must be free.
    AddSa(Box<SaConfig>),
    /// Give an SA another path. An outbound SA's name changes with it.
    MoveSa {
        /// The SA as it is named now.
        sa: SaId,
        /// Its new path.
        path: Path,
        /// What it travels in from now on.
        encapsulation: Encapsulation,
    },
    /// Let an outbound SA use its sequence numbers up to and with one, however the transaction ends.
    ReserveSequence {
        /// The SA.
        sa: SaId,
        /// The number.
        until: u64,
    },
    /// Remove an SPD entry; its SAs must have been removed before, or in the same transaction.
    RemovePolicy(PolicyId),
    /// Remove an SA.
    RemoveSa(SaId),
}
