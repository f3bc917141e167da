//! Room for one frame on its way from the protected side, with what has to be put in or taken out.

use perilune_wire::ethernet::MAX_HEADER_OCTETS;
use perilune_wire::virtio_net_hdr::{self, VirtioNetHdr};

/// The largest frame: a virtio header, an Ethernet header and an IP packet of 64 KiB.
const FRAME_OCTETS: usize = virtio_net_hdr::OCTETS + MAX_HEADER_OCTETS + 65_536;
const TAG_OCTETS: usize = 4;
/// Where a VLAN tag belongs: behind the virtio header and two addresses.
const TAG_PLACE: usize = virtio_net_hdr::OCTETS + 12;

/// One frame: a virtio header, and what a device had behind it.
pub(crate) struct FrameBuffer {
    octets: Vec<u8>,
    start: usize,
    end: usize,
    is_own: bool,
    user: Option<u32>,
}

impl FrameBuffer {
    pub(crate) fn new() -> Self {
        Self {
            octets: vec![0; TAG_OCTETS + FRAME_OCTETS],
            start: 0,
            end: 0,
            is_own: false,
            user: None,
        }
    }

    /// Where the next frame may be written to, in place of this one.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.octets.get_mut(TAG_OCTETS..).unwrap_or_default()
    }

    /// So many octets of the room are a frame now.
    pub(crate) fn fill(&mut self, octets: usize) {
        self.start = TAG_OCTETS;
        self.end = TAG_OCTETS.saturating_add(octets);
    }

    /// Whether the kernel takes the frame too, as it is addressed to this host's interface.
    pub(crate) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Note whether the kernel takes it.
    pub(crate) fn set_own(&mut self, is_own: bool) {
        self.is_own = is_own;
    }

    /// The local user who sent it, if known.
    pub(crate) fn user(&self) -> Option<u32> {
        self.user
    }

    /// Note who sent it.
    pub(crate) fn set_user(&mut self, user: Option<u32>) {
        self.user = user;
    }

    /// The frame, with its virtio header.
    pub(crate) fn frame(&self) -> &[u8] {
        self.octets.get(self.start..self.end).unwrap_or_default()
    }

    /// The virtio header, and what is behind it.
    pub(crate) fn parts(&self) -> Option<(VirtioNetHdr, &[u8])> {
        VirtioNetHdr::split(self.frame())
    }

    /// Put a VLAN tag where it was before a network card, or the kernel, took it out.
    pub(crate) fn insert_tag(&mut self, tag: [u8; TAG_OCTETS]) -> Option<()> {
        let (header, _) = self.parts()?;
        let start = self.start.checked_sub(TAG_OCTETS)?;
        let front = self.octets.get_mut(start..self.end)?;
        front.copy_within(TAG_OCTETS..TAG_OCTETS + TAG_PLACE, 0);
        let shifted = header.with_front(TAG_OCTETS).to_octets();
        front.get_mut(..shifted.len())?.copy_from_slice(&shifted);
        let place = front.get_mut(TAG_PLACE..TAG_PLACE + TAG_OCTETS)?;
        place.copy_from_slice(&tag);
        self.start = start;
        Some(())
    }

    /// Take the link's header out, of so many octets: the frame is as a TUN device would have it.
    pub(crate) fn strip(&mut self, link_octets: usize) -> Option<&[u8]> {
        let (header, _) = self.parts()?;
        let header = header.without_front(link_octets)?.to_octets();
        self.start = self.start.checked_add(link_octets)?;
        let frame = self.octets.get_mut(self.start..self.end)?;
        frame.get_mut(..header.len())?.copy_from_slice(&header);
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perilune_wire::ethernet::EthernetHeader;
    use perilune_wire::virtio_net_hdr::{NEEDS_CSUM, OCTETS};

    fn filled(behind: &[u8]) -> FrameBuffer {
        let header = VirtioNetHdr {
            flags: NEEDS_CSUM,
            csum_start: 34,
            csum_offset: 6,
            ..VirtioNetHdr::PLAIN
        };
        let frame = [&header.to_octets()[..], behind].concat();
        let mut buffer = FrameBuffer::new();
        buffer.room()[..frame.len()].copy_from_slice(&frame);
        buffer.fill(frame.len());
        buffer
    }

    #[test]
    fn a_tag_goes_in_and_all_of_the_link_comes_out() {
        let addresses: Vec<u8> = (1..=12).collect();
        let mut buffer = filled(&[&addresses[..], &[8, 0, 0x45, 7, 8, 9]].concat());
        buffer.insert_tag([0x81, 0, 0, 5]).unwrap();
        let (header, frame) = buffer.parts().unwrap();
        assert_eq!((header.csum_start, frame.len()), (38, 22));
        assert_eq!(frame[..12], addresses);
        let link = EthernetHeader::parse(frame).unwrap();
        assert_eq!(link.tags.as_octets(), [0x81, 0, 0, 5]);
        let packet = buffer.strip(link.octets()).unwrap();
        assert_eq!(packet[OCTETS..], [0x45, 7, 8, 9]);
        assert_eq!(buffer.parts().unwrap().0.csum_start, 20);
    }

    #[test]
    fn a_checksum_of_the_link_itself_is_refused() {
        assert!(filled(&[0; 40]).strip(35).is_none());
        assert!(filled(&[]).strip(14).is_none());
    }
}
