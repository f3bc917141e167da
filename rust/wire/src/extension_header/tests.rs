use proptest::prelude::*;

use super::*;

const TCP: u8 = 6;

/// An IPv6 packet with extension headers of these kinds, eight octets each, and 20 octets of TCP.
fn v6(kinds: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (index, _) in kinds.iter().enumerate() {
        let next = kinds.get(index + 1).copied().unwrap_or(TCP);
        payload.extend_from_slice(&[next, 0, 0, 0, 0, 0, 0, 0]);
    }
    payload.extend_from_slice(&[0; 20]);
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let first = kinds.first().copied().unwrap_or(TCP);
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], first, 64];
    packet.extend_from_slice(&[0x20; 32]);
    packet.extend_from_slice(&payload);
    packet
}

fn place(offset: usize, protocol_at: usize) -> Place {
    Place {
        offset,
        protocol_at,
    }
}

#[test]
fn plain_packet_has_one_place_for_all() {
    let chain = HeaderChain::parse(&v6(&[])).unwrap();
    assert_eq!(chain.protocol, TCP);
    for found in [chain.next_layer, chain.before_options, chain.per_fragment] {
        assert_eq!(found, place(40, 6));
    }
    assert_eq!((chain.total, chain.fragment), (60, None));
}

// covers R4302-3.1-1
// covers R4303-3.1-1
#[test]
fn ipsec_headers_go_behind_hop_by_hop_routing_and_fragment() {
    let packet = v6(&[
        HOP_BY_HOP,
        DESTINATION_OPTIONS,
        ROUTING,
        FRAGMENT,
        DESTINATION_OPTIONS,
    ]);
    let chain = HeaderChain::parse(&packet).unwrap();
    assert_eq!(chain.per_fragment, place(64, 56), "behind routing");
    assert_eq!(chain.transport_place(true), place(72, 64));
    assert_eq!(chain.transport_place(false), place(80, 72));
    assert!(!chain.is_fragment(), "a fragment header around the whole");
    assert_eq!(chain.fragment.unwrap().header, Some(place(64, 56)));
}

#[test]
fn options_behind_hop_by_hop_only_can_stay_outside_or_go_inside() {
    let chain = HeaderChain::parse(&v6(&[HOP_BY_HOP, DESTINATION_OPTIONS])).unwrap();
    assert_eq!(chain.transport_place(true), place(48, 40));
    assert_eq!(chain.transport_place(false), place(56, 48));
}

#[test]
fn ah_esp_and_what_nobody_skips_end_the_chain() {
    for kind in [AH, ESP, MOBILITY, NO_NEXT_HEADER, 139, 140, 253] {
        let chain = HeaderChain::parse(&v6(&[DESTINATION_OPTIONS, kind])).unwrap();
        assert_eq!((chain.protocol, chain.next_layer), (kind, place(48, 40)));
    }
}

#[test]
fn ipv4_options_are_in_front_of_the_next_layer() {
    let mut packet = vec![0x47, 0, 0, 36, 0x12, 0x34, 0x20, 0x02, 64, TCP, 0, 0];
    packet.extend_from_slice(&[10, 1, 0, 1, 10, 2, 0, 2, 148, 4, 0, 0, 0, 0, 0, 0]);
    packet.extend_from_slice(&[0; 8]);
    let chain = HeaderChain::parse(&packet).unwrap();
    assert_eq!((chain.protocol, chain.next_layer), (TCP, place(28, 9)));
    assert_eq!(chain.transport_place(true), chain.transport_place(false));
    let fragment = chain.fragment.unwrap();
    assert_eq!(
        (fragment.offset, fragment.more, fragment.identification),
        (16, true, 0x1234)
    );
    assert!(chain.is_later_fragment());
}

#[test]
fn behind_a_later_fragment_nothing_is_read() {
    let mut packet = v6(&[FRAGMENT, DESTINATION_OPTIONS]);
    packet[43] = 8;
    packet[49] = 0xff;
    let chain = HeaderChain::parse(&packet).unwrap();
    assert_eq!(chain.protocol, DESTINATION_OPTIONS);
    assert!(chain.is_later_fragment() && chain.next_layer == place(48, 40));
}

#[test]
fn what_no_sender_needs_is_refused() {
    assert_eq!(
        HeaderChain::parse(&v6(&[DESTINATION_OPTIONS, HOP_BY_HOP])),
        None,
        "hop-by-hop options have to be first"
    );
    assert_eq!(HeaderChain::parse(&v6(&[FRAGMENT, FRAGMENT])), None);
    assert!(HeaderChain::parse(&v6(&[DESTINATION_OPTIONS; MAX_HEADERS])).is_some());
    assert_eq!(
        HeaderChain::parse(&v6(&[DESTINATION_OPTIONS; MAX_HEADERS + 1])),
        None
    );
    let mut long = v6(&[ROUTING]);
    long[41] = 3;
    assert_eq!(HeaderChain::parse(&long), None, "ends behind the packet");
}

#[test]
fn a_name_is_changed_in_place() {
    let mut packet = v6(&[ROUTING]);
    let place = HeaderChain::parse(&packet).unwrap().transport_place(true);
    assert_eq!(place.rename(&mut packet, ESP), Some(TCP));
    let chain = HeaderChain::parse(&packet).unwrap();
    assert_eq!((chain.protocol, chain.next_layer), (ESP, place));
    assert_eq!(place.rename(&mut [], ESP), None);
}

proptest! {
    #[test]
    fn places_lie_in_order_within_the_packet(
        kinds in prop::collection::vec(prop::sample::select(vec![0, 43, 44, 50, 51, 60, 135, 6]), 0..20),
        changes in prop::collection::vec((40usize..200, any::<u8>()), 0..6),
        cut in 0usize..40,
    ) {
        let mut packet = v6(&kinds);
        for (at, octet) in changes {
            if let Some(place) = packet.get_mut(at) {
                *place = octet;
            }
        }
        packet.truncate(packet.len().saturating_sub(cut));
        if let Some(chain) = HeaderChain::parse(&packet) {
            prop_assert!(chain.per_fragment.offset <= chain.before_options.offset);
            prop_assert!(chain.before_options.offset <= chain.next_layer.offset);
            prop_assert!(chain.next_layer.offset <= chain.total && chain.total <= packet.len());
            prop_assert_eq!(packet[chain.next_layer.protocol_at], chain.protocol);
        }
    }

    #[test]
    fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..160)) {
        let _ = HeaderChain::parse(&octets);
    }
}
