//! What the engine tells its owner.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use perilune_wire::flow::FlowKey;

use crate::change::{Direction, PolicyId};
use crate::drop_reason::DropReason;
use crate::time::Instant;

/// Which bound of a lifetime was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Octets of inner packets.
    Octets,
    /// Packets.
    Packets,
    /// Time.
    Time,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Traffic waits for an SA of this policy. Said once until an SA is added, the policy is
    /// removed or 30 seconds have passed.
    Acquire {
        /// The SPD entry.
        policy: PolicyId,
        /// The packet that asked for it.
        flow: FlowKey,
    },
    /// A packet was dropped for a reason that is to be audited (RFC 4303, section 4). At most
    /// ten records a second for each reason.
    Audit {
        /// Why.
        reason: DropReason,
        /// SPI of the SA, zero when there is none.
        spi: u32,
        /// Source address: of the outer header when inbound, of the inner one when outbound.
        source: IpAddr,
        /// Destination address, likewise.
        destination: IpAddr,
        /// Sequence number, as far as it is known; zero when there is none.
        sequence: u64,
        /// IPv6 flow label, zero when there is none.
        flow_label: u32,
        /// When.
        time: Instant,
    },
    /// An SA has reached a hard lifetime and has stopped.
    HardExpire {
        /// Its SPI.
        spi: u32,
        /// SPI of its other direction.
        peer_spi: u32,
        /// Its direction.
        direction: Direction,
        /// Its SPD entry.
        policy: PolicyId,
        /// Which bound.
        limit: Limit,
    },
    /// A valid packet, the newest of its SA, came from another address or port than expected.
    PeerMoved {
        /// SPI of the inbound SA.
        spi: u32,
        /// Where the peer was.
        old: SocketAddr,
        /// Where it is.
        new: SocketAddr,
        /// Where the packet was sent to on our side.
        local: SocketAddr,
    },
    /// An outbound SA has used its last sequence number and has stopped (RFC 4303, section 3.3.3).
    SequenceExhausted {
        /// Its SPI.
        spi: u32,
        /// SPI of its other direction.
        peer_spi: u32,
        /// Its SPD entry.
        policy: PolicyId,
    },
    /// An outbound SA has used half of the sequence numbers that are reserved for it. Said once for
    /// each reservation.
    SequenceLow {
        /// Its SPI.
        spi: u32,
        /// SPI of its other direction.
        peer_spi: u32,
        /// Its SPD entry.
        policy: PolicyId,
    },
    /// An SA has reached a soft lifetime and wants to be replaced. Said once for each SA.
    SoftExpire {
        /// Its SPI.
        spi: u32,
        /// SPI of its other direction.
        peer_spi: u32,
        /// Its direction.
        direction: Direction,
        /// Its SPD entry.
        policy: PolicyId,
        /// Which bound.
        limit: Limit,
    },
    /// A packet came for an SPI we don't have. At most ten a second.
    UnknownSpi {
        /// The SPI.
        spi: u32,
        /// Who sent it.
        from: SocketAddr,
        /// Whether it came in a UDP datagram.
        encapsulated: bool,
    },
}

/// A bounded queue of events; what does not fit is counted.
pub(crate) struct EventQueue {
    queue: Mutex<VecDeque<Event>>,
    waiting: AtomicBool,
    lost: AtomicU64,
    capacity: usize,
}

impl EventQueue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            queue: Mutex::new(VecDeque::new()),
            waiting: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            capacity,
        }
    }

    pub(crate) fn push(&self, event: Event) {
        let mut queue = crate::lock(&self.queue);
        if queue.len() >= self.capacity {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.push_back(event);
        self.waiting.store(true, Ordering::Release);
    }

    pub(crate) fn take(&self, most: usize) -> Vec<Event> {
        let mut queue = crate::lock(&self.queue);
        let count = queue.len().min(most);
        let taken = queue.drain(..count).collect();
        self.waiting.store(!queue.is_empty(), Ordering::Release);
        taken
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(spi: u32) -> Event {
        Event::UnknownSpi {
            spi,
            from: "192.0.2.1:4500".parse().unwrap(),
            encapsulated: true,
        }
    }

    #[test]
    fn events_come_out_in_order_and_overflow_is_counted() {
        let queue = EventQueue::new(2);
        assert!(!queue.is_waiting());
        for spi in 1..=3 {
            queue.push(event(spi));
        }
        assert_eq!((queue.lost(), queue.is_waiting()), (1, true));
        assert_eq!(queue.take(1), [event(1)]);
        assert!(queue.is_waiting());
        assert_eq!(queue.take(9), [event(2)]);
        assert!(!queue.is_waiting());
    }
}
