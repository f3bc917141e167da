//! Outbound ESP processing (RFC 4303, section 3.3): sequence numbers, tunnel mode encapsulation,
//! padding and sealing, straight from the device's frame into the send buffer.

use perilune_wire::esp::{EspHeader, NEXT_HEADER_IPV4, NEXT_HEADER_IPV6, TRAILER_OCTETS};
use perilune_wire::segment::Superpacket;

use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::outbound::{Flow, Outgoing, long};
use crate::outer_header::{dont_fragment, traffic_class};
use crate::sa::{OutboundSa, SadEntry};
use crate::sealed_batch::{MAX_RUN_OCTETS, Outside, SealedBatch};
use crate::spd::SpdEntry;
use crate::transform::Sequence;

impl Engine {
    /// Send what fits into the batch through the SA.
    pub(crate) fn protect(
        &self,
        policy: &SpdEntry,
        entry: &SadEntry<OutboundSa>,
        outgoing: &Outgoing<'_>,
        out: &mut SealedBatch,
    ) -> Flow {
        let (sa, packet, from) = (&entry.sa, &outgoing.packet, outgoing.from);
        let left = packet.count().saturating_sub(from);
        let Some(transform) = sa.common.protection.esp() else {
            return self.drop_rest(outgoing, from, DropReason::NoSa, Some(sa));
        };
        let largest = transform.layout().packet(packet.octets(from));
        if largest > MAX_RUN_OCTETS {
            return self.drop_rest(outgoing, from, DropReason::TooLarge, Some(sa));
        }
        let fit = left.min(out.free().checked_div(largest).unwrap_or(0));
        if fit == 0 {
            return Flow::Break(from);
        }
        let (first, granted) = sa.sequence.take(long(fit));
        let granted_until = from.saturating_add(usize::try_from(granted).unwrap_or(fit));
        let sent_until = self.seal_range(entry, outgoing, granted_until, first, out);
        sa.common.touch(outgoing.now);
        policy.counters.add(
            long(sent_until.saturating_sub(from)),
            long(packet.octets_of(from..sent_until)),
        );
        self.watch_sequence(sa);
        if sent_until < granted_until {
            return self.drop_rest(outgoing, sent_until, DropReason::LifetimeExpired, Some(sa));
        }
        if granted < long(fit) {
            return self.drop_rest(
                outgoing,
                sent_until,
                DropReason::SequenceExhausted,
                Some(sa),
            );
        }
        if fit < left {
            Flow::Break(sent_until)
        } else {
            Flow::Continue(())
        }
    }

    /// Seal segments up to `until`, as many as the lifetime allows.
    ///
    /// Returns:
    /// The first that was not.
    fn seal_range(
        &self,
        entry: &SadEntry<OutboundSa>,
        outgoing: &Outgoing<'_>,
        until: usize,
        first: u64,
        out: &mut SealedBatch,
    ) -> usize {
        let (sa, packet) = (&entry.sa, &outgoing.packet);
        let count = until.saturating_sub(outgoing.from);
        let octets = packet.octets_of(outgoing.from..until);
        let (processing, ip) = (&sa.common.processing, packet.ip());
        let outside = Outside {
            path: entry.path(),
            encapsulation: entry.encapsulation,
            traffic_class: traffic_class(&processing.dscp, ip.traffic_class),
            dont_fragment: dont_fragment(sa.outer_df(), ip.dont_fragment),
        };
        out.turn_to(&outside);
        let is_free = sa.common.lifetime.charge_many(long(count), long(octets));
        for (number, index) in (first..).zip(outgoing.from..until) {
            if !is_free && !self.charge(&sa.common, long(packet.octets(index))) {
                return index;
            }
            let sealed = seal_segment(sa, packet, index, number, out);
            match sealed {
                Some(octets) => out.commit_esp(octets, &outside),
                None => self.drops.add(DropReason::TooLarge, 1),
            }
        }
        until
    }
}

/// Write one segment as an ESP packet into the free space.
///
/// Returns:
/// Its length, or `None` when it was not possible, which lengths checked before rule out.
#[inline]
fn seal_segment(
    sa: &OutboundSa,
    packet: &Superpacket<'_>,
    index: usize,
    number: u64,
    out: &mut SealedBatch,
) -> Option<usize> {
    let transform = sa.common.protection.esp()?;
    let layout = transform.layout();
    let inner = packet.octets(index);
    let octets = layout.packet(inner);
    let place = out.space(octets)?;
    let low = u32::try_from(number & 0xffff_ffff).ok()?;
    let header = EspHeader {
        spi: sa.common.spi,
        sequence: low,
    }
    .to_octets();
    place.get_mut(..header.len())?.copy_from_slice(&header);
    let payload_end = layout.payload().checked_add(inner)?;
    packet.write(index, place.get_mut(layout.payload()..payload_end)?);
    let trailer_end = layout.payload().checked_add(layout.padded(inner))?;
    let next_header = if packet.ip().flow.is_ipv6() {
        NEXT_HEADER_IPV6
    } else {
        NEXT_HEADER_IPV4
    };
    write_trailer(place.get_mut(payload_end..trailer_end)?, next_header)?;
    transform.seal(
        place,
        Sequence {
            number,
            esn: sa.common.esn,
        },
    )?;
    Some(octets)
}

/// Padding 1, 2, 3, ..., its length, and what is inside (RFC 4303, sections 2.4 to 2.6).
#[inline]
pub(crate) fn write_trailer(place: &mut [u8], next_header: u8) -> Option<()> {
    let (padding, trailer) = place.split_last_chunk_mut::<TRAILER_OCTETS>()?;
    for (octet, value) in padding.iter_mut().zip(1..) {
        *octet = value;
    }
    *trailer = [u8::try_from(padding.len()).ok()?, next_header];
    Some(())
}
