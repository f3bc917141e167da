//! Options of both IP versions, and which of them the ICV covers (RFC 4302, appendix A).

use crate::extension_header::IPV6_OCTETS;

const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const SECURITY: u8 = 130;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const EXTENDED_SECURITY: u8 = 133;
const COMMERCIAL_SECURITY: u8 = 134;
const STRICT_SOURCE_ROUTE: u8 = 137;
const ROUTER_ALERT: u8 = 148;
const DIRECTED_DELIVERY: u8 = 149;

/// Type, length and pointer of a source route.
const ROUTE_DATA: usize = 3;
const IPV4_ADDRESS: usize = 4;

const PAD1: u8 = 0;
const HOME_ADDRESS: u8 = 201;
/// The bit of an option's type that says that its data may change on the way.
const CHANGES: u8 = 0x20;
const IPV6_SOURCE: usize = 8;

/// Zero the options that are mutable, and put the end of a source route into the destination.
///
/// Returns:
/// `None` when an option does not fit or there is a second source route.
pub(super) fn zero_ipv4(mut options: &mut [u8], destination: &mut [u8; 4]) -> Option<()> {
    let mut has_route = false;
    loop {
        match options {
            [] | [END_OF_OPTIONS, ..] => return Some(()),
            [NO_OPERATION, rest @ ..] => options = rest,
            [kind, length, ..] => {
                let (kind, length) = (*kind, usize::from(*length));
                let (option, rest) = options.split_at_mut_checked(length)?;
                if option.len() < 2 {
                    return None;
                }
                if matches!(kind, LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE) {
                    if std::mem::replace(&mut has_route, true) {
                        return None;
                    }
                    predict_destination(option, destination)?;
                }
                if !is_immutable(kind) {
                    option.fill(0);
                }
                options = rest;
            }
            [_] => return None,
        }
    }
}

fn is_immutable(kind: u8) -> bool {
    matches!(
        kind,
        SECURITY | EXTENDED_SECURITY | COMMERCIAL_SECURITY | ROUTER_ALERT | DIRECTED_DELIVERY
    )
}

/// A route that is not used up ends at its last address (RFC 791, section 3.1).
fn predict_destination(option: &[u8], destination: &mut [u8; 4]) -> Option<()> {
    let (header, route) = option.split_first_chunk::<ROUTE_DATA>()?;
    let [_, length, pointer] = *header;
    if usize::from(pointer) <= ROUTE_DATA || route.len() % IPV4_ADDRESS != 0 {
        return None;
    }
    if pointer <= length {
        *destination = *route.last_chunk()?;
    }
    Some(())
}

/// Zero the data of options that may change on the way.
///
/// Args:
///     header: A hop-by-hop or destination options header.
///     fixed: The IPv6 header, when a Home Address option may stand here; the two addresses change
///         places.
///
/// Returns:
/// `None` when an option does not fit.
pub(super) fn zero_ipv6(
    header: &mut [u8],
    mut fixed: Option<&mut [u8; IPV6_OCTETS]>,
) -> Option<()> {
    let mut options = header.get_mut(2..)?;
    loop {
        match options {
            [] => return Some(()),
            [PAD1, rest @ ..] => options = rest,
            [kind, length, rest @ ..] => {
                let (data, rest) = rest.split_at_mut_checked(usize::from(*length))?;
                if *kind & CHANGES != 0 {
                    //= https://www.rfc-editor.org/rfc/rfc4302#section-3.3.3.1.2.2
                    //# For any option for which contents
                    //# may change en-route, the entire "Option Data" field must be treated
                    //# as zero-valued octets when computing or verifying the ICV.
                    data.fill(0);
                } else if *kind == HOME_ADDRESS
                    && let Some(fixed) = fixed.take()
                {
                    let source = fixed.get_mut(IPV6_SOURCE..)?.first_chunk_mut::<16>()?;
                    std::mem::swap(<&mut [u8; 16]>::try_from(data).ok()?, source);
                }
                options = rest;
            }
            [_] => return None,
        }
    }
}
