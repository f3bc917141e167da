//! Packets of a peer who has the keys: their ICV is right, and nothing else need be.

use aws_lc_rs::hmac;
use perilune_wire::ah::{AhHeader, FIXED_OCTETS, header_octets};
use perilune_wire::extension_header::{AH, ESP, HeaderChain};
use perilune_wire::immutable::zero_mutable;

pub(super) const SPI: u32 = 0x1000;
pub(super) const KEY: [u8; 64] = [7; 64];

const ICV_OCTETS: usize = 16;
const HMAC_KEY_OCTETS: usize = 32;

/// NULL encryption and HMAC-SHA-256-128: the input is the sequence number's low octet and then all
/// that an honest peer would have encrypted.
pub(super) fn esp(octets: &[u8], is_ipv6: bool) -> Vec<u8> {
    let (sequence, text) = octets.split_first().unwrap_or((&1, &[]));
    let mut packet = outer(is_ipv6, ESP);
    let esp_at = packet.len();
    packet.extend_from_slice(&SPI.to_be_bytes());
    packet.extend_from_slice(&u32::from(*sequence).to_be_bytes());
    packet.extend_from_slice(text);
    let icv = icv(&packet[esp_at..]);
    packet.extend_from_slice(&icv);
    with_length(packet)
}

/// AH with HMAC-SHA-256-128: the input is the length of the headers, the headers, the sequence
/// number's low octet, the next header and the payload.
pub(super) fn ah(octets: &[u8], is_ipv6: bool) -> Option<Vec<u8>> {
    let (length, rest) = octets.split_first()?;
    let (headers, rest) = rest.split_at_checked(usize::from(*length))?;
    let ([sequence, next_header], payload) = rest.split_first_chunk()?;
    let mut packet = if headers.is_empty() {
        outer(is_ipv6, AH)
    } else {
        headers.to_vec()
    };
    let headers = packet.len();
    let is_ipv6 = packet[0] >> 4 == 6;
    let header = AhHeader {
        next_header: *next_header,
        octets: header_octets(ICV_OCTETS, is_ipv6),
        spi: SPI,
        sequence: u32::from(*sequence),
    };
    packet.resize(headers + header.octets, 0);
    header.write(&mut packet[headers..])?;
    packet.extend_from_slice(payload);
    let mut packet = with_length(packet);
    let chain = HeaderChain::parse(&packet)?;
    if chain.next_layer.offset != headers {
        return None;
    }
    chain.next_layer.rename(&mut packet, AH)?;
    let mut covered = packet[..headers].to_vec();
    let octets = zero_mutable(&mut covered).ok()?;
    covered.truncate(octets);
    covered.extend_from_slice(&packet[headers..]);
    let icv_at = headers + FIXED_OCTETS;
    packet[icv_at..icv_at + ICV_OCTETS].copy_from_slice(&icv(&covered));
    Some(packet)
}

/// A header between the two ends.
fn outer(is_ipv6: bool, protocol: u8) -> Vec<u8> {
    if is_ipv6 {
        let mut header = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
        for side in [1, 2] {
            header.extend_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, side]);
        }
        header
    } else {
        let start = [0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0];
        [&start[..], &[192, 0, 2, 1], &[192, 0, 2, 2]].concat()
    }
}

fn with_length(mut packet: Vec<u8>) -> Vec<u8> {
    let _ = perilune_wire::ip::set_length(&mut packet);
    packet
}

fn icv(octets: &[u8]) -> [u8; ICV_OCTETS] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &KEY[..HMAC_KEY_OCTETS]);
    let tag = hmac::sign(&key, octets);
    *tag.as_ref().first_chunk().expect("32 octets")
}
