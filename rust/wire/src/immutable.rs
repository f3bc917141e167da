//! What of the headers in front of AH the ICV covers (RFC 4302, section 3.3.3.1 and appendix A).
//!
//! Fields that routers change are zero, those whose value on arrival can be predicted have that
//! value, all others stay.
//!
//! | in IPv4 | |
//! | --- | --- |
//! | TOS, flags, fragment offset, TTL, checksum | zero |
//! | destination, with a source route that is not used up | its last address |
//! | options end (0), no operation (1), security (130), extended security (133), commercial security (134), router alert (148), sender directed multi-destination delivery (149) | stay |
//! | every other option, known or not | zero over its whole length |
//!
//! | in IPv6 | |
//! | --- | --- |
//! | traffic class, flow label, hop limit | zero |
//! | destination, with a routing header that is not used up | its last address |
//! | routing header of types 0 and 2 | as it will arrive |
//! | routing header of other types, used up | stays |
//! | data of hop-by-hop and destination options with the third highest bit of their type | zero |
//! | source, with a Home Address option (RFC 6275, section 11.3.2) | the two change places |
//! | fragment header around a whole packet | removed |
//!
//! Sender and receiver do the same: on arrival routes are used up, and nothing is left to predict.

use crate::extension_header::{
    AH, DESTINATION_OPTIONS, FRAGMENT, FRAGMENT_OCTETS, HOP_BY_HOP, HeaderChain, IPV4_OCTETS,
    IPV6_OCTETS, ROUTING,
};

mod options;
mod route;

/// Why there is nothing that an ICV could cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImmutableError {
    /// The packet is a fragment; AH covers whole packets only (section 3.4.1).
    Fragment,
    /// A header or an option ends behind the headers, or AH is not what follows them.
    Malformed,
    /// A routing header that is not used up and whose way is not known.
    RouteUnknown,
}

/// Rewrite headers to what the ICV covers of them.
///
/// Args:
///     headers: A copy of all that is in front of AH, whose last next header field names AH
///         already: the IPv4 header with its options, or the IPv6 header with extension headers.
///
/// Returns:
/// How many octets are left of them: eight less when a fragment header was there.
///
/// # Errors
///
/// [`ImmutableError`]; then the copy is of no use any more.
pub fn zero_mutable(headers: &mut [u8]) -> Result<usize, ImmutableError> {
    match headers.first().map(|first| first >> 4) {
        Some(4) => zero_ipv4(headers),
        Some(6) => zero_ipv6(headers),
        _ => Err(ImmutableError::Malformed),
    }
}

fn zero_ipv4(headers: &mut [u8]) -> Result<usize, ImmutableError> {
    let octets = headers.len();
    let (fixed, options) = headers
        .split_first_chunk_mut::<IPV4_OCTETS>()
        .ok_or(ImmutableError::Malformed)?;
    let [
        first,
        tos,
        _,
        _,
        _,
        _,
        flags,
        offset,
        ttl,
        protocol,
        c0,
        c1,
        _,
        _,
        _,
        _,
        destination @ ..,
    ] = fixed;
    if usize::from(*first & 0xf).saturating_mul(4) != octets || *protocol != AH {
        return Err(ImmutableError::Malformed);
    }
    if *flags & 0x3f != 0 || *offset != 0 {
        return Err(ImmutableError::Fragment);
    }
    for field in [tos, flags, ttl, c0, c1] {
        *field = 0;
    }
    options::zero_ipv4(options, destination).ok_or(ImmutableError::Malformed)?;
    Ok(octets)
}

fn zero_ipv6(headers: &mut [u8]) -> Result<usize, ImmutableError> {
    let next_header = *headers.get(6).ok_or(ImmutableError::Malformed)?;
    let chain = HeaderChain::walk(headers, next_header).ok_or(ImmutableError::Malformed)?;
    if chain.is_fragment() {
        return Err(ImmutableError::Fragment);
    }
    if chain.protocol != AH || chain.next_layer.offset != headers.len() {
        return Err(ImmutableError::Malformed);
    }
    let (fixed, extensions) = headers
        .split_first_chunk_mut::<IPV6_OCTETS>()
        .ok_or(ImmutableError::Malformed)?;
    let [v0, v1, v2, v3, _, _, _, hop_limit, ..] = fixed;
    *v0 &= 0xf0;
    for field in [v1, v2, v3, hop_limit] {
        *field = 0;
    }
    zero_extensions(fixed, extensions, next_header)?;
    match chain.fragment.and_then(|fragment| fragment.header) {
        Some(place) => remove_fragment_header(headers, place.offset, place.protocol_at)
            .ok_or(ImmutableError::Malformed),
        None => Ok(headers.len()),
    }
}

fn zero_extensions(
    fixed: &mut [u8; IPV6_OCTETS],
    mut extensions: &mut [u8],
    first: u8,
) -> Result<(), ImmutableError> {
    let mut kind = first;
    while let [next, units, ..] = *extensions {
        let octets = if kind == FRAGMENT {
            FRAGMENT_OCTETS
        } else {
            usize::from(units).saturating_add(1).saturating_mul(8)
        };
        let (header, rest) = extensions
            .split_at_mut_checked(octets)
            .ok_or(ImmutableError::Malformed)?;
        match kind {
            HOP_BY_HOP => options::zero_ipv6(header, None).ok_or(ImmutableError::Malformed)?,
            DESTINATION_OPTIONS => {
                options::zero_ipv6(header, Some(fixed)).ok_or(ImmutableError::Malformed)?;
            }
            ROUTING => route::advance(header, fixed)?,
            _ => {}
        }
        kind = next;
        extensions = rest;
    }
    Ok(())
}

/// Take a fragment header around a whole packet out, as reassembly does (RFC 8200, section 4.5).
fn remove_fragment_header(headers: &mut [u8], at: usize, protocol_at: usize) -> Option<usize> {
    //= https://www.rfc-editor.org/rfc/rfc4302#section-appendix-a
    //# If this happens, then before doing ICV processing, AH MUST first
    //# "remove" (or skip over) this header and change the previous header's
    //# "Next Header" field to be the "Next Header" field in the
    //# Fragmentation Extension Header.
    *headers.get_mut(protocol_at)? = *headers.get(at)?;
    let end = at.checked_add(FRAGMENT_OCTETS)?;
    let left = headers.len().checked_sub(FRAGMENT_OCTETS)?;
    headers.get(end..)?;
    headers.copy_within(end.., at);
    let length = headers.get_mut(4..)?.first_chunk_mut::<2>()?;
    let payload = u16::from_be_bytes(*length).checked_sub(u16::try_from(FRAGMENT_OCTETS).ok()?)?;
    *length = payload.to_be_bytes();
    Some(left)
}

#[cfg(test)]
mod tests;
