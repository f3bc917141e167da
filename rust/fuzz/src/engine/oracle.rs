//! What must hold of packets, whatever they are.

use std::collections::HashSet;

use perilune_wire::esp::HEADER_OCTETS;
use perilune_wire::extension_header::{ESP, HeaderChain};
use perilune_wire::ip;
use perilune_wire::segment::Superpacket;

use super::world::{OnWire, World};

const UDP_OCTETS: usize = 8;
/// So many octets in a row do not come again by chance.
const TELLING: usize = 16;

/// What leaves an engine is a whole packet.
pub(super) fn assert_sound(packet: &[u8]) {
    let outline = ip::parse(packet).expect("a sound packet");
    assert_eq!(outline.total, packet.len());
}

/// The packets that a frame of the device stands for.
pub(super) fn segments(frame: &[u8]) -> Option<Vec<Vec<u8>>> {
    let packet = Superpacket::parse(frame)?;
    let segment = |index| {
        let mut place = vec![0; packet.octets(index)];
        packet.write(index, &mut place);
        place
    };
    Some((0..packet.count()).map(segment).collect())
}

/// Who has no keys gets nothing in.
pub(super) fn refused(opened: &[Vec<u8>]) {
    assert!(opened.is_empty(), "nobody who has the keys sent it");
}

/// Each packet of a frame left, or was dropped and counted; a path's MTU makes more of one.
pub(super) fn accounted(world: &World, frame: &[u8], sealed: &[OnWire]) {
    let Some(packets) = Superpacket::parse(frame) else {
        return;
    };
    let sas = world.sender.stats().sas;
    let fits = sas.iter().all(|sa| sa.path_mtu.is_none());
    if world.shape.is_transparent() && !sas.is_empty() {
        let left = sealed.len() as u64 + world.not_sealed;
        let count = packets.count() as u64;
        assert!(
            left == count || (left > count && !fits),
            "{left} of {count}"
        );
    }
}

/// Nothing that a host sent shows in what leaves.
pub(super) fn hidden(world: &World, frame: &[u8], packet: &OnWire) {
    if !world.shape.is_secret() {
        return;
    }
    let Some(text) = protected_part(packet) else {
        return;
    };
    let sent: HashSet<&[u8]> = frame.chunks_exact(TELLING).collect();
    let shows = text.windows(TELLING).any(|octets| sent.contains(octets));
    assert!(!shows, "in the clear");
}

/// What is behind the ESP header; `None` of a fragment.
fn protected_part(packet: &OnWire) -> Option<&[u8]> {
    if let Some(esp) = &packet.bare {
        return esp.get(HEADER_OCTETS..);
    }
    let chain = HeaderChain::parse(&packet.whole)?;
    if chain.is_fragment() {
        return None;
    }
    let udp = if chain.protocol == ESP { 0 } else { UDP_OCTETS };
    packet
        .whole
        .get(chain.next_layer.offset + udp + HEADER_OCTETS..)
}

/// A tunnel gives out what a host put in.
pub(super) fn same(world: &World, frame: &[u8], opened: &[Vec<u8>]) {
    if !world.shape.is_transparent() {
        return;
    }
    let sent = segments(frame).unwrap_or_default();
    for packet in opened {
        assert!(sent.contains(packet), "changed on its way");
    }
}
