//! A picture of the engine's counters.

use crate::change::{Action, Direction, PolicyId};
use crate::drop_reason::DropReason;
use crate::path::{Encapsulation, Path};
use crate::suite::Suite;
use crate::time::Instant;

/// One SA's state and counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaStats {
    /// Its SPI.
    pub spi: u32,
    /// SPI of its other direction.
    pub peer_spi: u32,
    /// Its direction.
    pub direction: Direction,
    /// Its SPD entry.
    pub policy: PolicyId,
    /// Its path now.
    pub path: Path,
    /// What it travels in.
    pub encapsulation: Encapsulation,
    /// Its algorithms.
    pub suite: Suite,
    /// Whether it has 64-bit sequence numbers.
    pub esn: bool,
    /// Packets that went through.
    pub packets: u64,
    /// Octets of inner packets that went through.
    pub octets: u64,
    /// Packets dropped on it.
    pub errors: u64,
    /// Last sequence number sent, or highest received.
    pub sequence: u64,
    /// Anti-replay window in packets; zero when off or outbound.
    pub replay_window: u32,
    /// Path MTU in octets that was learnt, and when it is to be forgotten; outbound only.
    pub path_mtu: Option<(u32, Instant)>,
    /// When it was added.
    pub added: Instant,
    /// When a packet last went through.
    pub last_used: Option<Instant>,
    /// Whether it has ended and waits to be removed.
    pub expired: bool,
    /// Whether an outbound SA may be chosen; always so for inbound ones.
    pub ready: bool,
}

/// One SPD entry's counters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyStats {
    /// Its name.
    pub id: PolicyId,
    /// What it does.
    pub action: Action,
    /// Packets of hosts it was applied to; a large one of the device counts once for each segment.
    pub packets: u64,
    /// Their octets.
    pub octets: u64,
    /// Packets held now, as they came from the device.
    pub held: usize,
}

/// Everything that is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Every SA, inbound ones first.
    pub sas: Vec<SaStats>,
    /// Every SPD entry in the order they are tried.
    pub policies: Vec<PolicyStats>,
    /// Drops by reason, every reason.
    pub drops: Vec<(DropReason, u64)>,
    /// Events that found their queue full.
    pub events_lost: u64,
}
