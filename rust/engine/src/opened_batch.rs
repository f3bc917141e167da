//! Decrypted packets ready for the device, joined into superpackets where they belong together.

use perilune_wire::coalesce::Coalescer;
use perilune_wire::ip;

/// A preallocated buffer of frames for a TUN device with `IFF_VNET_HDR`.
pub struct OpenedBatch {
    frames: Coalescer,
}

impl OpenedBatch {
    /// A good capacity: what one receive call with `UDP_GRO` can bring, a few times over.
    pub const DEFAULT_OCTETS: usize = 4 * 72 * 1024;

    /// Allocate a batch of so many octets; at least one packet of any size fits.
    pub fn with_capacity(octets: usize) -> Self {
        Self {
            frames: Coalescer::with_capacity(octets),
        }
    }

    /// The frames, each a virtio header and a packet, to be written one `write` each.
    ///
    /// Completes the headers of superpackets; packets opened after it begin a new frame.
    pub fn frames(&mut self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.frames.frames()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Forget everything; keeps the memory.
    pub fn clear(&mut self) {
        self.frames.clear();
    }

    /// Whether to join UDP datagrams too: only for a device that was given USO.
    pub fn join_udp(&mut self, yes: bool) {
        self.frames.join_udp(yes);
    }

    /// Octets of the largest packet that fits.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.frames.room()
    }

    /// Whether a packet of so many octets fits.
    #[inline]
    pub(crate) fn has_room_for(&self, octets: usize) -> bool {
        self.frames.has_room_for(octets)
    }

    /// Add a packet.
    ///
    /// Returns:
    /// `false` when it does not fit, or is none.
    pub(crate) fn push(&mut self, packet: &[u8]) -> bool {
        ip::parse(packet).is_some_and(|outline| self.frames.push(packet, &outline))
    }

    #[inline]
    pub(crate) fn coalescer(&mut self) -> &mut Coalescer {
        &mut self.frames
    }
}
