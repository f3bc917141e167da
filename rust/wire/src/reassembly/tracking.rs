//! Following the fragments of packets without keeping their data: what the first one shows holds for
//! those behind it (RFC 4301, section 7.3 and appendix D.6).
//!
//! ```text
//!            first fragment               every gap closed, then
//! (nothing) ----------------> following -------------------------> (nothing)
//!                               |  |         another first one
//!          overlap, too many    |  | its time is over, or pushed out by newer ones
//!                               v  v
//!                  refused until its time is over
//! ```
//!
//! A fragment whose first one has not been seen is refused: it may be of any packet.

use std::collections::BTreeMap;

use super::{Key, Part, Refusal};
use crate::extension_header::{Fragment, HeaderChain};
use crate::flow::FlowKey;

/// How much is kept of packets in fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackingLimits {
    /// Packets at the same time.
    pub packets: usize,
    /// Fragments of one packet.
    pub fragments: usize,
    /// How long after its first fragment a packet is followed, in nanoseconds.
    pub timeout_ns: u64,
}

/// What is known of a fragment's packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// Selector fields of the first fragment, ports with them.
    pub first: FlowKey,
    /// Whether a fragment of the same place and length was here before.
    pub is_again: bool,
}

/// Packets whose first fragment has been seen.
#[derive(Debug)]
pub struct FragmentTracker {
    limits: TrackingLimits,
    packets: BTreeMap<(u32, Key), Packet>,
    /// Number of each packet, the oldest first, to its key.
    ages: BTreeMap<u64, (u32, Key)>,
    next_number: u64,
}

#[derive(Debug)]
struct Packet {
    number: u64,
    started_ns: u64,
    first: FlowKey,
    /// Begin and end of each fragment, in order; no two overlap.
    parts: Vec<(usize, usize)>,
    /// Where the packet's data ends.
    end: Option<usize>,
    is_given_up: bool,
}

impl FragmentTracker {
    /// Follow nothing yet.
    pub fn new(limits: TrackingLimits) -> Self {
        Self {
            limits,
            packets: BTreeMap::new(),
            ages: BTreeMap::new(),
            next_number: 0,
        }
    }

    /// Take note of a fragment.
    ///
    /// Args:
    ///     context: Tells packets apart that come in different ways and have nothing to do with each
    ///         other, such as SAs.
    ///     octets: Begins with the fragment; what is behind its end is ignored.
    ///     `now_ns`: Nanoseconds of a clock that never goes back.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when it must not go on.
    pub fn follow(
        &mut self,
        context: u32,
        octets: &[u8],
        now_ns: u64,
    ) -> Result<Followed, Refusal> {
        self.expire(now_ns);
        let chain = HeaderChain::parse(octets).ok_or(Refusal::Malformed)?;
        let fragment = chain.fragment.filter(Fragment::is_part);
        let fragment = fragment.ok_or(Refusal::NotFragment)?;
        let packet = octets.get(..chain.total).ok_or(Refusal::Malformed)?;
        let part = Part::read(&chain, fragment, packet)?;
        let key = (context, part.key);
        let known = self.packets.get(&key);
        if fragment.offset == 0 && known.is_none_or(Packet::is_complete) {
            self.start(key, part.outline.flow, now_ns);
        }
        let packet = self.packets.get_mut(&key).ok_or(Refusal::FirstMissing)?;
        let is_again = packet.add(fragment, &part, self.limits.fragments)?;
        Ok(Followed {
            first: packet.first,
            is_again,
        })
    }

    /// Packets that are followed.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether nothing is followed.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    fn expire(&mut self, now_ns: u64) {
        while let Some((_, key)) = self.ages.first_key_value() {
            let started = self.packets.get(key).map_or(0, |packet| packet.started_ns);
            if started.saturating_add(self.limits.timeout_ns) > now_ns {
                break;
            }
            self.remove_oldest();
        }
    }

    fn start(&mut self, key: (u32, Key), first: FlowKey, now_ns: u64) {
        if let Some(old) = self.packets.remove(&key) {
            self.ages.remove(&old.number);
        }
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        let packet = Packet {
            number,
            started_ns: now_ns,
            first,
            parts: Vec::new(),
            end: None,
            is_given_up: false,
        };
        self.packets.insert(key, packet);
        self.ages.insert(number, key);
        while self.packets.len() > self.limits.packets {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        if let Some((_, key)) = self.ages.pop_first() {
            self.packets.remove(&key);
        }
    }
}

impl Packet {
    fn is_complete(&self) -> bool {
        let octets: usize = self.parts.iter().map(|(begin, end)| end - begin).sum();
        self.end == Some(octets)
    }

    /// Note a fragment, or give the packet up.
    ///
    /// Returns:
    /// Whether it was here before.
    fn add(&mut self, fragment: Fragment, part: &Part, most: usize) -> Result<bool, Refusal> {
        if self.is_given_up {
            return Err(Refusal::GivenUp);
        }
        let span = (fragment.offset, fragment.offset.saturating_add(part.octets));
        let place = self.parts.partition_point(|other| *other < span);
        let is_last = !fragment.more;
        if self.parts.get(place) == Some(&span) && is_last == (self.end == Some(span.1)) {
            let is_same = span.0 != 0 || self.first == part.outline.flow;
            return if is_same { Ok(true) } else { self.give_up() };
        }
        if self.overlaps(place, span, is_last) {
            return self.give_up();
        }
        if self.parts.len() >= most {
            self.is_given_up = true;
            return Err(Refusal::TooMany);
        }
        if is_last {
            self.end = Some(span.1);
        }
        self.parts.insert(place, span);
        Ok(false)
    }

    /// Whether octets of a fragment that belongs before the part at a place are of another one, or
    /// behind the end.
    fn overlaps(&self, place: usize, span: (usize, usize), is_last: bool) -> bool {
        let (before, after) = self.parts.split_at_checked(place).unwrap_or_default();
        let is_behind_end = self.end.is_some_and(|end| is_last || span.1 >= end);
        let is_end_too_soon = is_last && !after.is_empty();
        before.last().is_some_and(|other| other.1 > span.0)
            || after.first().is_some_and(|other| other.0 < span.1)
            || is_behind_end
            || is_end_too_soon
    }

    fn give_up(&mut self) -> Result<bool, Refusal> {
        self.is_given_up = true;
        Err(Refusal::Overlap)
    }
}

#[cfg(test)]
mod tests;
