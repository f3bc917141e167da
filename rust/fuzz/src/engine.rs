//! Two engines with one SA, and everybody's packets: the host's, the network's, and those of a peer
//! who has the keys and means harm.
//!
//! The first two octets choose the SA, the others are a list of deeds, each an octet that says
//! what, two with a length, and the octets. `rust/engine/tests/corpus.rs` runs the saved corpus
//! through the same functions.

use perilune_wire::segment::Superpacket;
use perilune_wire::virtio_net_hdr;

#[path = "engine/forgery.rs"]
mod forgery;
#[path = "engine/oracle.rs"]
mod oracle;
#[path = "engine/world.rs"]
mod world;

use world::{Shape, World};

const MOST_DEEDS: usize = 16;

/// Run one input.
pub(crate) fn run(data: &[u8]) {
    let Some(([first, second], mut deeds)) = data.split_first_chunk() else {
        return;
    };
    let mut world = World::new(Shape::of(*first, *second, data));
    for _ in 0..MOST_DEEDS {
        let Some(([what, high, low], rest)) = deeds.split_first_chunk() else {
            break;
        };
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (octets, rest) = rest.split_at(length);
        deeds = rest;
        act(&mut world, *what, octets);
    }
    world.check();
}

fn act(world: &mut World, what: u8, octets: &[u8]) {
    match what {
        0 => send(world, octets),
        1 => oracle::refused(&world.arrive(octets)),
        2 => oracle::refused(&world.arrive_esp(octets)),
        3 => {
            world.arrive(&forgery::esp(octets, world.shape.is_ipv6()));
        }
        4 => {
            if let Some(packet) = forgery::ah(octets, world.shape.is_ipv6()) {
                world.arrive(&packet);
            }
        }
        5 => {
            world.sender.note_icmp_error(octets, world.now);
        }
        6 => world.wait(octets),
        7 => arrive_clear(world, octets),
        _ => {}
    }
}

/// A frame of a host; what is made of it reaches the other end.
fn send(world: &mut World, octets: &[u8]) {
    let plain = [&[0; virtio_net_hdr::OCTETS], octets].concat();
    for frame in [octets, plain.as_slice()] {
        let sealed = world.seal(frame);
        oracle::accounted(world, frame, &sealed);
        for packet in sealed {
            oracle::hidden(world, frame, &packet);
            let opened = match &packet.bare {
                Some(esp) => world.arrive_esp(esp),
                None => world.arrive(&packet.whole),
            };
            oracle::same(world, frame, &opened);
            let again = world.arrive(&packet.whole);
            assert!(again.is_empty() || !world.shape.has_window(), "replayed");
        }
    }
}

fn arrive_clear(world: &mut World, octets: &[u8]) {
    let frame = [&[0; virtio_net_hdr::OCTETS], octets].concat();
    if let Some(packet) = Superpacket::parse(&frame) {
        assert!(!world.is_let_in(&packet), "all traffic is to be protected");
    }
}
