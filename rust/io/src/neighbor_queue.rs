//! Packets that wait until it is known which station has their address.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use perilune_engine::{Duration, Instant};

/// Most addresses that are asked for at a time.
const MAX_ADDRESSES: usize = 256;
/// Most frames that wait for one address; the oldest goes.
const MAX_FRAMES: usize = 64;
/// `MAX_MULTICAST_SOLICIT` (RFC 4861, section 10).
const MAX_REQUESTS: u32 = 3;
/// `RETRANS_TIMER` (RFC 4861, section 10).
const INTERVAL: Duration = Duration::seconds(1);

/// The queue; it knows no device and no clock.
#[derive(Debug, Default)]
pub(crate) struct NeighborQueue(HashMap<IpAddr, Waiting>);

#[derive(Debug)]
struct Waiting {
    frames: VecDeque<Vec<u8>>,
    requests: u32,
    next_request: Instant,
}

/// What is to be done by now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// Addresses to ask for.
    pub(crate) requests: Vec<IpAddr>,
    /// Packets whose address nobody claimed.
    pub(crate) dropped: usize,
    /// When to look again.
    pub(crate) next: Option<Instant>,
}

impl NeighborQueue {
    /// Keep a frame; its address is to be asked for at once if it is new.
    ///
    /// Returns:
    /// How many frames had to go.
    pub(crate) fn keep(&mut self, address: IpAddr, frame: &[u8], now: Instant) -> usize {
        if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&address) {
            return 1;
        }
        let waiting = self.0.entry(address).or_insert_with(|| Waiting {
            frames: VecDeque::new(),
            requests: 0,
            next_request: now,
        });
        let is_full = waiting.frames.len() >= MAX_FRAMES;
        if is_full {
            waiting.frames.pop_front();
        }
        waiting.frames.push_back(frame.to_vec());
        usize::from(is_full)
    }

    /// Take out the frames of an address, oldest first.
    pub(crate) fn take(&mut self, address: IpAddr) -> VecDeque<Vec<u8>> {
        let waiting = self.0.remove(&address);
        waiting.map(|waiting| waiting.frames).unwrap_or_default()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is due.
    pub(crate) fn on_time(&mut self, now: Instant) -> Due {
        let mut due = Due::default();
        self.0.retain(|address, waiting| {
            if now < waiting.next_request {
                return true;
            }
            if waiting.requests >= MAX_REQUESTS {
                due.dropped = due.dropped.saturating_add(waiting.frames.len());
                return false;
            }
            waiting.requests = waiting.requests.saturating_add(1);
            waiting.next_request = now.after(INTERVAL);
            due.requests.push(*address);
            true
        });
        let nexts = self.0.values().map(|waiting| waiting.next_request);
        due.next = nexts.min();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    #[test]
    fn an_address_is_asked_for_three_times() {
        let mut queue = NeighborQueue::default();
        assert_eq!(queue.keep(address(), &[1], Instant(0)), 0);
        let mut now = Instant(0);
        for _ in 0..MAX_REQUESTS {
            let due = queue.on_time(now);
            assert_eq!((due.requests, due.dropped), (vec![address()], 0));
            assert!(queue.on_time(now).requests.is_empty());
            now = due.next.unwrap();
        }
        assert_eq!(now, Instant(0).after(Duration::seconds(3)));
        let dropped = 1;
        assert_eq!(
            queue.on_time(now),
            Due {
                dropped,
                ..Due::default()
            }
        );
        assert!(queue.is_empty());
    }

    #[test]
    fn an_answer_frees_what_waits_in_its_order() {
        let mut queue = NeighborQueue::default();
        for number in 0..70 {
            let dropped = queue.keep(address(), &[number], Instant(0));
            assert_eq!(dropped == 1, usize::from(number) >= MAX_FRAMES);
        }
        let frames = queue.take(address());
        assert_eq!((frames.len(), frames.front()), (MAX_FRAMES, Some(&vec![6])));
        assert!(queue.take(address()).is_empty() && queue.is_empty());
        assert_eq!(queue.on_time(Instant(0)), Due::default());
    }

    #[test]
    fn a_scan_of_addresses_is_bounded() {
        let mut queue = NeighborQueue::default();
        let lost: usize = (0..300)
            .map(|n: u32| queue.keep(std::net::Ipv4Addr::from(n).into(), &[0], Instant(0)))
            .sum();
        assert_eq!(lost, 300 - MAX_ADDRESSES);
    }
}
