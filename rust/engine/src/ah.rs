//! AH around a packet, and off it again (RFC 4302, section 3).

use perilune_wire::ah::{AhHeader, FIXED_OCTETS, header_octets};
use perilune_wire::extension_header::{AH, Place};
use perilune_wire::immutable::{ImmutableError, zero_mutable};
use perilune_wire::ip;

use crate::drop_reason::DropReason;
use crate::mode::Parts;
use crate::transform::{AhTransform, Sequence};

/// The longest padding behind an ICV: a peer may align to 64 bits where 32 would do.
const ALIGNMENT_OCTETS: usize = 8;

/// Octets of the header in front of a payload.
pub(crate) fn octets(transform: &AhTransform, is_ipv6: bool) -> usize {
    header_octets(transform.icv_octets(), is_ipv6)
}

/// Put AH between the parts.
pub(crate) fn seal(
    transform: &AhTransform,
    spi: u32,
    parts: Parts,
    sequence: Sequence,
) -> Result<Vec<u8>, DropReason> {
    let Parts {
        head: mut packet,
        protocol_at,
        next_header,
        payload,
    } = parts;
    let ah_at = packet.len();
    let is_ipv6 = packet.first().is_some_and(|first| first >> 4 == 6);
    *packet
        .get_mut(protocol_at)
        .ok_or(DropReason::FrameMalformed)? = AH;
    let header = AhHeader {
        next_header,
        octets: octets(transform, is_ipv6),
        spi,
        sequence: u32::try_from(sequence.number & 0xffff_ffff).unwrap_or(0),
    };
    let payload_at = ah_at.saturating_add(header.octets);
    packet.resize(payload_at, 0);
    let place = packet.get_mut(ah_at..).unwrap_or_default();
    header.write(place).ok_or(DropReason::TooLarge)?;
    packet.extend_from_slice(&payload);
    ip::set_length(&mut packet).ok_or(DropReason::TooLarge)?;
    let (head, rest) = packet.split_at(ah_at);
    let covered = covered_headers(head)?;
    let mut icv = vec![0; transform.icv_octets()];
    transform
        .icv(&[&covered, rest], sequence, &mut icv)
        .ok_or(DropReason::TooLarge)?;
    let icv_at = ah_at.saturating_add(FIXED_OCTETS);
    let icv_end = icv_at.saturating_add(icv.len());
    packet
        .get_mut(icv_at..icv_end)
        .ok_or(DropReason::TooLarge)?
        .copy_from_slice(&icv);
    Ok(packet)
}

/// Verify the AH at a place and take it off.
pub(crate) fn open(
    transform: &AhTransform,
    packet: &[u8],
    place: Place,
    sequence: Sequence,
) -> Result<Parts, DropReason> {
    let malformed = DropReason::AhMalformed;
    let (head, rest) = packet.split_at_checked(place.offset).ok_or(malformed)?;
    let header = AhHeader::parse(rest).ok_or(malformed)?;
    let (ah, payload) = rest.split_at_checked(header.octets).ok_or(malformed)?;
    let (fixed, icv_and_padding) = ah.split_at_checked(FIXED_OCTETS).ok_or(malformed)?;
    let (icv, padding) = icv_and_padding
        .split_at_checked(transform.icv_octets())
        .ok_or(malformed)?;
    if padding.len() >= ALIGNMENT_OCTETS {
        return Err(malformed);
    }
    let covered = covered_headers(head)?;
    let zeros = vec![0; icv.len()];
    transform
        .verify(&[&covered, fixed, &zeros, padding, payload], sequence, icv)
        .ok_or(DropReason::IntegrityFailed)?;
    Ok(Parts {
        head: head.to_vec(),
        protocol_at: place.protocol_at,
        next_header: header.next_header,
        payload: payload.to_vec(),
    })
}

/// What the ICV covers of the headers in front of AH.
fn covered_headers(head: &[u8]) -> Result<Vec<u8>, DropReason> {
    let mut covered = head.to_vec();
    let left = zero_mutable(&mut covered).map_err(|error| match error {
        ImmutableError::Fragment => DropReason::FragmentWithIpsec,
        ImmutableError::Malformed | ImmutableError::RouteUnknown => DropReason::AhMalformed,
    })?;
    covered.truncate(left);
    Ok(covered)
}
