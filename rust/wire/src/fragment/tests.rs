use proptest::prelude::*;

use super::*;
use crate::checksum::Sum;
use crate::extension_header::{DESTINATION_OPTIONS, ESP, HOP_BY_HOP, ROUTING};

fn v4(options: &[u8], data: &[u8]) -> Vec<u8> {
    let headers = 20 + options.len();
    let [l0, l1] = u16::try_from(headers + data.len()).unwrap().to_be_bytes();
    let first = 0x40 | u8::try_from(headers / 4).unwrap();
    let mut packet = vec![first, 0, l0, l1, 0, 111, 0, 0, 123, 6, 0, 0];
    packet.extend_from_slice(&[10, 1, 0, 1, 10, 2, 0, 2]);
    packet.extend_from_slice(options);
    set_ipv4_checksum(&mut packet, headers);
    packet.extend_from_slice(data);
    packet
}

fn v6(extensions: &[u8], protocol: u8, data: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (index, _) in extensions.iter().enumerate() {
        let next = extensions.get(index + 1).copied().unwrap_or(protocol);
        payload.extend_from_slice(&[next, 0, 1, 4, 0, 0, 0, 0]);
    }
    payload.extend_from_slice(data);
    let [l0, l1] = u16::try_from(payload.len()).unwrap().to_be_bytes();
    let first = extensions.first().copied().unwrap_or(protocol);
    let mut packet = vec![0x60, 0, 0, 0, l0, l1, first, 64];
    packet.extend_from_slice(&[0x20; 32]);
    packet.extend_from_slice(&payload);
    packet
}

fn numbered(octets: usize) -> Vec<u8> {
    (0..251).cycle().take(octets).collect()
}

fn cut(packet: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    let plan = Fragments::plan(packet, mtu, 0x0102_0304).unwrap();
    (0..plan.count())
        .map(|index| {
            let mut place = vec![0xee; 65_600];
            let octets = plan.write(index, &mut place).unwrap();
            place[..octets].to_vec()
        })
        .collect()
}

#[test]
fn datagram_of_rfc_791_is_cut_as_its_example_2_shows() {
    let data = numbered(452);
    let fragments = cut(&v4(&[], &data), 280);
    // Total length, identification, flags and offset of figures 7 and 8.
    assert_eq!(fragments[0][2..8], [1, 20, 0, 111, 0x20, 0]);
    assert_eq!(fragments[1][2..8], [0, 216, 0, 111, 0, 32]);
    assert_eq!(fragments[0][20..], data[..256]);
    assert_eq!(fragments[1][20..], data[256..]);
    for fragment in &fragments {
        assert!(Sum::default().with(&fragment[..20]).is_valid());
    }
}

#[test]
fn options_that_are_not_copied_are_in_the_first_only() {
    // Record route (7), router alert (148), security (130, three octets here).
    let options = [7, 3, 4, 148, 4, 0, 0, 1, 130, 3, 9, 0];
    let fragments = cut(&v4(&options, &numbered(100)), 80);
    assert_eq!(fragments[0][..1], [0x48]);
    assert_eq!(fragments[0][20..32], options);
    assert_eq!(fragments[1][..1], [0x47]);
    assert_eq!(fragments[1][20..28], [148, 4, 0, 0, 130, 3, 9, 0]);
}

#[test]
fn fragment_that_is_cut_again_keeps_its_offset_and_flag() {
    let mut packet = v4(&[], &numbered(64));
    packet[6..8].copy_from_slice(&[0xa0, 10]);
    let fragments = cut(&packet, 60);
    assert_eq!(fragments[0][6..8], [0xa0, 10]);
    assert_eq!(fragments[1][6..8], [0xa0, 15]);
}

#[test]
fn ipv6_fragment_header_is_behind_what_routers_read() {
    let packet = v6(
        &[
            HOP_BY_HOP,
            DESTINATION_OPTIONS,
            ROUTING,
            DESTINATION_OPTIONS,
        ],
        ESP,
        &numbered(2000),
    );
    let fragments = cut(&packet, 1280);
    for (fragment, [high, low]) in fragments.iter().zip([[0, 1], [0x04, 0xb8]]) {
        let header = [DESTINATION_OPTIONS, 0, high, low, 1, 2, 3, 4];
        assert_eq!(fragment[64..72], header);
        assert_eq!(fragment[56], FRAGMENT);
        assert_eq!(fragment[48], ROUTING);
    }
    assert_eq!(fragments[0].len(), 72 + 0x4b8);
    assert_eq!(fragments[1].len(), 72 + 2008 - 0x4b8);
}

#[test]
fn packet_that_fits_stays_as_it_is() {
    for packet in [v4(&[], &numbered(100)), v6(&[ROUTING], 6, &numbered(100))] {
        assert_eq!(cut(&packet, packet.len()), [packet]);
    }
}

#[test]
fn what_may_not_or_cannot_be_cut_is_refused() {
    let refused = |packet: &[u8], mtu| Fragments::plan(packet, mtu, 0).unwrap_err();
    let mut packet = v4(&[], &numbered(100));
    assert_eq!(refused(&packet, 27), FragmentError::TooSmall);
    packet[6] = 0x40;
    assert_eq!(refused(&packet, 60), FragmentError::DontFragment);
    assert_eq!(refused(&packet[..50], 60), FragmentError::Malformed);
    let again = v6(&[FRAGMENT], 6, &numbered(100));
    assert_eq!(refused(&again, 80), FragmentError::IsFragment);
    // All headers through TCP's have to be in the first fragment.
    let packet = v6(&[DESTINATION_OPTIONS; 3], 6, &numbered(100));
    assert_eq!(refused(&packet, 95), FragmentError::TooSmall);
    assert!(Fragments::plan(&packet, 96, 0).is_ok());
}

#[test]
fn a_place_that_is_too_small_is_no_panic() {
    let packet = v4(&[], &numbered(100));
    let plan = Fragments::plan(&packet, 60, 0).unwrap();
    assert_eq!(plan.write(0, &mut [0; 59]), None);
    assert_eq!(plan.write(plan.count(), &mut [0; 99]), None);
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(
        mut octets in prop::collection::vec(any::<u8>(), 0..200),
        mtu in 0usize..150,
        is_ipv6: bool,
    ) {
        if let Some(first) = octets.first_mut() {
            *first = if is_ipv6 { 0x60 } else { 0x40 | (*first & 7) };
        }
        if let Ok(plan) = Fragments::plan(&octets, mtu, 7) {
            let mut place = [0; 300];
            for index in 0..plan.count() {
                let written = plan.write(index, &mut place);
                prop_assert!(written.is_some_and(|octets| plan.count() == 1 || octets <= mtu));
            }
        }
    }
}
