//! ICMP errors to those whose packets do not leave (RFC 4301, sections 5.1.1 and 8.2.1).

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use perilune_wire::icmp::{MOST_OCTETS_IPV6, Problem, write_error};

use crate::audit::RateLimit;
use crate::time::Instant;

/// Most that wait to be taken.
const CAPACITY: usize = 64;

/// IP packets for the protected side that the engine made itself.
#[derive(Default)]
pub(crate) struct Replies {
    queue: Mutex<VecDeque<Vec<u8>>>,
    waiting: AtomicBool,
    limit: RateLimit,
}

impl Replies {
    /// Tell the sender of a packet what is wrong with it, at most ten times a second.
    ///
    /// Whoever asks where the packet went shall believe the answer, so it comes from there.
    pub(crate) fn tell(&self, problem: Problem, packet: &[u8], source: IpAddr, now: Instant) {
        if !self.limit.allows(now) {
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
