//! Fields of ESP and AH that can be read or forged by who has the keys: NULL encryption hides
//! nothing, and an ICV made here is as right as the sender's.

use crate::common::ends::*;
use crate::common::*;
use aws_lc_rs::hmac;
use perilune_engine::*;

const NULL: Suite = Suite::IntegrityOnly(Integrity::HmacSha2_256_128);
const AH: Suite = Suite::Ah(AhIntegrity::Mac(Integrity::HmacSha2_256_128));
const ICV: usize = 16;
/// SPI and sequence number.
const HEADER: usize = 8;
const IPV4: usize = 20;

fn with_icv(mut esp: Vec<u8>) -> Vec<u8> {
    let secret: Vec<u8> = (7..).take(NULL.integrity_key_octets()).collect();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), &esp);
    esp.extend_from_slice(&tag.as_ref()[..ICV]);
    esp
}

/// A packet on the way, changed by a peer who has the keys.
fn forged(sealed: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut esp = sealed[..sealed.len() - ICV].to_vec();
    change(&mut esp);
    with_icv(esp)
}

fn audits(engine: &Engine) -> Vec<(DropReason, u32, u64)> {
    let all = engine.take_events(usize::MAX).into_iter();
    all.filter_map(|event| match event {
        Event::Audit {
            reason,
            spi,
            sequence,
            time,
            source,
            destination,
            ..
        } => {
            assert_eq!(time, NOW);
            assert_eq!((source, destination), (end(false, 1), end(false, 2)));
            Some((reason, spi, sequence))
        }
        _ => None,
    })
    .collect()
}

// covers R4303-2.6-4
#[test]
fn in_tunnel_mode_the_next_header_is_ip() {
    for (ipv6, expected) in [(false, 4), (true, 41)] {
        let mut pair = Pair::new(NULL);
        let packet = pair.seal(&tcp_superpacket(ipv6, 100, &[1; 50])).remove(0);
        assert_eq!(packet[packet.len() - ICV - 1], expected);
        let rename = |to: u8| {
            forged(&packet, |esp| {
                *esp.last_mut().unwrap() = to;
            })
        };
        for (next_header, reason) in [
            (17, DropReason::NextHeaderUnknown),
            (45 - expected, DropReason::InnerMalformed),
        ] {
            let mut pair = Pair::new(NULL);
            assert!(pair.open(&[rename(next_header)]).is_empty());
            assert_eq!(drops(&pair.b, reason), 1, "{next_header}");
        }
        assert_eq!(pair.open(&[rename(expected)]).len(), 1);
    }
}

// covers R4303-3.4.3-4
#[test]
fn number_zero_is_refused_though_its_icv_is_right() {
    let mut pair = Pair::new(NULL);
    let first = pair.seal(&udp(1, 2, 53, b"one")).remove(0);
    assert_eq!(first[4..HEADER], [0, 0, 0, 1]);
    let zero = forged(&first, |esp| esp[7] = 0);
    assert!(pair.open(&[zero]).is_empty());
    assert_eq!(drops(&pair.b, DropReason::ReplayTooOld), 1);
    assert_eq!(pair.open(&[forged(&first, |_| {})]).len(), 1);
}

// covers R4303-2.7-2
#[test]
fn padding_against_traffic_analysis_changes_no_length_inside() {
    let mut sa = sa(Mode::Tunnel);
    (sa.suite, sa.keys) = (NULL, keys(NULL, 7));
    sa.processing.tfc = TfcPadding::To(600);
    for ipv6 in [false, true] {
        let packet = datagram(host(ipv6, 1), host(ipv6, 2), 0, b"short");
        let ends = Ends::new(&[sa.clone()], false);
        let sealed = ends.seal(&packet).remove(0);
        let inside = &sealed[IPV4 + HEADER..];
        assert!(sealed.len() > 600 && inside.starts_with(&packet));
        assert_eq!(ends.open(&sealed), [packet]);
    }
}

// covers R4303-3.4.4.2-1
#[test]
fn what_a_combined_mode_cannot_verify_is_given_to_nobody() {
    let is_combined = |suite: &Suite| matches!(suite, Suite::Combined(_));
    for suite in Suite::all().into_iter().filter(is_combined) {
        let mut pair = Pair::new(suite);
        let packet = pair.seal(&udp(1, 2, 53, &[0x61; 100])).remove(0);
        for at in [HEADER + 20, packet.len() - 1] {
            let mut damaged = packet.clone();
            damaged[at] ^= 1;
            assert!(pair.open(&[damaged]).is_empty(), "{suite:?}");
            let expected = (DropReason::IntegrityFailed, SPI_AB, 1);
            assert_eq!(audits(&pair.b), [expected], "{suite:?}");
        }
        assert_eq!(pair.open(&[packet]).len(), 1);
    }
}

// covers R4302-4-1
#[test]
fn what_ah_refuses_is_audited() {
    let mut sa = sa(Mode::Transport);
    (sa.suite, sa.keys) = (AH, keys(AH, 7));
    sa.sequence.reserved = Some(2);
    let ends = Ends::new(&[sa], false);
    let packet = datagram(end(false, 1), end(false, 2), 0, b"plain to see");
    let first = ends.seal(&packet).remove(0);
    assert_eq!(ends.open(&first), std::slice::from_ref(&packet));
    assert!(audits(&ends.receiver).is_empty());

    assert!(ends.open(&first).is_empty());
    let mut damaged = ends.seal(&packet).remove(0);
    *damaged.last_mut().unwrap() ^= 1;
    assert!(ends.open(&damaged).is_empty());
    let mut unknown = first.clone();
    unknown[IPV4 + 6] ^= 1;
    assert!(ends.open(&unknown).is_empty());
    let expected = [
        (DropReason::Replayed, SPI_AB, 1),
        (DropReason::IntegrityFailed, SPI_AB, 2),
        (DropReason::UnknownSpi, SPI_AB ^ 0x100, 1),
    ];
    assert_eq!(audits(&ends.receiver), expected);

    assert!(ends.seal(&packet).is_empty());
    let [(reason, spi, _)] = audits(&ends.sender)[..] else {
        panic!("one record");
    };
    assert_eq!((reason, spi), (DropReason::SequenceExhausted, SPI_AB));
}
