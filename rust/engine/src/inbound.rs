//! From the network to the device: find the SA, check for replay, open, decapsulate, check
//! selectors.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use perilune_wire::esp::{
    EspHeader, NEXT_HEADER_DUMMY, NEXT_HEADER_IPV4, NEXT_HEADER_IPV6, TRAILER_OCTETS,
};
use perilune_wire::ip;

use crate::drop_reason::DropReason;
use crate::engine::{CachedTables, Engine, Progress};
use crate::event::{Event, Limit};
use crate::opened_batch::OpenedBatch;
use crate::path::{Encapsulation, PathInfo};
use crate::sad::{InboundSa, SadEntry};
use crate::time::Instant;
use crate::transform::Sequence;

const CONGESTION_EXPERIENCED: u8 = 3;

/// What one thread that opens keeps to itself.
pub struct InboundWorker {
    tables: CachedTables,
}

impl InboundWorker {
    pub(crate) fn new(tables: CachedTables) -> Self {
        Self { tables }
    }

    /// Let go of tables that were replaced; see
    /// [`OutboundWorker::refresh`](crate::OutboundWorker::refresh).
    pub fn refresh(&mut self) {
        self.tables.load();
    }
}

/// One packet on its way, with what an audit record wants to know.
struct Incoming<'a> {
    from: &'a PathInfo,
    now: Instant,
    spi: u32,
    sequence: u64,
}

impl Engine {
    /// Open one ESP packet in place and put what was inside into the batch.
    ///
    /// `esp` begins with the SPI; a UDP header or a non-ESP marker is gone.
    pub fn open(
        &self,
        worker: &mut InboundWorker,
        esp: &mut [u8],
        from: &PathInfo,
        now: Instant,
        out: &mut OpenedBatch,
    ) -> Progress {
        let Some(header) = EspHeader::parse(esp) else {
            self.drops.add(DropReason::EspMalformed, 1);
            return Progress::Done;
        };
        let mut incoming = Incoming {
            from,
            now,
            spi: header.spi,
            sequence: u64::from(header.sequence),
        };
        let Some(entry) = worker.tables.load().inbound.get(header.spi) else {
            self.refuse_unknown(&incoming);
            return Progress::Done;
        };
        if !out.has_room_for(esp.len()) {
            if !out.is_empty() {
                return Progress::Full;
            }
            self.drop_inbound(&incoming, DropReason::TooLarge, &entry.sa);
        } else if let Err(reason) = self.open_on(entry, esp, header.sequence, &mut incoming, out) {
            self.drop_inbound(&incoming, reason, &entry.sa);
        }
        Progress::Done
    }

    #[inline]
    fn open_on(
        &self,
        entry: &Arc<SadEntry<InboundSa>>,
        esp: &mut [u8],
        low: u32,
        incoming: &mut Incoming<'_>,
        out: &mut OpenedBatch,
    ) -> Result<(), DropReason> {
        let sa = &entry.sa;
        if sa.common.is_ended() || sa.common.lifetime.is_over(incoming.now) {
            self.end_lifetime(&sa.common, Limit::Time);
            return Err(DropReason::LifetimeExpired);
        }
        incoming.sequence = check_replay(sa, low)?;
        let sequence = Sequence {
            number: incoming.sequence,
            esn: sa.common.esn,
        };
        let plain = sa.common.transform.open(esp, sequence)?;
        //= https://www.rfc-editor.org/rfc/rfc4303#section-3.4.3
        //# The receive window is updated only if the integrity verification succeeds.
        let is_newest = crate::lock(&sa.replay).accept(incoming.sequence)?;
        self.note_verified(entry, incoming, is_newest);
        let plain = esp.get_mut(plain).ok_or(DropReason::EspMalformed)?;
        let (inner, next_header) = strip_trailer(plain)?;
        self.decapsulate(sa, inner, next_header, incoming, out)
    }

    #[inline]
    fn decapsulate(
        &self,
        sa: &InboundSa,
        inner: &mut [u8],
        next_header: u8,
        incoming: &Incoming<'_>,
        out: &mut OpenedBatch,
    ) -> Result<(), DropReason> {
        let is_ipv6 = match next_header {
            NEXT_HEADER_IPV4 => false,
            NEXT_HEADER_IPV6 => true,
            NEXT_HEADER_DUMMY => return Err(DropReason::DummyPacket),
            _ => return Err(DropReason::NextHeaderUnknown),
        };
        let mut packet = ip::parse(inner).ok_or(DropReason::InnerMalformed)?;
        if packet.flow.is_ipv6() != is_ipv6 {
            return Err(DropReason::InnerMalformed);
        }
        if !sa.common.selectors.contains_inbound(&packet.flow) {
            return Err(DropReason::SelectorMismatch);
        }
        let ecn = decapsulated_ecn(packet.traffic_class & 3, incoming.from.traffic_class & 3)?;
        if ecn != packet.traffic_class & 3 {
            ip::set_ecn(inner, ecn);
            packet.traffic_class = (packet.traffic_class & !3) | ecn;
        }
        if !self.charge(&sa.common, u64::try_from(packet.total).unwrap_or(u64::MAX)) {
            return Err(DropReason::LifetimeExpired);
        }
        sa.common.touch(incoming.now);
        if out.coalescer().push(inner, &packet) {
            Ok(())
        } else {
            Err(DropReason::TooLarge)
        }
    }

    /// A packet was authentic: SAs may wait for that, and it may show that the peer has moved.
    #[inline]
    fn note_verified(&self, entry: &SadEntry<InboundSa>, incoming: &Incoming<'_>, is_newest: bool) {
        let sa = &entry.sa;
        if !sa.verified.load(Ordering::Relaxed) {
            sa.verified.store(true, Ordering::Release);
            self.change_readiness();
        }
        let from = incoming.from;
        let can_move = entry.encapsulation == Encapsulation::Udp && from.encapsulated;
        if is_newest && can_move && from.remote != entry.path.remote {
            self.note_moved(entry, incoming);
        }
    }

    #[cold]
    fn note_moved(&self, entry: &SadEntry<InboundSa>, incoming: &Incoming<'_>) {
        let PathInfo {
            local, remote: new, ..
        } = *incoming.from;
        let reported = crate::lock(&entry.sa.reported).replace(new);
        if reported != Some(new) {
            let old = entry.path.remote;
            self.events.push(Event::PeerMoved {
                spi: incoming.spi,
                old,
                new,
                local,
            });
        }
    }

    #[cold]
    fn refuse_unknown(&self, incoming: &Incoming<'_>) {
        self.drops.add(DropReason::UnknownSpi, 1);
        if self.unknown_spis.allows(incoming.now) {
            let PathInfo {
                remote: from,
                encapsulated,
                ..
            } = *incoming.from;
            self.events.push(Event::UnknownSpi {
                spi: incoming.spi,
                from,
                encapsulated,
            });
        }
        self.audit_inbound(incoming, DropReason::UnknownSpi);
    }

    #[cold]
    fn drop_inbound(&self, incoming: &Incoming<'_>, reason: DropReason, sa: &InboundSa) {
        self.drops.add(reason, 1);
        if reason != DropReason::DummyPacket {
            sa.common.add_errors(1);
        }
        self.audit_inbound(incoming, reason);
    }

    fn audit_inbound(&self, incoming: &Incoming<'_>, reason: DropReason) {
        if self.audits.allows(reason, incoming.now) {
            self.events.push(Event::Audit {
                reason,
                spi: incoming.spi,
                source: incoming.from.remote.ip(),
                destination: incoming.from.local.ip(),
                sequence: incoming.sequence,
                flow_label: incoming.from.flow_label,
                time: incoming.now,
            });
        }
    }
}

/// Complete the sequence number, if the packet is neither replayed nor too old.
#[inline]
fn check_replay(sa: &InboundSa, low: u32) -> Result<u64, DropReason> {
    let window = crate::lock(&sa.replay);
    let sequence = window.complete(low);
    window.check(sequence)?;
    Ok(sequence)
}

/// Check and take off padding and trailer (RFC 4303, section 2.4).
///
/// Returns:
/// The payload and the next header.
#[inline]
fn strip_trailer(plain: &mut [u8]) -> Result<(&mut [u8], u8), DropReason> {
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
fn decapsulated_ecn(inner: u8, outer: u8) -> Result<u8, DropReason> {
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
    use crate::change::{Action, Change, Direction, Lifetimes, PolicyConfig, PolicyId, SaConfig};
    use crate::path::Path;
    use crate::selector::{Ports, SelectorPair, TrafficSelector};
    use crate::suite::{Keys, Suite};
    use crate::transform::Transform;
    use proptest::prelude::*;

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

    proptest! {
        /// A peer that knows the key may still put anything inside.
        #[test]
        fn anything_authentic_can_be_inside(
            mut inner in prop::collection::vec(any::<u8>(), 2..200),
            next_header in prop_oneof![Just(4u8), Just(41), Just(59), any::<u8>()],
            padding in prop_oneof![3 => Just(0u8), 1 => any::<u8>()],
            version in prop_oneof![Just(0x45u8), Just(0x60), any::<u8>()],
        ) {
            inner[0] = version;
            let engine = engine();
            let mut packet = authentic(&inner, padding, next_header);
            let mut worker = engine.inbound_worker();
            let mut out = OpenedBatch::with_capacity(0);
            let progress = engine.open(&mut worker, &mut packet, &from(), NOW, &mut out);
            prop_assert_eq!(progress, Progress::Done);
            let dropped: u64 = engine.stats().drops.iter().map(|(_, count)| count).sum();
            prop_assert_eq!(dropped, u64::from(out.is_empty()), "one verdict for each packet");
            prop_assert_eq!(engine.stats().sas[0].sequence, 1, "it was authentic");
        }
    }

    #[test]
    fn dummies_vanish_without_blame() {
        let engine = engine();
        let mut packet = authentic(&[1, 2, 3], 0, NEXT_HEADER_DUMMY);
        let mut out = OpenedBatch::with_capacity(0);
        let progress = engine.open(
            &mut engine.inbound_worker(),
            &mut packet,
            &from(),
            NOW,
            &mut out,
        );
        assert_eq!((progress, out.is_empty()), (Progress::Done, true));
        let stats = engine.stats();
        assert!(stats.drops.contains(&(DropReason::DummyPacket, 1)));
        assert_eq!(stats.sas[0].errors, 0);
        assert!(!engine.has_events());
    }

    const NOW: Instant = Instant(7);
    const SUITE: Suite = Suite::ChaCha20Poly1305;

    fn keys() -> Keys {
        Keys::new(vec![1; 36], vec![])
    }

    fn from() -> PathInfo {
        let address = "192.0.2.1:4500".parse().unwrap();
        PathInfo {
            local: address,
            remote: address,
            encapsulated: true,
            traffic_class: 0,
            flow_label: 0,
        }
    }

    /// The first packet of the SA, with this payload, pad length and next header.
    fn authentic(payload: &[u8], padding: u8, next_header: u8) -> Vec<u8> {
        let transform = Transform::new(SUITE, &keys()).unwrap();
        let mut packet = vec![0; transform.layout().packet(payload.len())];
        packet[..8].copy_from_slice(
            &EspHeader {
                spi: 0x1000,
                sequence: 1,
            }
            .to_octets(),
        );
        packet[16..16 + payload.len()].copy_from_slice(payload);
        let end = packet.len() - 16;
        let filled = end - 18 - payload.len();
        for (octet, value) in packet[end - 2 - filled..].iter_mut().zip(1..).take(filled) {
            *octet = value;
        }
        packet[end - 2] = padding.max(u8::try_from(filled).unwrap());
        packet[end - 1] = next_header;
        transform
            .seal(
                &mut packet,
                Sequence {
                    number: 1,
                    esn: false,
                },
            )
            .unwrap();
        packet
    }

    fn engine() -> Engine {
        let engine = Engine::new();
        let range = |first: &str, last: &str| {
            let addresses = first.parse().unwrap()..=last.parse().unwrap();
            TrafficSelector::new(addresses, 0, Ports::Any).unwrap()
        };
        let all = vec![
            range("0.0.0.0", "255.255.255.255"),
            range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ];
        let selectors = SelectorPair {
            local: all.clone(),
            remote: all,
        };
        let (id, action) = (PolicyId(1), Action::Protect);
        let policy = PolicyConfig {
            id,
            priority: 0,
            action,
            selectors: selectors.clone(),
            hold: true,
        };
        let path = Path {
            local: from().local,
            remote: from().remote,
        };
        let sa = SaConfig {
            spi: 0x1000,
            direction: Direction::Inbound,
            policy: id,
            peer_spi: 0x2000,
            path,
            encapsulation: Encapsulation::Udp,
            suite: SUITE,
            keys: keys(),
            esn: false,
            replay_window: 32,
            selectors,
            lifetimes: Lifetimes::default(),
            ready_after: None,
        };
        engine
            .apply(
                &[Change::AddPolicy(policy), Change::AddSa(Box::new(sa))],
                NOW,
            )
            .unwrap();
        engine
    }
}
