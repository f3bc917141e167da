//! Packets ready to be sent, laid out so that one run is one `sendmsg` with `UDP_SEGMENT`.

use std::ops::Range;
use std::sync::Arc;

use perilune_wire::extension_header::ESP;
use perilune_wire::ip::{self, UDP};

use crate::outer_header::OuterHeader;
use crate::path::{Encapsulation, Path};
use crate::processing::Processing;
use crate::sa::OutboundSa;
use crate::turn::Sender;
use crate::whole_packet::{finish_udp, udp_header};

/// Most segments in one run (the kernel's `UDP_MAX_SEGMENTS` was 64 before Linux 6.9).
pub const MAX_RUN_SEGMENTS: usize = 64;
/// Most octets in one run, so that it fits an IP packet with its headers.
pub const MAX_RUN_OCTETS: usize = 65_000;

/// ESP packets of one SA, one after the other without gaps.
///
/// All are `segment_size` octets long; the last may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Where they go.
    pub path: Path,
    /// What they travel in.
    pub encapsulation: Encapsulation,
    /// TOS or Traffic Class for the outer header: DSCP and ECN of the inner one
    /// (RFC 4301, section 5.1.2; RFC 6040, section 4.1).
    pub traffic_class: u8,
    /// DF of an IPv4 outer header.
    pub dont_fragment: bool,
    /// Where the first begins, in octets from the start of the batch.
    pub offset: usize,
    /// Length of all of them in octets.
    pub len: usize,
    /// Length of each in octets.
    pub segment_size: usize,
    /// How many they are, 1 to [`MAX_RUN_SEGMENTS`].
    pub count: usize,
}

/// What is said outside of the packets of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outside {
    pub(crate) path: Path,
    pub(crate) encapsulation: Encapsulation,
    pub(crate) traffic_class: u8,
    pub(crate) dont_fragment: bool,
}

/// A preallocated buffer of ESP packets, of whole packets and of packets that bypass.
pub struct SealedBatch {
    buffer: Box<[u8]>,
    used: usize,
    runs: Vec<Run>,
    run_open: bool,
    bypass: Vec<Range<usize>>,
    whole: Vec<Range<usize>>,
    /// `None` for one that takes no turns.
    sender: Option<Sender>,
    /// SAs whose turn is this batch's until it is emptied.
    turns: Vec<Arc<OutboundSa>>,
}

impl SealedBatch {
    /// Least useful capacity: a full-sized packet of the device with its ESP overhead.
    pub const MIN_OCTETS: usize = 68_000;
    /// A good capacity: a few superpackets.
    pub const DEFAULT_OCTETS: usize = 4 * 72 * 1024;

    /// Allocate a batch of so many octets, at least [`Self::MIN_OCTETS`].
    pub fn with_capacity(octets: usize) -> Self {
        Self {
            buffer: vec![0; octets.max(Self::MIN_OCTETS)].into_boxed_slice(),
            used: 0,
            runs: Vec::with_capacity(256),
            run_open: false,
            bypass: Vec::with_capacity(256),
            whole: Vec::new(),
            sender: None,
            turns: Vec::new(),
        }
    }

    /// The same for one of several threads whose packets are to leave in the order of their sequence
    /// numbers: while it has packets of an SA, all other such batches get none of that SA. So it has to
    /// be sent and emptied soon, and a thread must not have two.
    pub fn in_turn(octets: usize) -> Self {
        let mut batch = Self::with_capacity(octets);
        batch.sender = Some(Sender::new());
        batch
    }

    /// What to send, in order.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The octets of a run of this batch; empty for a run of another one.
    pub fn octets(&self, run: &Run) -> &[u8] {
        let end = run.offset.saturating_add(run.len);
        self.buffer.get(run.offset..end).unwrap_or_default()
    }

    /// Whole IP packets to be sent in the clear, checksums complete.
    pub fn bypass(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.bypass
            .iter()
            .map(|range| self.buffer.get(range.clone()).unwrap_or_default())
    }

    /// Whole IP packets with AH or ESP in them, to be sent with the headers they have.
    pub fn whole(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.whole
            .iter()
            .map(|range| self.buffer.get(range.clone()).unwrap_or_default())
    }

    /// Everything protected as whole IP packets: the runs with the headers that sockets would give
    /// them, then those that have theirs.
    pub fn to_packets(&self) -> Vec<Vec<u8>> {
        let of_runs = self.runs.iter().flat_map(|run| {
            let packets = self.octets(run).chunks(run.segment_size.max(1));
            packets.filter_map(|esp| run.with_headers(esp))
        });
        of_runs.chain(self.whole().map(<[u8]>::to_vec)).collect()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.bypass.is_empty() && self.whole.is_empty()
    }

    /// Forget everything; keeps the memory.
    pub fn clear(&mut self) {
        self.used = 0;
        self.runs.clear();
        self.run_open = false;
        self.bypass.clear();
        self.whole.clear();
        for sa in self.turns.drain(..) {
            sa.turn.end();
        }
    }

    /// Have the turn of an SA, if need be after a wait.
    ///
    /// Returns:
    /// `false` when it is another's and this batch has something to send before it may wait.
    #[inline]
    pub(crate) fn has_turn(&mut self, sa: &Arc<OutboundSa>) -> bool {
        match &self.sender {
            Some(sender) if !sa.turn.is_of(sender) => self.take_turn(sa),
            _ => true,
        }
    }

    fn take_turn(&mut self, sa: &Arc<OutboundSa>) -> bool {
        let Some(sender) = &self.sender else {
            return true;
        };
        if !sa.turn.take(sender) {
            if !self.turns.is_empty() || !self.is_empty() {
                return false;
            }
            sa.turn.wait(sender);
        }
        self.turns.push(Arc::clone(sa));
        true
    }

    /// Octets of free space.
    #[inline]
    pub(crate) fn free(&self) -> usize {
        self.buffer.len().saturating_sub(self.used)
    }

    /// The next `octets` of free space, or `None` when there are fewer.
    #[inline]
    pub(crate) fn space(&mut self, octets: usize) -> Option<&mut [u8]> {
        let end = self.used.checked_add(octets)?;
        self.buffer.get_mut(self.used..end)
    }

    /// Say what is outside of the ESP packets that come next: what goes elsewhere than those before
    /// begins a run.
    pub(crate) fn turn_to(&mut self, outside: &Outside) {
        let last = self.runs.last();
        self.run_open = self.run_open && last.is_some_and(|run| run.goes(outside));
    }

    /// Keep what was written to the first `octets` of [`Self::space`] as one ESP packet, of which
    /// [`Self::turn_to`] was told what is outside.
    #[inline]
    pub(crate) fn commit_esp(&mut self, octets: usize, outside: &Outside) {
        let offset = self.used;
        self.used = self.used.saturating_add(octets);
        if self.run_open
            && let Some(run) = self.runs.last_mut()
            && run.takes(octets)
        {
            run.len = run.len.saturating_add(octets);
            run.count = run.count.saturating_add(1);
            self.run_open = octets == run.segment_size && run.count < MAX_RUN_SEGMENTS;
            return;
        }
        self.runs.push(Run {
            path: outside.path,
            encapsulation: outside.encapsulation,
            traffic_class: outside.traffic_class,
            dont_fragment: outside.dont_fragment,
            offset,
            len: octets,
            segment_size: octets,
            count: 1,
        });
        self.run_open = true;
    }

    /// Keep a protected packet that has its IP header.
    ///
    /// Returns:
    /// `None` when there is no room.
    pub(crate) fn commit_whole(&mut self, packet: &[u8]) -> Option<()> {
        self.space(packet.len())?.copy_from_slice(packet);
        let offset = self.used;
        self.used = self.used.saturating_add(packet.len());
        self.whole.push(offset..self.used);
        self.run_open = false;
        Some(())
    }

    /// Keep what was written to the first `octets` of [`Self::space`] as one packet in the clear.
    pub(crate) fn commit_bypass(&mut self, octets: usize) {
        let offset = self.used;
        self.used = self.used.saturating_add(octets);
        self.bypass.push(offset..self.used);
        self.run_open = false;
    }
}

impl Drop for SealedBatch {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Run {
    /// One packet of the run behind an IP header, and a UDP header where it travels in UDP.
    fn with_headers(&self, esp: &[u8]) -> Option<Vec<u8>> {
        let header = OuterHeader {
            source: self.path.local.ip(),
            destination: self.path.remote.ip(),
            traffic_class: self.traffic_class,
            hop_limit: Processing::HOP_LIMIT,
            flow_label: 0,
            dont_fragment: self.dont_fragment,
            identification: 1,
        };
        let protocol = match self.encapsulation {
            Encapsulation::None => ESP,
            Encapsulation::Udp => UDP,
        };
        let (mut packet, _) = header.to_octets(protocol)?;
        let udp_at = packet.len();
        if self.encapsulation == Encapsulation::Udp {
            packet.extend_from_slice(&udp_header(&self.path));
        }
        packet.extend_from_slice(esp);
        ip::set_length(&mut packet)?;
        if self.encapsulation == Encapsulation::Udp {
            finish_udp(&mut packet, udp_at)?;
        }
        Some(packet)
    }

    #[inline]
    fn takes(&self, octets: usize) -> bool {
        octets <= self.segment_size && self.len.saturating_add(octets) <= MAX_RUN_OCTETS
    }

    #[inline]
    fn goes(&self, outside: &Outside) -> bool {
        self.traffic_class == outside.traffic_class
            && self.dont_fragment == outside.dont_fragment
            && self.encapsulation == outside.encapsulation
            && self.path == outside.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside(port: u16) -> Outside {
        Outside {
            path: Path {
                local: "192.0.2.1:4500".parse().unwrap(),
                remote: ([192, 0, 2, 2], port).into(),
            },
            encapsulation: Encapsulation::Udp,
            traffic_class: 0,
            dont_fragment: false,
        }
    }

    fn shapes(sizes: &[(usize, u16)]) -> Vec<(usize, usize, usize)> {
        let mut batch = SealedBatch::with_capacity(1 << 20);
        for &(octets, port) in sizes {
            batch.space(octets).unwrap();
            batch.turn_to(&outside(port));
            batch.commit_esp(octets, &outside(port));
        }
        batch
            .runs()
            .iter()
            .map(|run| (run.offset, run.segment_size, run.count))
            .collect()
    }

    #[test]
    fn equal_packets_make_one_run_that_a_shorter_one_ends() {
        assert_eq!(
            shapes(&[(100, 1), (100, 1), (60, 1), (60, 1)]),
            [(0, 100, 3), (260, 60, 1)]
        );
    }

    #[test]
    fn a_longer_packet_or_another_path_begins_a_run() {
        assert_eq!(shapes(&[(60, 1), (100, 1)]), [(0, 60, 1), (60, 100, 1)]);
        assert_eq!(shapes(&[(60, 1), (60, 2)]), [(0, 60, 1), (60, 60, 1)]);
    }

    #[test]
    fn runs_stay_within_what_the_kernel_takes() {
        let runs = shapes(&[(1000, 1); 130]);
        assert_eq!(
            runs.iter().map(|run| run.2).collect::<Vec<_>>(),
            [64, 64, 2]
        );
        let runs = shapes(&[(30_000, 1); 3]);
        assert_eq!(runs.iter().map(|run| run.2).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn a_bypassed_packet_splits_a_run() {
        let mut batch = SealedBatch::with_capacity(0);
        batch.commit_esp(50, &outside(1));
        batch.commit_bypass(20);
        batch.commit_esp(50, &outside(1));
        assert_eq!(batch.runs().len(), 2);
        assert_eq!(batch.bypass().map(<[u8]>::len).collect::<Vec<_>>(), [20]);
        batch.clear();
        assert!(batch.is_empty());
    }
}
