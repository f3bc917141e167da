//! What the path of an SA takes in one piece, and for how long that is believed
//! (RFC 4301, section 8.2).

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::processing::Processing;
use crate::time::{Duration, Instant};

/// No path's MTU is believed to be smaller: a forged ICMP error shall not make a flood of
/// fragments. RFC 1191, section 7.1, knows links down to 296 octets; 552 is what hosts use.
const LEAST_IPV4: u32 = 552;
/// RFC 8200, section 5.
const LEAST_IPV6: u32 = 1280;

/// The path MTU of one outbound SA, in octets of the outer packet.
pub(crate) struct PathMtu {
    configured: Option<u16>,
    age: Duration,
    learnt: AtomicU32,
    until: AtomicU64,
}

impl PathMtu {
    pub(crate) fn new(processing: &Processing) -> Self {
        Self {
            configured: processing.path_mtu,
            age: processing.path_mtu_age,
            learnt: AtomicU32::new(0),
            until: AtomicU64::new(0),
        }
    }

    /// The path MTU, `None` when nothing is known of it.
    #[inline]
    pub(crate) fn get(&self, now: Instant) -> Option<usize> {
        let configured = self.configured.map(usize::from);
        let learnt = self.learnt.load(Ordering::Relaxed);
        if learnt == 0 {
            return configured;
        }
        self.believe(learnt, now).or(configured)
    }

    /// What was learnt and when it is to be forgotten; `None` when nothing was, or it is already.
    pub(crate) fn learnt(&self) -> Option<(u32, Instant)> {
        let learnt = self.learnt.load(Ordering::Relaxed);
        let until = Instant(self.until.load(Ordering::Relaxed));
        (learnt != 0).then_some((learnt, until))
    }

    /// Note what a router or the system said about the path to `remote`.
    ///
    /// Returns:
    /// Whether it is lower than what was known.
    pub(crate) fn learn(&self, mtu: u32, remote: IpAddr, now: Instant) -> bool {
        let least = if remote.is_ipv4() {
            LEAST_IPV4
        } else {
            LEAST_IPV6
        };
        let mtu = mtu.max(least);
        let known = self.get(now);
        if known.is_some_and(|known| usize::try_from(mtu).is_ok_and(|mtu| mtu >= known)) {
            return false;
        }
        let until = now.after(self.age);
        self.until.store(until.0, Ordering::Relaxed);
        self.learnt.store(mtu, Ordering::Relaxed);
        true
    }

    //= https://www.rfc-editor.org/rfc/rfc4301#section-8.2.2
    //# In all IPsec implementations, the PMTU associated with an SA MUST be "aged"
    #[cold]
    fn believe(&self, learnt: u32, now: Instant) -> Option<usize> {
        if now < Instant(self.until.load(Ordering::Relaxed)) {
            return usize::try_from(learnt).ok();
        }
        self.learnt.store(0, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processing::Mode;

    const REMOTE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    // covers R4301-8.2.2-1
    #[test]
    fn what_was_learnt_is_forgotten_in_time() {
        let mut processing = Processing::of(Mode::Tunnel);
        processing.path_mtu = Some(1500);
        processing.path_mtu_age = Duration::seconds(10);
        let path = PathMtu::new(&processing);
        let (early, late) = (Instant(5), Instant(5).after(Duration::seconds(10)));
        assert_eq!(path.get(early), Some(1500));
        assert!(path.learn(1400, REMOTE, early));
        assert_eq!(
            (path.get(early), path.learnt()),
            (Some(1400), Some((1400, late)))
        );
        assert!(
            !path.learn(1450, REMOTE, early),
            "larger than what is known"
        );
        assert_eq!((path.get(late), path.learnt()), (Some(1500), None));
    }

    #[test]
    fn absurd_sizes_are_not_believed() {
        let path = PathMtu::new(&Processing::of(Mode::Tunnel));
        assert_eq!(path.get(Instant(1)), None);
        assert!(path.learn(60, REMOTE, Instant(1)));
        assert_eq!(path.get(Instant(1)), Some(552));
        assert!(!path.learn(9, "::1".parse().unwrap(), Instant(1)));
    }
}
