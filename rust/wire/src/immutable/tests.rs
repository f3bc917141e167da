use proptest::prelude::*;

use super::*;
use crate::extension_header::ESP;

const FINAL: [u8; 4] = [10, 9, 9, 9];

fn v4(options: &[u8]) -> Vec<u8> {
    let words = u8::try_from(5 + options.len() / 4).unwrap();
    let mut header = vec![0x40 | words, 0xb8, 0, 99, 0x12, 0x34, 0x40, 0, 63, AH, 7, 8];
    header.extend_from_slice(&[10, 1, 0, 1, 10, 2, 0, 2]);
    header.extend_from_slice(options);
    header
}

/// An IPv6 header with the given extension headers, each told its next header here.
fn v6(extensions: &[(u8, &[u8])]) -> Vec<u8> {
    let first = extensions.first().map_or(AH, |(kind, _)| *kind);
    let mut headers = vec![0x6f, 0xb1, 0x23, 0x45, 0x01, 0x00, first, 63];
    headers.extend_from_slice(&[0x51; 16]);
    headers.extend_from_slice(&[0xd0; 16]);
    for (index, (_, octets)) in extensions.iter().enumerate() {
        let at = headers.len();
        headers.extend_from_slice(octets);
        headers[at] = extensions.get(index + 1).map_or(AH, |(kind, _)| *kind);
    }
    headers
}

/// A routing header whose addresses are told apart by their octets.
fn route(kind: u8, segments_left: u8, addresses: &[u8]) -> Vec<u8> {
    let units = u8::try_from(addresses.len() * 2).unwrap();
    let mut header = vec![0, units, kind, segments_left, 0, 0, 0, 0];
    for octet in addresses {
        header.extend_from_slice(&[*octet; 16]);
    }
    header
}

fn rewritten(headers: &[u8]) -> Vec<u8> {
    let mut copy = headers.to_vec();
    let octets = zero_mutable(&mut copy).unwrap();
    copy.truncate(octets);
    copy
}

fn refused(headers: &[u8]) -> ImmutableError {
    zero_mutable(&mut headers.to_vec()).unwrap_err()
}

// covers R4302-3.3.3.1-1
#[test]
fn mutable_fields_of_ipv4_are_zero() {
    let mut expected = v4(&[]);
    for at in [1, 6, 8, 10, 11] {
        expected[at] = 0;
    }
    assert_eq!(rewritten(&v4(&[])), expected);
}

// covers R4302-3.3.3.1-3
#[test]
fn options_of_ipv4_stay_or_vanish_whole() {
    let options = [
        7, 7, 4, 1, 2, 3, 4, 1, 148, 4, 0, 0, 30, 4, 9, 9, 134, 6, 1, 2, 3, 4, 0, 0xee,
    ];
    let kept = [
        0, 0, 0, 0, 0, 0, 0, 1, 148, 4, 0, 0, 0, 0, 0, 0, 134, 6, 1, 2, 3, 4, 0, 0xee,
    ];
    assert_eq!(rewritten(&v4(&options))[20..], kept);
}

// covers R4302-3.3.3.1-2
#[test]
fn destination_of_a_source_route_is_its_end() {
    for kind in [131, 137] {
        let mut options = vec![kind, 11, 4, 10, 8, 8, 8];
        options.extend_from_slice(&FINAL);
        options.push(0);
        let sent = rewritten(&v4(&options));
        assert_eq!(sent[16..20], FINAL);
        assert_eq!(sent[20..], [0; 12]);
        // On arrival the route is used up: routers have put their addresses into it.
        let mut arrived = v4(&[kind, 11, 12, 10, 2, 0, 2, 10, 8, 8, 8, 0]);
        arrived[16..20].copy_from_slice(&FINAL);
        assert_eq!(rewritten(&arrived), sent);
    }
}

#[test]
fn options_of_ipv4_that_do_not_fit_are_refused() {
    for options in [
        [7, 5, 4, 1],
        [7, 1, 4, 1],
        [7, 0, 4, 1],
        [1, 1, 1, 7],
        [131, 4, 4, 1],
        [131, 3, 3, 1],
    ] {
        assert_eq!(
            refused(&v4(&options)),
            ImmutableError::Malformed,
            "{options:?}"
        );
    }
    let twice = [131, 3, 4, 131, 3, 4, 0, 0];
    assert_eq!(refused(&v4(&twice)), ImmutableError::Malformed);
}

// covers R4302-3.3.3.1-4
#[test]
fn mutable_fields_of_ipv6_are_zero() {
    let mut expected = v6(&[]);
    expected[..4].copy_from_slice(&[0x60, 0, 0, 0]);
    expected[7] = 0;
    assert_eq!(rewritten(&v6(&[])), expected);
}

// covers R4302-3.3.3.1-4
#[test]
fn route_is_as_rfc_2460_shows_it_on_arrival() {
    // RFC 2460, section 4.4: from S over I1, I2 and I3 to D, before each hop.
    let (i1, i2, i3, d) = (1, 2, 3, 4);
    let hops = [
        (i1, 3, [i2, i3, d]),
        (i2, 2, [i1, i3, d]),
        (i3, 1, [i1, i2, d]),
        (d, 0, [i1, i2, i3]),
    ];
    let seen = hops.map(|(destination, segments_left, addresses)| {
        let mut headers = v6(&[(ROUTING, &route(0, segments_left, &addresses))]);
        headers[24..40].fill(destination);
        rewritten(&headers)
    });
    assert_eq!(seen[3][24..40], [d; 16]);
    assert!(seen.iter().all(|headers| *headers == seen[3]));
}

#[test]
fn home_address_of_a_type_2_route_is_the_destination() {
    let headers = rewritten(&v6(&[(ROUTING, &route(2, 1, &[7]))]));
    assert_eq!((headers[24], headers[43], headers[48]), (7, 0, 0xd0));
}

#[test]
fn other_routes_have_to_be_used_up() {
    let done = v6(&[(ROUTING, &route(4, 0, &[7, 8]))]);
    assert_eq!(rewritten(&done)[40..], done[40..]);
    let headers = v6(&[(ROUTING, &route(4, 1, &[7, 8]))]);
    assert_eq!(refused(&headers), ImmutableError::RouteUnknown);
    for headers in [route(0, 3, &[7, 8]), route(0, 1, &[])] {
        assert_eq!(
            refused(&v6(&[(ROUTING, &headers)])),
            ImmutableError::Malformed
        );
    }
}

// covers R4302-3.3.3.1-5
#[test]
fn data_of_options_that_change_is_zero() {
    let options = [0, 1, 0x3e, 2, 5, 5, 0x1e, 1, 6, 0, 0xfe, 0, 1, 2, 0, 0];
    let kept = [AH, 1, 0x3e, 2, 0, 0, 0x1e, 1, 6, 0, 0xfe, 0, 1, 2, 0, 0];
    for kind in [HOP_BY_HOP, DESTINATION_OPTIONS] {
        assert_eq!(rewritten(&v6(&[(kind, &options)]))[40..], kept);
    }
    let beyond = [0, 0, 0x3e, 5, 0, 0, 0, 0];
    assert_eq!(
        refused(&v6(&[(HOP_BY_HOP, &beyond)])),
        ImmutableError::Malformed
    );
}

#[test]
fn home_address_option_and_source_change_places() {
    let mut options = vec![0, 2, 1, 2, 0, 0, 201, 16];
    options.extend_from_slice(&[0x40; 16]);
    let headers = rewritten(&v6(&[(DESTINATION_OPTIONS, &options)]));
    assert_eq!(headers[8..24], [0x40; 16]);
    assert_eq!(headers[48..], [0x51; 16]);
}

// covers R4302-3.3.3.1-6
#[test]
fn fragment_header_around_the_whole_is_removed() {
    let fragment = [0, 0, 0, 0, 1, 2, 3, 4];
    let options = [0, 0, 1, 4, 0, 0, 0, 0];
    let with = v6(&[
        (HOP_BY_HOP, &options),
        (FRAGMENT, &fragment),
        (DESTINATION_OPTIONS, &options),
    ]);
    let mut without = v6(&[(HOP_BY_HOP, &options), (DESTINATION_OPTIONS, &options)]);
    without[4..6].copy_from_slice(&[0, 0xf8]);
    assert_eq!(rewritten(&with), rewritten(&without));
}

#[test]
fn fragments_are_refused() {
    for (at, octet) in [(6, 0x20), (7, 1)] {
        let mut headers = v4(&[]);
        headers[at] = octet;
        assert_eq!(refused(&headers), ImmutableError::Fragment);
    }
    let first = [0, 0, 0, 1, 1, 2, 3, 4];
    assert_eq!(
        refused(&v6(&[(FRAGMENT, &first)])),
        ImmutableError::Fragment
    );
}

#[test]
fn headers_that_do_not_lead_to_ah_are_refused() {
    let mut headers = v4(&[]);
    headers[9] = ESP;
    assert_eq!(refused(&headers), ImmutableError::Malformed);
    let mut headers = v6(&[]);
    headers[6] = ESP;
    assert_eq!(refused(&headers), ImmutableError::Malformed);
    let longer = [v6(&[]), vec![0; 8]].concat();
    assert_eq!(refused(&longer), ImmutableError::Malformed);
    for short in [&[][..], &[0x45; 19], &[0x60; 39], &[0x75; 40]] {
        assert_eq!(refused(short), ImmutableError::Malformed);
    }
}

fn hex(value: &serde_json::Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn scapy_covers_the_same() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/ah_mutable_fields.json"
    );
    let file: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let vectors = file["headers"].as_array().unwrap();
    assert!(vectors.len() >= 17);
    for vector in vectors {
        assert_eq!(
            rewritten(&hex(&vector["sent"])),
            hex(&vector["covered"]),
            "{}",
            vector["name"]
        );
    }
}

/// The processing of a routing header by one node, as RFC 2460, section 4.4, tells it.
fn visit(headers: &mut [u8]) {
    let (n, left) = (usize::from(headers[41]) / 2, usize::from(headers[43]));
    let i = n - left;
    headers[43] -= 1;
    let (fixed, addresses) = headers.split_at_mut(48);
    fixed[24..40].swap_with_slice(&mut addresses[16 * i..16 * (i + 1)]);
}

proptest! {
    #[test]
    fn every_node_on_the_way_computes_the_same(
        addresses in prop::collection::vec(any::<u8>(), 1..20),
        changes in prop::collection::vec(any::<[u8; 4]>(), 20),
    ) {
        let left = u8::try_from(addresses.len()).unwrap();
        let mut headers = v6(&[(ROUTING, &route(0, left, &addresses))]);
        let sent = rewritten(&headers);
        for [class, label, more, hops] in changes.iter().take(addresses.len()) {
            visit(&mut headers);
            headers[0] = 0x60 | (class & 0xf);
            headers[1..4].copy_from_slice(&[*label, *more, *class]);
            headers[7] = *hops;
            prop_assert_eq!(&rewritten(&headers), &sent);
        }
        prop_assert_eq!(headers[43], 0);
    }

    #[test]
    fn no_octets_make_it_panic(
        mut headers in prop::collection::vec(any::<u8>(), 0..200),
        kinds in prop::collection::vec(prop::sample::select(vec![0, 43, 44, 60, AH]), 0..5),
        is_ipv6: bool,
    ) {
        if let Some(first) = headers.first_mut() {
            *first = if is_ipv6 { 0x60 } else { 0x46 };
        }
        for (at, kind) in [6, 40, 48, 56, 64].into_iter().zip(kinds) {
            if let Some(place) = headers.get_mut(at) {
                *place = kind;
            }
        }
        let before = headers.len();
        if let Ok(octets) = zero_mutable(&mut headers) {
            prop_assert!(octets == before || octets + FRAGMENT_OCTETS == before);
            let once = headers[..octets].to_vec();
            prop_assert!(is_ipv6 || once == rewritten(&once));
        }
    }
}
