use proptest::prelude::*;

use super::*;

fn hex(value: &serde_json::Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn vectors() -> Vec<serde_json::Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/ipcomp_deflate.json"
    );
    let file: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file["payloads"].as_array().unwrap().clone()
}

fn compressed(payload: &[u8]) -> Option<Vec<u8>> {
    let mut place = vec![0; payload.len()];
    let octets = Compressor::new().compress(payload, &mut place)?;
    place.truncate(octets);
    Some(place)
}

fn decompressed(octets: &[u8], room: usize) -> Result<Vec<u8>, IpCompError> {
    let mut place = vec![0; room];
    let octets = Decompressor::new().decompress(octets, &mut place)?;
    place.truncate(octets);
    Ok(place)
}

#[test]
fn header_round_trips_and_flags_are_ignored() {
    let header = IpCompHeader {
        next_header: 6,
        cpi: 0x1234,
    };
    assert_eq!(header.to_octets(), [6, 0, 0x12, 0x34]);
    assert_eq!(IpCompHeader::parse(&[6, 0xff, 0x12, 0x34]), Some(header));
    assert_eq!(IpCompHeader::parse(&[6, 0, 0x12]), None);
}

#[test]
fn what_zlib_compresses_is_decompressed() {
    for vector in vectors() {
        let payload = hex(&vector["payload"]);
        let stream = hex(&vector["zlib"]);
        assert_eq!(decompressed(&stream, payload.len()), Ok(payload));
    }
}

/// zlib decompresses `ours` in `tests/unit/dataplane/test_ipcomp.py`.
#[test]
fn compressor_writes_what_zlib_is_shown() {
    for vector in vectors() {
        let octets = compressed(&hex(&vector["payload"])).unwrap();
        assert_eq!(octets, hex(&vector["ours"]), "{}", vector["name"]);
    }
}

#[test]
fn one_payload_has_no_history_of_another() {
    let payload = hex(&vectors()[0]["payload"]);
    let expected = compressed(&payload).unwrap();
    let mut compressor = Compressor::new();
    let mut decompressor = Decompressor::new();
    let mut place = vec![0; 4000];
    for _ in 0..3 {
        let octets = compressor.compress(&payload, &mut place).unwrap();
        assert_eq!(place[..octets], expected);
        let mut plain = vec![0; payload.len()];
        let octets = decompressor.decompress(&expected, &mut plain);
        assert_eq!(octets, Ok(payload.len()));
        assert_eq!(
            decompressor.decompress(&[0xff], &mut plain),
            Err(IpCompError::Malformed)
        );
    }
}

#[test]
fn what_would_not_be_smaller_is_sent_as_it_is() {
    assert_eq!(compressed(&[0; THRESHOLD_OCTETS - 1]), None, "short");
    assert!(compressed(&[0; THRESHOLD_OCTETS]).is_some());
    let mut state = 1u64;
    let random: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()[0]
    })
    .take(1400)
    .collect();
    assert_eq!(compressed(&random), None);
    // A stream as long as the room that is left beside the header is not smaller.
    let payload = hex(&vectors()[0]["payload"]);
    let octets = compressed(&payload).unwrap().len();
    let mut place = vec![0; octets - 1];
    assert_eq!(Compressor::new().compress(&payload, &mut place), None);
}

#[test]
fn output_never_goes_beyond_its_place() {
    let bomb = compressed(&vec![0; 60_000]).unwrap();
    assert!(bomb.len() < 100);
    assert_eq!(decompressed(&bomb, 59_999), Err(IpCompError::TooLarge));
    assert_eq!(
        decompressed(&bomb, 60_000).map(|octets| octets.len()),
        Ok(60_000)
    );
}

#[test]
fn damaged_streams_are_refused() {
    let stream = hex(&vectors()[0]["zlib"]);
    assert_eq!(decompressed(&[], 100), Err(IpCompError::Malformed));
    assert_eq!(
        decompressed(&stream[..stream.len() - 1], 4000),
        Err(IpCompError::Malformed)
    );
    let longer = [stream.as_slice(), &[0]].concat();
    assert_eq!(decompressed(&longer, 4000), Err(IpCompError::Malformed));
    assert_eq!(decompressed(&[0x07], 100), Err(IpCompError::Malformed));
}

#[test]
fn pauses_grow_while_nothing_shrinks() {
    let state = Compressibility::default();
    let tries_until_a_pause = || {
        let mut skipped = 0;
        while !state.is_worth_a_try() {
            skipped += 1;
        }
        state.tried(false);
        skipped
    };
    let pauses: Vec<_> = (0..12).map(|_| tries_until_a_pause()).collect();
    assert_eq!(pauses, [0, 0, 0, 0, 8, 16, 32, 64, 128, 256, 256, 256]);
    while !state.is_worth_a_try() {}
    state.tried(true);
    assert!(state.is_worth_a_try() && state.is_worth_a_try());
}

proptest! {
    #[test]
    fn what_is_compressed_is_decompressed(
        pieces in prop::collection::vec((any::<u8>(), 1usize..300), 1..30),
    ) {
        let payload: Vec<u8> = pieces
            .iter()
            .flat_map(|(octet, count)| std::iter::repeat_n(*octet, *count))
            .collect();
        if let Some(octets) = compressed(&payload) {
            prop_assert!(octets.len() + HEADER_OCTETS < payload.len());
            prop_assert_eq!(decompressed(&octets, payload.len()), Ok(payload));
        }
    }

    #[test]
    fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..300), room in 0usize..2000) {
        let _ = IpCompHeader::parse(&octets);
        if let Ok(plain) = decompressed(&octets, room) {
            prop_assert!(plain.len() <= room);
        }
    }
}
