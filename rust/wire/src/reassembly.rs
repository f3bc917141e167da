//! Putting fragments together (RFC 791, section 3.2; RFC 8200, section 4.5), with bounds on what
//! strangers can make us keep.
//!
//! ```text
//!            first fragment        every gap closed
//! (nothing) ----------------> waiting -----------------> whole packet
//!                               |  |
//!          overlap, too many    |  | 60 seconds, or pushed out by newer ones
//!                               v  v
//!                  refused until its time is over
//! ```
//!
//! Fragments that overlap end their packet, in IPv4 as in IPv6 (RFC 5722, section 4): an honest
//! sender makes none, and which of two copies a filter saw would not be known.

use std::collections::BTreeMap;

use crate::extension_header::{Fragment, HeaderChain, NO_NEXT_HEADER};
use crate::ip::{self, IpPacket};

mod gathering;
mod tracking;

use gathering::Gathering;

pub use tracking::{Followed, FragmentTracker, TrackingLimits};

/// How much is kept for fragments whose packet is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReassemblyLimits {
    /// Packets at the same time.
    pub packets: usize,
    /// Octets of all of them, with what it costs to keep them.
    pub octets: usize,
    /// Fragments of one packet.
    pub fragments: usize,
    /// How long after its first fragment a packet is given up, in nanoseconds.
    pub timeout_ns: u64,
}

/// Why a fragment is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The same fragment is there already.
    Duplicate,
    /// Congestion was marked on a part of a packet whose sender cannot know (RFC 3168, section 5.3).
    EcnMismatch,
    /// Its packet was given up before.
    GivenUp,
    /// A length that no fragment has, or beyond the largest packet.
    Malformed,
    /// Not a fragment at all.
    NotFragment,
    /// It overlaps another, or is behind the end; its packet is given up.
    Overlap,
    /// Nothing is known of its packet's first fragment.
    FirstMissing,
    /// The first fragment does not show the next layer's header (RFC 1858, section 3; RFC 3128;
    /// RFC 8200, section 4.5), or a later one could change it.
    Tiny,
    /// More fragments than one packet may have; it is given up.
    TooMany,
}

/// How many packets were lost before they were whole, since somebody asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Pushed out by newer ones.
    pub evicted: u64,
    /// Their time was over.
    pub expired: u64,
}

/// What the fragments of one packet have in common (RFC 791, section 3.2; RFC 8200, section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    is_ipv6: bool,
    source: u128,
    destination: u128,
    /// Zero in IPv6, where fragments may differ in it.
    protocol: u8,
    identification: u32,
}

/// A fragment, and to which packet it belongs.
struct Part {
    key: Key,
    outline: IpPacket,
    /// Of its data.
    octets: usize,
}

/// The fragments that wait for others.
#[derive(Debug)]
pub struct Reassembler {
    limits: ReassemblyLimits,
    gatherings: BTreeMap<Key, Gathering>,
    /// Number of each gathering, the oldest first, to its key.
    ages: BTreeMap<u64, Key>,
    next_number: u64,
    octets: usize,
    lost: Lost,
}

const TCP_LEAST_IPV4: usize = 16;
const TCP_LEAST_IPV6: usize = 20;
const LEAST_HEADER: usize = 8;

impl Default for ReassemblyLimits {
    /// 256 packets, 4 MiB, 128 fragments each, 60 seconds (RFC 8200, section 4.5; RFC 1122, section
    /// 3.3.2).
    fn default() -> Self {
        Self {
            packets: 256,
            octets: 4 << 20,
            fragments: 128,
            timeout_ns: 60_000_000_000,
        }
    }
}

impl Reassembler {
    /// Make an empty one.
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self {
            limits,
            gatherings: BTreeMap::new(),
            ages: BTreeMap::new(),
            next_number: 0,
            octets: 0,
            lost: Lost::default(),
        }
    }

    /// Take a fragment.
    ///
    /// Args:
    ///     octets: Begins with the fragment; what is behind its end is ignored.
    ///     `now_ns`: Nanoseconds of a clock that never goes back.
    ///
    /// Returns:
    /// The whole packet when this was the last that was missing: without fragment header or flags,
    /// its lengths and checksum set right.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when the fragment was not kept.
    pub fn insert(&mut self, octets: &[u8], now_ns: u64) -> Result<Option<Vec<u8>>, Refusal> {
        self.expire(now_ns);
        let chain = HeaderChain::parse(octets).ok_or(Refusal::Malformed)?;
        let fragment = chain.fragment.ok_or(Refusal::NotFragment)?;
        let packet = octets.get(..chain.total).ok_or(Refusal::Malformed)?;
        if !fragment.is_part() {
            return gathering::unwrap_whole(packet, fragment).map(Some);
        }
        let part = Part::read(&chain, fragment, packet)?;
        let headers = packet.len().saturating_sub(part.octets);
        let class = part.outline.traffic_class;
        let piece = gathering::Piece::new(packet, headers, fragment, class);
        self.add(part.key, &piece, now_ns)
    }

    /// Give up what is too old; [`Self::insert`] does it too.
    pub fn expire(&mut self, now_ns: u64) {
        while self.next_timeout().is_some_and(|timeout| timeout <= now_ns) {
            let was_waiting = self.remove_oldest();
            self.lost.expired = self.lost.expired.saturating_add(u64::from(was_waiting));
        }
    }

    /// When [`Self::expire`] has something to do next, in nanoseconds.
    pub fn next_timeout(&self) -> Option<u64> {
        let (_, key) = self.ages.first_key_value()?;
        let started = self.gatherings.get(key)?.started_ns;
        Some(started.saturating_add(self.limits.timeout_ns))
    }

    /// How many were lost since the last call.
    pub fn take_lost(&mut self) -> Lost {
        std::mem::take(&mut self.lost)
    }

    /// Packets that are not whole.
    pub fn len(&self) -> usize {
        self.gatherings.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.gatherings.is_empty()
    }

    /// Octets in use, never more than the limit.
    pub fn octets(&self) -> usize {
        self.octets
    }

    fn add(
        &mut self,
        key: Key,
        piece: &gathering::Piece<'_>,
        now_ns: u64,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        if !self.gatherings.contains_key(&key) {
            self.start(key, now_ns);
        }
        let gathering = self.gatherings.get_mut(&key).ok_or(Refusal::GivenUp)?;
        let before = gathering.octets();
        let added = gathering.add(piece, self.limits.fragments);
        let is_complete = gathering.is_complete();
        let after = gathering.octets();
        self.octets = self.octets.saturating_sub(before).saturating_add(after);
        added?;
        if is_complete {
            return self.finish(key).map(Some);
        }
        self.make_room();
        Ok(None)
    }

    fn start(&mut self, key: Key, now_ns: u64) {
        let gathering = Gathering::new(self.next_number, now_ns);
        self.octets = self.octets.saturating_add(gathering.octets());
        self.ages.insert(self.next_number, key);
        self.gatherings.insert(key, gathering);
        self.next_number = self.next_number.wrapping_add(1);
    }

    fn finish(&mut self, key: Key) -> Result<Vec<u8>, Refusal> {
        let gathering = self.remove(key).ok_or(Refusal::GivenUp)?;
        gathering.join()
    }

    /// Push out the oldest until the rest is within the limits.
    fn make_room(&mut self) {
        while self.gatherings.len() > self.limits.packets || self.octets > self.limits.octets {
            let was_waiting = self.remove_oldest();
            self.lost.evicted = self.lost.evicted.saturating_add(u64::from(was_waiting));
        }
    }

    /// Returns:
    /// Whether it still waited for fragments.
    fn remove_oldest(&mut self) -> bool {
        let oldest = self.ages.pop_first();
        let removed = oldest.and_then(|(_, key)| self.remove(key));
        removed.is_some_and(|gathering| !gathering.is_given_up())
    }

    fn remove(&mut self, key: Key) -> Option<Gathering> {
        let gathering = self.gatherings.remove(&key)?;
        self.ages.remove(&gathering.number);
        self.octets = self.octets.saturating_sub(gathering.octets());
        Some(gathering)
    }
}

impl Part {
    /// Read a fragment and check what can be said of it alone.
    fn read(chain: &HeaderChain, fragment: Fragment, packet: &[u8]) -> Result<Self, Refusal> {
        let data = packet
            .get(data_start(chain, fragment)..)
            .ok_or(Refusal::Malformed)?;
        let outline = ip::parse(packet).ok_or(Refusal::Malformed)?;
        let is_ipv6 = outline.flow.is_ipv6();
        check_length(fragment, data)?;
        check_not_tiny(chain, fragment, packet, is_ipv6)?;
        let key = Key {
            is_ipv6,
            source: outline.flow.source_bits(),
            destination: outline.flow.destination_bits(),
            protocol: if is_ipv6 { 0 } else { chain.protocol },
            identification: fragment.identification,
        };
        Ok(Self {
            key,
            outline,
            octets: data.len(),
        })
    }
}

/// Where the data of a fragment begins: in IPv6 behind the fragment header, whatever follows it.
fn data_start(chain: &HeaderChain, fragment: Fragment) -> usize {
    match fragment.header {
        Some(header) => header
            .offset
            .saturating_add(crate::extension_header::FRAGMENT_OCTETS),
        None => chain.next_layer.offset,
    }
}

fn check_length(fragment: Fragment, data: &[u8]) -> Result<(), Refusal> {
    let end = fragment.offset.saturating_add(data.len());
    let is_odd = fragment.more && !data.len().is_multiple_of(8);
    if data.is_empty() || is_odd || end > usize::from(u16::MAX) {
        return Err(Refusal::Malformed);
    }
    Ok(())
}

fn check_not_tiny(
    chain: &HeaderChain,
    fragment: Fragment,
    packet: &[u8],
    is_ipv6: bool,
) -> Result<(), Refusal> {
    if fragment.offset != 0 {
        // RFC 1858, section 3.2.2: what is at octet 8 could be TCP's flags.
        let hides_flags = !is_ipv6 && chain.protocol == ip::TCP && fragment.offset == LEAST_HEADER;
        return if hides_flags {
            Err(Refusal::Tiny)
        } else {
            Ok(())
        };
    }
    let least = match (chain.protocol, is_ipv6) {
        (ip::TCP, false) => TCP_LEAST_IPV4,
        (ip::TCP, true) => TCP_LEAST_IPV6,
        (NO_NEXT_HEADER, true) => 0,
        _ => LEAST_HEADER,
    };
    match chain.next_layer.offset.checked_add(least) {
        Some(end) if end <= packet.len() => Ok(()),
        _ => Err(Refusal::Tiny),
    }
}

#[cfg(test)]
mod tests;
