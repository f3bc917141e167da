//! What is done with a decrypted packet (RFC 4303, section 3.4.4.1; RFC 4301, section 5.2): padding
//! and next header, selectors of the SA, ECN, and off to the device.

use perilune_wire::esp::{NEXT_HEADER_DUMMY, NEXT_HEADER_IPV4, NEXT_HEADER_IPV6, TRAILER_OCTETS};
use perilune_wire::icmp;
use perilune_wire::ip;

use crate::bundle::Carried;
use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::inbound::Incoming;
use crate::opened_batch::OpenedBatch;
use crate::outbound::long;
use crate::sa::{InboundSa, SadEntry};

const CONGESTION_EXPERIENCED: u8 = 3;

impl Engine {
    /// Check the payload of an authentic packet and put it into the batch.
    #[inline]
    pub(crate) fn decapsulate(
        &self,
        (entry, carried): (&SadEntry<InboundSa>, &mut Carried),
        inner: &mut [u8],
        next_header: u8,
        incoming: &mut Incoming<'_>,
        out: &mut OpenedBatch,
    ) -> Result<(), DropReason> {
        let is_ipv6 = match next_header {
            NEXT_HEADER_IPV4 => false,
            NEXT_HEADER_IPV6 => true,
            NEXT_HEADER_DUMMY => return Err(DropReason::DummyPacket),
            _ => return Err(DropReason::NextHeaderUnknown),
        };
        let sa = &entry.sa;
        let mut packet = ip::parse(inner).ok_or(DropReason::InnerMalformed)?;
        if packet.flow.is_ipv6() != is_ipv6 {
            return Err(DropReason::InnerMalformed);
        }
        if packet.is_fragment || carried.admitted != Some(packet.flow) {
            self.admit_packet(entry, inner, &packet, incoming.now)?;
            incoming.precedence.check(entry, &packet.flow)?;
            // What an ICMP error is about is not in its flow.
            let is_told_by_flow = !packet.is_fragment && !icmp::is_error(&packet.flow);
            let is_usual = entry.arrivals.is_none() && is_told_by_flow;
            carried.admitted = is_usual.then_some(packet.flow);
        }
        let ecn = decapsulated_ecn(packet.traffic_class & 3, incoming.from.traffic_class & 3)?;
        if ecn != packet.traffic_class & 3 {
            ip::set_ecn(inner, ecn);
            packet.traffic_class = (packet.traffic_class & !3) | ecn;
        }
        let octets = long(packet.total);
        if !carried.is_far_from_bounds && !self.charge(&sa.common, octets) {
            return Err(DropReason::LifetimeExpired);
        }
        carried.packets = carried.packets.saturating_add(1);
        carried.octets = carried.octets.saturating_add(octets);
        if out.coalescer().push(inner, &packet) {
            Ok(())
        } else {
            Err(DropReason::TooLarge)
        }
    }
}

/// Check and take off padding and trailer (RFC 4303, section 2.4).
///
/// Returns:
/// The payload and the next header.
#[inline]
pub(crate) fn strip_trailer(plain: &mut [u8]) -> Result<(&mut [u8], u8), DropReason> {
    let (rest, [pad_length, next_header]) = plain
        .split_last_chunk_mut::<TRAILER_OCTETS>()
        .ok_or(DropReason::EspMalformed)?;
    let payload = rest
        .len()
        .checked_sub(usize::from(*pad_length))
        .ok_or(DropReason::PaddingInvalid)?;
    let (payload, padding) = rest
        .split_at_mut_checked(payload)
        .ok_or(DropReason::PaddingInvalid)?;
    //= https://www.rfc-editor.org/rfc/rfc4303#section-2.4
    //# When this padding scheme is employed, the receiver SHOULD inspect the Padding field.
    if padding
        .iter()
        .zip(1..)
        .any(|(octet, expected)| *octet != expected)
    {
        return Err(DropReason::PaddingInvalid);
    }
    Ok((payload, *next_header))
}

/// The ECN field the inner packet gets (RFC 6040, section 4.2, figure 4).
#[inline]
pub(crate) fn decapsulated_ecn(inner: u8, outer: u8) -> Result<u8, DropReason> {
    const NOT_ECT: u8 = 0;
    const ECT_1: u8 = 1;
    match (inner, outer) {
        (NOT_ECT, CONGESTION_EXPERIENCED) => Err(DropReason::EcnCongestion),
        (NOT_ECT, _) => Ok(NOT_ECT),
        (CONGESTION_EXPERIENCED, _) | (_, CONGESTION_EXPERIENCED) => Ok(CONGESTION_EXPERIENCED),
        (_, ECT_1) => Ok(ECT_1),
        _ => Ok(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers R4301-5.1.2-9
    //= https://www.rfc-editor.org/rfc/rfc6040#section-4.2
    //= type=test
    //# the decapsulator MUST set the outgoing ECN field to the more severe marking of the
    //# outer and inner ECN fields
    #[test]
    fn ecn_is_what_figure_4_of_rfc_6040_says() {
        const DROP: Result<u8, DropReason> = Err(DropReason::EcnCongestion);
        // Rows: inner Not-ECT, ECT(0), ECT(1), CE; columns: outer, in the same order.
        let order = [0b00, 0b10, 0b01, 0b11];
        let figure = [
            [Ok(0b00), Ok(0b00), Ok(0b00), DROP],
            [Ok(0b10), Ok(0b10), Ok(0b01), Ok(0b11)],
            [Ok(0b01), Ok(0b01), Ok(0b01), Ok(0b11)],
            [Ok(0b11); 4],
        ];
        for (inner, row) in order.iter().zip(figure) {
            for (outer, expected) in order.iter().zip(row) {
                assert_eq!(
                    decapsulated_ecn(*inner, *outer),
                    expected,
                    "{inner:b} in {outer:b}"
                );
            }
        }
    }

    // covers R4303-2.4-2
    #[test]
    fn padding_counts_from_one() {
        assert_eq!(
            strip_trailer(&mut [9, 1, 2, 2, 4]).unwrap(),
            (&mut [9][..], 4)
        );
        assert_eq!(strip_trailer(&mut [0, 41]).unwrap(), (&mut [][..], 41));
        assert_eq!(
            strip_trailer(&mut [9, 1, 3, 2, 4]),
            Err(DropReason::PaddingInvalid)
        );
        assert_eq!(
            strip_trailer(&mut [1, 2, 4]),
            Err(DropReason::PaddingInvalid),
            "longer than the packet"
        );
    }
}
