//! Packets ready to be sent, laid out so that one run is one `sendmsg` with `UDP_SEGMENT`.

use std::ops::Range;

use crate::path::{Encapsulation, Path};

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
    /// Where the first begins, in octets from the start of the batch.
    pub offset: usize,
    /// Length of all of them in octets.
    pub len: usize,
    /// Length of each in octets.
    pub segment_size: usize,
    /// How many they are, 1 to [`MAX_RUN_SEGMENTS`].
    pub count: usize,
}

/// A preallocated buffer of ESP packets and of packets that bypass.
pub struct SealedBatch {
    buffer: Box<[u8]>,
    used: usize,
    runs: Vec<Run>,
    run_open: bool,
    bypass: Vec<Range<usize>>,
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
        }
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

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.bypass.is_empty()
    }

    /// Forget everything; keeps the memory.
    pub fn clear(&mut self) {
        self.used = 0;
        self.runs.clear();
        self.run_open = false;
        self.bypass.clear();
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

    /// Keep what was written to the first `octets` of [`Self::space`] as one ESP packet.
    #[inline]
    pub(crate) fn commit_esp(
        &mut self,
        octets: usize,
        path: &Path,
        encapsulation: Encapsulation,
        traffic_class: u8,
    ) {
        let offset = self.used;
        self.used = self.used.saturating_add(octets);
        if self.run_open
            && let Some(run) = self.runs.last_mut()
            && run.takes(octets, path, encapsulation, traffic_class)
        {
            run.len = run.len.saturating_add(octets);
            run.count = run.count.saturating_add(1);
            self.run_open = octets == run.segment_size && run.count < MAX_RUN_SEGMENTS;
            return;
        }
        let (segment_size, path) = (octets, *path);
        self.runs.push(Run {
            path,
            encapsulation,
            traffic_class,
            offset,
            len: octets,
            segment_size,
            count: 1,
        });
        self.run_open = true;
    }

    /// Keep what was written to the first `octets` of [`Self::space`] as one packet in the clear.
    pub(crate) fn commit_bypass(&mut self, octets: usize) {
        let offset = self.used;
        self.used = self.used.saturating_add(octets);
        self.bypass.push(offset..self.used);
        self.run_open = false;
    }
}

impl Run {
    #[inline]
    fn takes(
        &self,
        octets: usize,
        path: &Path,
        encapsulation: Encapsulation,
        traffic_class: u8,
    ) -> bool {
        octets <= self.segment_size
            && self.len.saturating_add(octets) <= MAX_RUN_OCTETS
            && self.traffic_class == traffic_class
            && self.encapsulation == encapsulation
            && self.path == *path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        Path {
            local: "192.0.2.1:4500".parse().unwrap(),
            remote: ([192, 0, 2, 2], port).into(),
        }
    }

    fn shapes(sizes: &[(usize, u16)]) -> Vec<(usize, usize, usize)> {
        let mut batch = SealedBatch::with_capacity(1 << 20);
        for &(octets, port) in sizes {
            batch.space(octets).unwrap();
            batch.commit_esp(octets, &path(port), Encapsulation::Udp, 0);
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
        batch.commit_esp(50, &path(1), Encapsulation::Udp, 0);
        batch.commit_bypass(20);
        batch.commit_esp(50, &path(1), Encapsulation::Udp, 0);
        assert_eq!(batch.runs().len(), 2);
        assert_eq!(batch.bypass().map(<[u8]>::len).collect::<Vec<_>>(), [20]);
        batch.clear();
        assert!(batch.is_empty());
    }
}
