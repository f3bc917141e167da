//! The queue in which the kernel keeps packets until they are read from a TUN device.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::interface;

/// What the kernel counts of every interface of the calling thread's network namespace (proc(5)).
const STATISTICS: &str = "/proc/thread-self/net/dev";
/// `tx_dropped` among the numbers of a line: of the eight about packets that leave, the fourth.
const DROPPED: usize = 8 + 3;

/// Length of a device's queue in packets, superpackets being one: twice what a TUN device is made with, and
/// what an Ethernet interface has. A worker that has to wait a millisecond for its turn finds all of them.
const PACKETS: i32 = 1000;
/// What the kernel makes a TUN device with; another number is somebody's choice.
const DEFAULT_PACKETS: i32 = 500;

/// The queue of one device.
#[derive(Debug)]
pub(crate) struct DeviceQueue {
    name: String,
    seen: AtomicU64,
}

impl DeviceQueue {
    /// The queue of a device that was just opened; it becomes longer, where nobody chose its length.
    pub(crate) fn of(name: &str) -> Self {
        // Without it packets are lost a little earlier, nothing else.
        let _ = interface::lengthen_queue(name, DEFAULT_PACKETS, PACKETS);
        Self {
            name: name.to_owned(),
            seen: AtomicU64::new(dropped(name).unwrap_or(0)),
        }
    }

    /// How many packets the kernel dropped since the last call because the queue was full.
    pub(crate) fn take_overflows(&self) -> usize {
        let Some(now) = dropped(&self.name) else {
            return 0;
        };
        let before = self.seen.swap(now, Ordering::Relaxed);
        usize::try_from(now.saturating_sub(before)).unwrap_or(usize::MAX)
    }
}

fn dropped(name: &str) -> Option<u64> {
    dropped_in(&fs::read_to_string(STATISTICS).ok()?, name)
}

fn dropped_in(statistics: &str, name: &str) -> Option<u64> {
    statistics.lines().find_map(|line| {
        let (device, numbers) = line.split_once(':')?;
        let number = (device.trim() == name).then(|| numbers.split_whitespace().nth(DROPPED))?;
        number?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1     2    3    4    5     6          7         8      9     10    11   12    13     14      15         16
  tun0: 84 1 0 0 0 0 0 0 69056384 750640 0 278431 0 0 0 0
 tun01: 84 1 0 0 0 0 0 0 69056384 750640 0 5 0 0 0 0
";

    #[test]
    fn drops_are_those_of_packets_on_their_way_out() {
        assert_eq!(dropped_in(LINES, "lo"), Some(12));
        assert_eq!(dropped_in(LINES, "tun0"), Some(278_431));
        assert_eq!(dropped_in(LINES, "tun"), None);
        assert_eq!(dropped_in("", "tun0"), None);
    }

    #[test]
    fn the_kernel_tells_of_the_loopback_device() {
        assert_eq!(dropped("lo"), Some(0));
    }
}
