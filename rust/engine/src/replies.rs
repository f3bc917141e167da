//! ICMP errors to those whose packets do not leave (RFC 4301, sections 5.1.1 and 8.2.1).

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use perilune_wire::flow::FlowKey;
use perilune_wire::icmp::{MOST_OCTETS_IPV6, Problem, write_error};
use perilune_wire::ip;

use crate::audit::RateLimit;
use crate::time::Instant;

/// Most that wait to be taken.
const CAPACITY: usize = 64;
/// Most in a second to all senders together (RFC 4443, section 2.4(f)).
const PER_SECOND: u64 = 1000;
/// Most in a second about the packets of one flow.
const PER_SECOND_AND_FLOW: u64 = 10;
const FLOWS: usize = 256;

/// IP packets for the protected side that the engine made itself.
#[derive(Default)]
pub(crate) struct Replies {
    queue: Mutex<VecDeque<Vec<u8>>>,
    waiting: AtomicBool,
    limit: RateLimit,
    flows: FlowLimits,
}

impl Replies {
    /// Tell the sender of a packet what is wrong with it, at most ten times a second for each flow: a
    /// sender who does not listen must not keep others from being told.
    ///
    /// Whoever asks where the packet went shall believe the answer, so it comes from there.
    pub(crate) fn tell(&self, problem: Problem, packet: &[u8], source: IpAddr, now: Instant) {
        let Some(outline) = ip::parse(packet) else {
            return;
        };
        if !self.flows.allow(&outline.flow, now) || !self.limit.allows_most(PER_SECOND, now) {
            return;
        }
        let mut error = vec![0; MOST_OCTETS_IPV6];
        let Some(octets) = write_error(problem, packet, source, &mut error) else {
            return;
        };
        error.truncate(octets);
        let mut queue = crate::lock(&self.queue);
        if queue.len() < CAPACITY {
            queue.push_back(error);
            self.waiting.store(true, Ordering::Release);
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    pub(crate) fn take(&self) -> Vec<Vec<u8>> {
        let mut queue = crate::lock(&self.queue);
        self.waiting.store(false, Ordering::Release);
        queue.drain(..).collect()
    }
}

/// A limit for each of the flows that were told something last. Of two that share a place, the later
/// one has it.
struct FlowLimits([FlowLimit; FLOWS]);

#[derive(Default)]
struct FlowLimit {
    flow: AtomicU32,
    limit: RateLimit,
}

impl Default for FlowLimits {
    fn default() -> Self {
        Self(std::array::from_fn(|_| FlowLimit::default()))
    }
}

impl FlowLimits {
    fn allow(&self, flow: &FlowKey, now: Instant) -> bool {
        let hash = flow.hash();
        let place = usize::try_from(hash).map(|hash| hash % FLOWS);
        let held = place.ok().and_then(|place| self.0.get(place));
        held.is_some_and(|held| {
            if held.flow.swap(hash, Ordering::Relaxed) != hash {
                held.limit.restart();
            }
            held.limit.allows_most(PER_SECOND_AND_FLOW, now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP datagram of IPv4 from one of 65536 ports.
    fn packet(port: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0];
        packet.extend([10, 1, 0, 7, 10, 2, 0, 7]);
        packet.extend(port.to_be_bytes());
        packet.extend([0, 53, 0, 8, 0, 0]);
        ip::set_length(&mut packet).unwrap();
        packet
    }

    fn told(replies: &Replies, ports: impl Iterator<Item = u16>, now: Instant) -> usize {
        let source = "10.2.0.7".parse().unwrap();
        let problem = Problem::PacketTooBig { mtu: 1200 };
        let tell = |port| {
            replies.tell(problem, &packet(port), source, now);
            replies.take().len()
        };
        ports.map(tell).sum()
    }

    #[test]
    fn a_sender_who_does_not_listen_keeps_nobody_from_being_told() {
        let replies = Replies::default();
        let now = Instant(7_000_000_000);
        assert_eq!(told(&replies, std::iter::repeat_n(1, 500), now), 10);
        assert_eq!(told(&replies, 2..100, now), 98);
        let next = Instant(8_000_000_000);
        assert_eq!(told(&replies, std::iter::repeat_n(1, 500), next), 10);
    }

    #[test]
    fn all_together_have_a_limit_too() {
        let replies = Replies::default();
        assert_eq!(told(&replies, 1..5000, Instant(1)), 1000);
    }
}
