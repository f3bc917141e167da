//! Joining consecutive segments of one flow into a superpacket for the device.

/// Frames for a TUN device, built up packet by packet.
pub struct Coalescer {
    buffer: Box<[u8]>,
    used: usize,
    ends: Vec<usize>,
}

impl Coalescer {
    /// Allocate room for so many octets; at least one packet of any size fits.
    pub fn with_capacity(octets: usize) -> Self {
        let buffer = vec![0; octets.max(66_000)].into_boxed_slice();
        Self {
            buffer,
            used: 0,
            ends: Vec::with_capacity(256),
        }
    }

    /// The frames, each a virtio header and a packet.
    pub fn frames(&mut self) -> impl ExactSizeIterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ranges: Vec<_> = starts.zip(self.ends.iter().copied()).collect();
        ranges
            .into_iter()
            .map(|(start, end)| self.buffer.get(start..end).unwrap_or_default())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forget everything; keeps the memory.
    pub fn clear(&mut self) {
        self.used = 0;
        self.ends.clear();
    }

    /// Whether a packet of so many octets fits.
    #[inline]
    pub fn has_room_for(&self, octets: usize) -> bool {
        self.buffer.len().saturating_sub(self.used) >= octets.saturating_add(10)
    }
}
