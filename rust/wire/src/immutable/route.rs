//! A routing header as it will arrive (RFC 4302, appendix A2; RFC 2460, section 4.4; RFC 6275,
//! section 6.4).

use super::ImmutableError;
use crate::extension_header::IPV6_OCTETS;

const TYPE_0: u8 = 0;
const TYPE_2: u8 = 2;
/// Next header, length, type, segments left and four reserved octets.
const FIXED_OCTETS: usize = 8;
const ADDRESS: usize = 16;

/// Go the way that is left: the last address becomes the destination, each other moves one place
/// back, and the destination takes the place of the first that was to be visited.
pub(super) fn advance(
    header: &mut [u8],
    fixed: &mut [u8; IPV6_OCTETS],
) -> Result<(), ImmutableError> {
    let (start, addresses) = header
        .split_first_chunk_mut::<FIXED_OCTETS>()
        .ok_or(ImmutableError::Malformed)?;
    let [_, _, kind, segments_left, ..] = start;
    if *segments_left == 0 {
        return Ok(());
    }
    if !matches!(*kind, TYPE_0 | TYPE_2) {
        return Err(ImmutableError::RouteUnknown);
    }
    let (addresses, rest) = addresses.as_chunks_mut::<ADDRESS>();
    let visited = addresses.len().checked_sub(usize::from(*segments_left));
    let to_visit = visited.and_then(|visited| addresses.get_mut(visited..));
    let destination = fixed.last_chunk_mut::<ADDRESS>();
    let (Some(to_visit @ [_, ..]), Some(destination), []) = (to_visit, destination, rest) else {
        return Err(ImmutableError::Malformed);
    };
    to_visit.rotate_right(1);
    if let Some(first) = to_visit.first_mut() {
        std::mem::swap(first, destination);
    }
    *segments_left = 0;
    Ok(())
}
