//! Whole IP packets from the network: every mode, AH, bundles (RFC 4301, section 5.2).

use std::net::IpAddr;
use std::sync::Arc;

use perilune_wire::ah::AhHeader;
use perilune_wire::demux::{Payload, classify};
use perilune_wire::esp::{EspHeader, NEXT_HEADER_DUMMY};
use perilune_wire::extension_header::{AH, ESP, HeaderChain, Place};
use perilune_wire::ip;

use crate::ah;
use crate::decapsulate::strip_trailer;
use crate::drop_reason::DropReason;
use crate::engine::{Engine, Progress};
use crate::inbound::{InboundWorker, Incoming};
use crate::mode::{Parts, put_together};
use crate::opened_batch::OpenedBatch;
use crate::overhead::UDP_OCTETS;
use crate::path::PathInfo;
use crate::processing::Protocol;
use crate::protection::Protection;
use crate::sa::{InboundSa, SadEntry};
use crate::sad::InboundSad;
use crate::time::Instant;
use crate::transform::{Sequence, Transform};
use crate::whole_packet::MAX_NESTING;

type Entry = Arc<SadEntry<InboundSa>>;

/// Octets of the longest packet, which is one of IPv6.
const LONGEST: usize = 40 + 65_535;

/// A packet under way, and the SA it came out of last.
struct Layers<'a> {
    packet: Vec<u8>,
    /// It travelled in UDP, so that what was inside in transport mode has a checksum over other
    /// addresses (RFC 3948, section 3.1.2).
    in_udp: bool,
    last: Option<&'a Entry>,
    /// How many are off.
    count: usize,
}

/// What AH or ESP header a packet has.
struct Found<'a> {
    entry: &'a Entry,
    chain: HeaderChain,
    sender: IpAddr,
    destination: IpAddr,
    traffic_class: u8,
    low: u32,
}

impl Engine {
    /// Take a whole IP packet with AH or ESP in it, whose outer header is as it arrived, through
    /// all its SAs, and put what was inside into the batch.
    ///
    /// `from` says how it came; addresses, traffic class and flow label are the packet's own.
    pub fn open_packet(
        &self,
        worker: &mut InboundWorker,
        packet: &mut [u8],
        from: &PathInfo,
        now: Instant,
        out: &mut OpenedBatch,
    ) -> Progress {
        let Some(chain) = HeaderChain::parse(packet) else {
            self.drops.add(DropReason::FrameMalformed, 1);
            return Progress::Done;
        };
        if chain.is_fragment() {
            if is_short_of_room(out) {
                return Progress::Full;
            }
            let whole = packet.get(..chain.total).unwrap_or_default();
            return match self.inbound_fragments.gather(whole, now, &self.drops) {
                Ok(Some(mut whole)) => self.open_packet(worker, &mut whole, from, now, out),
                Ok(None) => Progress::Done,
                Err(reason) => {
                    self.drop_layer(&Incoming::new(worker, from, now).0, reason, None);
                    Progress::Done
                }
            };
        }
        let sad = &worker.tables.load().inbound;
        if let Some((esp, from)) = encapsulated(packet, &chain, from) {
            if is_for_plain_tunnel(sad, esp, &from) {
                return self.open(worker, esp, &from, now, out);
            }
            return match without_udp(packet, &chain) {
                Some(whole) => self.open_layers(worker, whole, true, &from, now, out),
                None => Progress::Done,
            };
        }
        if chain.protocol == ESP
            && let Some(esp) = packet.get_mut(chain.next_layer.offset..chain.total)
            && is_for_plain_tunnel(sad, esp, from)
        {
            return self.open(worker, esp, from, now, out);
        }
        let whole = packet.get(..chain.total).unwrap_or_default().to_vec();
        self.open_layers(worker, whole, false, from, now, out)
    }

    /// Open ESP that a socket gave without its IP header, on an SA that needs one.
    pub(crate) fn open_without_header(
        &self,
        worker: &mut InboundWorker,
        esp: &[u8],
        from: &PathInfo,
        now: Instant,
        out: &mut OpenedBatch,
    ) -> Progress {
        let Some(whole) = from.with_header(ESP, esp) else {
            self.drops.add(DropReason::TooLarge, 1);
            return Progress::Done;
        };
        self.open_layers(worker, whole, from.encapsulated, from, now, out)
    }

    fn open_layers(
        &self,
        worker: &mut InboundWorker,
        packet: Vec<u8>,
        in_udp: bool,
        from: &PathInfo,
        now: Instant,
        out: &mut OpenedBatch,
    ) -> Progress {
        if is_short_of_room(out) {
            return Progress::Full;
        }
        let (mut incoming, sad) = Incoming::new(worker, from, now);
        let layers = Layers {
            packet,
            in_udp,
            last: None,
            count: 0,
        };
        self.finish(sad, layers, &mut incoming, out);
        Progress::Done
    }

    /// Go on with what a tunnel had inside that is AH or ESP itself.
    pub(crate) fn open_inner(
        &self,
        sad: &InboundSad,
        entry: &Entry,
        inner: Parts,
        incoming: &mut Incoming<'_>,
        out: &mut OpenedBatch,
    ) -> Result<(), DropReason> {
        let outer_class = incoming.from.traffic_class;
        let packet = put_together(inner, &entry.sa.common.processing, outer_class)?;
        let layers = Layers {
            packet,
            in_udp: false,
            last: Some(entry),
            count: 1,
        };
        self.finish(sad, layers, incoming, out);
        Ok(())
    }

    /// Take off what is left and put what was inside into the batch, or count why not.
    fn finish<'a>(
        &self,
        sad: &'a InboundSad,
        mut layers: Layers<'a>,
        incoming: &mut Incoming<'_>,
        out: &mut OpenedBatch,
    ) {
        match self.unwrap_all(sad, &mut layers, incoming) {
            Ok(()) if out.push(&layers.packet) => {}
            Ok(()) => self.drops.add(DropReason::TooLarge, 1),
            Err(reason) => self.drop_layer(incoming, reason, layers.last),
        }
    }

    /// Take off layer by layer all that is for us.
    fn unwrap_all<'a>(
        &self,
        sad: &'a InboundSad,
        layers: &mut Layers<'a>,
        incoming: &mut Incoming<'_>,
    ) -> Result<(), DropReason> {
        loop {
            let next = find(sad, layers, incoming)?;
            if let Some(before) = layers.last {
                // What a bundle carries is checked where it comes out of the bundle.
                let is_of_bundle = next.as_ref().is_some_and(|inner| {
                    let within = inner.entry.sa.common.within();
                    within.is_some_and(|id| id.spi == before.sa.common.spi)
                });
                self.admit(before, layers, is_of_bundle, incoming)?;
                if next.is_none() {
                    let outline = ip::parse(&layers.packet).ok_or(DropReason::InnerMalformed)?;
                    incoming.precedence.check(before, &outline.flow)?;
                }
            }
            let Some(found) = next else {
                return Ok(());
            };
            let before = layers.last.replace(found.entry);
            if layers.count >= MAX_NESTING {
                return Err(DropReason::NestingTooDeep);
            }
            if !is_within(found.entry, before) {
                return Err(DropReason::BundleIncomplete);
            }
            layers.count = layers.count.saturating_add(1);
            self.unwrap(&found, layers, incoming)?;
        }
    }

    /// Take off one layer.
    fn unwrap(
        &self,
        found: &Found<'_>,
        layers: &mut Layers<'_>,
        incoming: &mut Incoming<'_>,
    ) -> Result<(), DropReason> {
        let sa = &found.entry.sa;
        self.check_lifetime(&sa.common, incoming.now)?;
        incoming.sequence = sa.windows.check(found.sender, found.low)?;
        let sequence = Sequence {
            number: incoming.sequence,
            esn: sa.common.esn,
        };
        let mut packet = std::mem::take(&mut layers.packet);
        packet.truncate(found.chain.total);
        let place = found.chain.next_layer;
        let mut parts = match &sa.common.protection {
            Protection::Ah(transform) => ah::open(transform, &packet, place, sequence),
            Protection::Esp(transform) => open_esp(transform, packet, place, sequence),
        }?;
        let is_newest = sa.windows.accept(found.sender, incoming.sequence)?;
        self.note_verified(found.entry, incoming, is_newest);
        if parts.next_header == NEXT_HEADER_DUMMY {
            return Err(DropReason::DummyPacket);
        }
        if let Some(compression) = sa.common.compression() {
            compression.decompress(&mut parts)?;
        }
        let in_udp = std::mem::take(&mut layers.in_udp);
        let is_payload_only = parts.is_payload_only(&sa.common.processing);
        if is_payload_only && found.destination != found.entry.path().local.ip() {
            return Err(DropReason::NotOurOwn);
        }
        layers.packet = put_together(parts, &sa.common.processing, found.traffic_class)?;
        if in_udp && is_payload_only {
            // The sender summed over its own address, which a NAT may have changed.
            ip::set_transport_checksum(&mut layers.packet).ok_or(DropReason::InnerMalformed)?;
        }
        Ok(())
    }

    /// Whether what came out of an SA may have been in it (RFC 4301, section 5.2, step 4).
    fn admit(
        &self,
        entry: &Entry,
        layers: &Layers<'_>,
        is_of_bundle: bool,
        incoming: &Incoming<'_>,
    ) -> Result<(), DropReason> {
        let outline = ip::parse(&layers.packet).ok_or(DropReason::InnerMalformed)?;
        let sa = &entry.sa;
        if !is_of_bundle {
            self.admit_packet(entry, &layers.packet, &outline, incoming.now)?;
        }
        let octets = u64::try_from(outline.total).unwrap_or(u64::MAX);
        if !self.charge(&sa.common, octets) {
            return Err(DropReason::LifetimeExpired);
        }
        sa.common.touch(incoming.now);
        Ok(())
    }

    #[cold]
    fn drop_layer(&self, incoming: &Incoming<'_>, reason: DropReason, last: Option<&Entry>) {
        match last {
            Some(entry) => self.drop_inbound(incoming, reason, &entry.sa),
            None if reason == DropReason::UnknownSpi => self.refuse_unknown(incoming),
            None => {
                self.drops.add(reason, 1);
                self.audit_inbound(incoming, reason);
            }
        }
    }
}

/// Whether a batch has to be emptied first: what a packet has inside may be longer than it, and once it was
/// opened, or its other fragments were put to it, it cannot be taken up again.
fn is_short_of_room(out: &OpenedBatch) -> bool {
    !out.is_empty() && !out.has_room_for(LONGEST)
}

/// ESP that a packet has in a UDP datagram (RFC 3948), and whence it came.
fn encapsulated<'a>(
    packet: &'a mut [u8],
    chain: &HeaderChain,
    from: &PathInfo,
) -> Option<(&'a mut [u8], PathInfo)> {
    if chain.protocol != ip::UDP || chain.is_fragment() {
        return None;
    }
    let datagram = packet.get_mut(chain.next_layer.offset..chain.total)?;
    let (header, payload) = datagram.split_first_chunk_mut::<UDP_OCTETS>()?;
    let [s0, s1, d0, d1, ..] = *header;
    let (mut remote, mut local) = (from.remote, from.local);
    remote.set_port(u16::from_be_bytes([s0, s1]));
    local.set_port(u16::from_be_bytes([d0, d1]));
    let is_esp = classify(payload) == Payload::Esp;
    is_esp.then_some((
        payload,
        PathInfo {
            local,
            remote,
            encapsulated: true,
            ..*from
        },
    ))
}

/// The packet as it were without UDP around its ESP.
fn without_udp(packet: &[u8], chain: &HeaderChain) -> Option<Vec<u8>> {
    let begin = chain.next_layer.offset;
    let mut whole = packet.get(..begin)?.to_vec();
    whole.extend_from_slice(packet.get(begin.checked_add(UDP_OCTETS)?..chain.total)?);
    chain.next_layer.rename(&mut whole, ESP)?;
    ip::set_length(&mut whole)?;
    Some(whole)
}

/// Whether ESP is for an SA that does not need the IP header, or for none.
fn is_for_plain_tunnel(sad: &InboundSad, esp: &[u8], from: &PathInfo) -> bool {
    let spi = EspHeader::parse(esp).map(|header| header.spi);
    spi.and_then(|spi| sad.find(spi, from.local.ip(), from.remote.ip()))
        .is_none_or(|entry| entry.sa.common.is_plain_tunnel())
}

/// The SA of the AH or ESP that a packet has for us; `None` when there is nothing to take off.
fn find<'a>(
    sad: &'a InboundSad,
    layers: &Layers<'_>,
    incoming: &mut Incoming<'_>,
) -> Result<Option<Found<'a>>, DropReason> {
    let is_first = layers.last.is_none();
    let chain = HeaderChain::parse(&layers.packet).ok_or(DropReason::InnerMalformed)?;
    let outline = ip::parse(&layers.packet).ok_or(DropReason::InnerMalformed)?;
    let header = layers.packet.get(chain.next_layer.offset..);
    let header = header.unwrap_or_default();
    let (protocol, spi_and_sequence) = match chain.protocol {
        AH => (
            Protocol::Ah,
            AhHeader::parse(header).map(|ah| (ah.spi, ah.sequence)),
        ),
        ESP => (
            Protocol::Esp,
            EspHeader::parse(header).map(|esp| (esp.spi, esp.sequence)),
        ),
        _ if is_first => return Err(DropReason::NotIpsec),
        _ => return Ok(None),
    };
    let Some((spi, low)) = spi_and_sequence else {
        return if is_first {
            Err(match protocol {
                Protocol::Ah => DropReason::AhMalformed,
                Protocol::Esp => DropReason::EspMalformed,
            })
        } else {
            Ok(None)
        };
    };
    let (source, destination) = (outline.flow.source(), outline.flow.destination());
    let found = sad.find(spi, destination, source).filter(|entry| {
        let is_here = is_first || entry.path().local.ip() == destination;
        entry.sa.common.protection.protocol() == protocol && is_here
    });
    if is_first || found.is_some() {
        (incoming.spi, incoming.sequence) = (spi, u64::from(low));
    }
    //= https://www.rfc-editor.org/rfc/rfc4303#section-3.4.1
    //# If a packet offered to ESP for processing appears to be an IP fragment, i.e., the
    //# OFFSET field is non-zero or the MORE FRAGMENTS flag is set, the receiver MUST discard
    //# the packet; this is an auditable event.
    if found.is_some() && chain.is_fragment() {
        return Err(DropReason::FragmentWithIpsec);
    }
    match found {
        None if is_first => Err(DropReason::UnknownSpi),
        None => Ok(None),
        Some(entry) => Ok(Some(Found {
            entry,
            chain,
            sender: source,
            destination,
            traffic_class: outline.traffic_class,
            low,
        })),
    }
}

/// Whether an SA has got its packet from the SA that it has to be within, if it has to be.
fn is_within(entry: &Entry, before: Option<&Entry>) -> bool {
    let within = entry.sa.common.within();
    within.is_none_or(|id| before.is_some_and(|before| before.sa.common.spi == id.spi))
}

fn open_esp(
    transform: &Transform,
    mut packet: Vec<u8>,
    place: Place,
    sequence: Sequence,
) -> Result<Parts, DropReason> {
    let malformed = DropReason::EspMalformed;
    let esp = packet.get_mut(place.offset..).ok_or(malformed)?;
    let plain = transform.open(esp, sequence)?;
    let (payload, next_header) = strip_trailer(esp.get_mut(plain).ok_or(malformed)?)?;
    let payload = payload.to_vec();
    packet.truncate(place.offset);
    Ok(Parts {
        head: packet,
        protocol_at: place.protocol_at,
        next_header,
        payload,
    })
}
