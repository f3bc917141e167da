//! Packets that leave with headers made here and not by a socket: every mode, AH, bundles, and what
//! has to be fragmented or is too large for its path (RFC 4301, sections 4.1, 5.1 and 8).

use std::borrow::Cow;

use perilune_wire::esp::EspHeader;
use perilune_wire::extension_header::{ESP, HeaderChain};
use perilune_wire::fragment::Fragments;
use perilune_wire::icmp::Problem;
use perilune_wire::ip;

use crate::ah;
use crate::drop_reason::DropReason;
use crate::encapsulate::write_trailer;
use crate::engine::Engine;
use crate::event::Limit;
use crate::mode::{Parts, take_apart};
use crate::outbound::{Flow, Outgoing, long};
use crate::outer_header::octets_to;
use crate::overhead::{LEAST_PATH_MTU, UDP_OCTETS};
use crate::path::{Encapsulation, Path};
use crate::processing::{DontFragment, Fragmentation, Mode, Processing};
use crate::protection::Protection;
use crate::sa::{OutboundSa, SadEntry};
use crate::sealed_batch::SealedBatch;
use crate::spd::SpdEntry;
use crate::tables::Tables;
use crate::time::Instant;
use crate::transform::{Sequence, Transform};

/// Most SAs that one packet goes through.
pub(crate) const MAX_NESTING: usize = 4;
/// Room for one packet of any size, in as many fragments as the smallest path makes of it.
pub(crate) const WORST_OCTETS: usize = SealedBatch::MIN_OCTETS;

/// A packet that did not leave, and on which SA it failed.
#[derive(Clone, Copy)]
pub(crate) struct Refused<'a> {
    pub(crate) reason: DropReason,
    pub(crate) sa: &'a OutboundSa,
}

impl Engine {
    /// Send what fits into the batch through the SA and those it is within.
    pub(crate) fn protect_whole(
        &self,
        tables: &Tables,
        policy: &SpdEntry,
        entry: &SadEntry<OutboundSa>,
        outgoing: &Outgoing<'_>,
        out: &mut SealedBatch,
    ) -> Flow {
        for index in outgoing.from..outgoing.packet.count() {
            if out.free() < WORST_OCTETS && !out.is_empty() {
                return Flow::Break(index);
            }
            let octets = outgoing.packet.octets(index);
            let mut packet = vec![0; octets];
            outgoing.packet.write(index, &mut packet);
            match self.send_whole(tables, entry, packet, outgoing.now, out) {
                Ok(()) => policy.counters.add(1, long(octets)),
                Err(refused) => {
                    self.drop_some(outgoing, 1, refused.reason, Some(refused.sa));
                }
            }
        }
        Flow::Continue(())
    }

    /// Seal one packet, and cut it where its path asks for that.
    fn send_whole<'a>(
        &self,
        tables: &'a Tables,
        entry: &'a SadEntry<OutboundSa>,
        mut packet: Vec<u8>,
        now: Instant,
        out: &mut SealedBatch,
    ) -> Result<(), Refused<'a>> {
        let sa = &entry.sa;
        let refuse = |reason| Refused { reason, sa };
        if takes_whole_packets_only(sa, &packet) {
            let gathered = self.outbound_fragments.gather(&packet, now, &self.drops);
            match gathered.map_err(refuse)? {
                Some(whole) => packet = whole,
                None => return Ok(()),
            }
        }
        let path_mtu = path_mtu(tables, entry, now);
        let Some(inner_mtu) = path_mtu.and_then(|mtu| inner_mtu(tables, entry, &packet, mtu))
        else {
            let whole = self.wrap_all(tables, entry, &packet, now)?;
            return out.commit_whole(&whole).ok_or(refuse(DropReason::TooLarge));
        };
        let outline = ip::parse(&packet).ok_or(refuse(DropReason::FrameMalformed))?;
        if outline.dont_fragment {
            let mtu = u32::try_from(inner_mtu).unwrap_or(u32::MAX);
            let source = outline.flow.destination();
            let problem = Problem::PacketTooBig { mtu };
            self.replies.tell(problem, &packet, source, now);
            return Err(refuse(DropReason::PathMtuExceeded));
        }
        if cuts_before(sa) {
            for fragment in fragments(&packet, inner_mtu, 0).map_err(refuse)? {
                let whole = self.wrap_all(tables, entry, &fragment, now)?;
                out.commit_whole(&whole)
                    .ok_or(refuse(DropReason::TooLarge))?;
            }
            return Ok(());
        }
        let whole = self.wrap_all(tables, entry, &packet, now)?;
        let identification = u32::from(self.next_identification());
        let mtu = path_mtu.unwrap_or(usize::MAX);
        for fragment in fragments(&whole, mtu, identification).map_err(refuse)? {
            out.commit_whole(&fragment)
                .ok_or(refuse(DropReason::TooLarge))?;
        }
        Ok(())
    }

    /// Take a packet through an SA, and its result through the next of the bundle.
    fn wrap_all<'a>(
        &self,
        tables: &'a Tables,
        first: &'a SadEntry<OutboundSa>,
        packet: &[u8],
        now: Instant,
    ) -> Result<Vec<u8>, Refused<'a>> {
        let sa = &first.sa;
        let sealed = self.wrap(tables, first, packet, now);
        let sealed = sealed.map_err(|reason| Refused { reason, sa })?;
        self.wrap_in_others(tables, first, sealed, now)
    }

    /// Take what came out of an SA through those that it is within.
    pub(crate) fn wrap_in_others<'a>(
        &self,
        tables: &'a Tables,
        first: &'a SadEntry<OutboundSa>,
        mut packet: Vec<u8>,
        now: Instant,
    ) -> Result<Vec<u8>, Refused<'a>> {
        let mut entry = first;
        for _ in 0..MAX_NESTING {
            let sa = &entry.sa;
            let Some(within) = sa.common.within() else {
                return Ok(packet);
            };
            let next = tables.outbound.get(&(within.spi, within.remote));
            let reason = DropReason::BundleIncomplete;
            entry = next.ok_or(Refused { reason, sa })?;
            let sa = &entry.sa;
            packet = self
                .wrap(tables, entry, &packet, now)
                .map_err(|reason| Refused { reason, sa })?;
        }
        let reason = DropReason::NestingTooDeep;
        Err(Refused {
            reason,
            sa: &entry.sa,
        })
    }

    /// Take a packet through one SA.
    fn wrap(
        &self,
        tables: &Tables,
        entry: &SadEntry<OutboundSa>,
        packet: &[u8],
        now: Instant,
    ) -> Result<Vec<u8>, DropReason> {
        let processing = with_outer_df(&entry.sa);
        let identification = self.next_identification();
        let mut parts = take_apart(packet, &processing, &entry.path(), identification)?;
        if let Some(compression) = entry.sa.common.compression() {
            compression.compress(&mut parts);
        }
        if let Protection::Esp(_) = &entry.sa.common.protection {
            let head = parts.head.len();
            let octets = entry.with_tfc_padding(&parts, || room(tables, entry, head, now));
            parts.payload.resize(octets, 0);
        }
        self.seal_parts(entry, parts, long(packet.len()), now)
    }

    /// Give a packet its sequence number and seal it; `octets` is what the SA's lifetime is charged.
    pub(crate) fn seal_parts(
        &self,
        entry: &SadEntry<OutboundSa>,
        parts: Parts,
        octets: u64,
        now: Instant,
    ) -> Result<Vec<u8>, DropReason> {
        let sa = &entry.sa;
        let number = self.take_number(sa, octets, now)?;
        let sequence = Sequence {
            number,
            esn: sa.common.esn,
        };
        let sealed = match &sa.common.protection {
            Protection::Ah(transform) => ah::seal(transform, sa.common.spi, parts, sequence),
            Protection::Esp(transform) => seal_esp(transform, entry, parts, sequence),
        }?;
        sa.common.touch(now);
        Ok(sealed)
    }

    /// Account for a packet and give it its sequence number.
    fn take_number(&self, sa: &OutboundSa, octets: u64, now: Instant) -> Result<u64, DropReason> {
        if sa.common.lifetime.is_over(now) {
            self.end_lifetime(&sa.common, Limit::Time);
        }
        if sa.common.is_ended() {
            return Err(DropReason::LifetimeExpired);
        }
        let (number, granted) = sa.sequence.take(1);
        self.watch_sequence(sa);
        if granted == 0 {
            return Err(DropReason::SequenceExhausted);
        }
        if !self.charge(&sa.common, octets) {
            return Err(DropReason::LifetimeExpired);
        }
        Ok(number)
    }
}

/// Make an ESP packet of the parts, in UDP where the SA says so.
fn seal_esp(
    transform: &Transform,
    entry: &SadEntry<OutboundSa>,
    parts: Parts,
    sequence: Sequence,
) -> Result<Vec<u8>, DropReason> {
    let sa = &entry.sa;
    let layout = transform.layout();
    let Parts {
        head: mut packet,
        protocol_at,
        next_header,
        payload,
    } = parts;
    let is_udp = entry.encapsulation == Encapsulation::Udp;
    let protocol = if is_udp { ip::UDP } else { ESP };
    *packet
        .get_mut(protocol_at)
        .ok_or(DropReason::FrameMalformed)? = protocol;
    let udp_at = packet.len();
    if is_udp {
        packet.extend_from_slice(&udp_header(&entry.path()));
    }
    let esp_at = packet.len();
    let header = EspHeader {
        spi: sa.common.spi,
        sequence: u32::try_from(sequence.number & 0xffff_ffff).unwrap_or(0),
    };
    packet.extend_from_slice(&header.to_octets());
    packet.resize(esp_at.saturating_add(layout.payload()), 0);
    packet.extend_from_slice(&payload);
    let padding_at = packet.len();
    let trailer_octets = layout.padded(payload.len()).saturating_sub(payload.len());
    let trailer_end = padding_at.saturating_add(trailer_octets);
    packet.resize(trailer_end, 0);
    let trailer = packet.get_mut(padding_at..).unwrap_or_default();
    write_trailer(trailer, next_header).ok_or(DropReason::TooLarge)?;
    packet.resize(trailer_end.saturating_add(layout.icv), 0);
    let esp = packet.get_mut(esp_at..).unwrap_or_default();
    transform.seal(esp, sequence).ok_or(DropReason::TooLarge)?;
    ip::set_length(&mut packet).ok_or(DropReason::TooLarge)?;
    if is_udp {
        finish_udp(&mut packet, udp_at).ok_or(DropReason::TooLarge)?;
    }
    Ok(packet)
}

/// Ports of the path; length and checksum come later.
pub(crate) fn udp_header(path: &Path) -> [u8; UDP_OCTETS] {
    let [s0, s1] = path.local.port().to_be_bytes();
    let [d0, d1] = path.remote.port().to_be_bytes();
    [s0, s1, d0, d1, 0, 0, 0, 0]
}

/// Fill in length and checksum of the UDP header at an offset.
pub(crate) fn finish_udp(packet: &mut [u8], at: usize) -> Option<()> {
    let octets = u16::try_from(packet.len().checked_sub(at)?).ok()?;
    let length = packet.get_mut(at.checked_add(4)?..)?.first_chunk_mut()?;
    *length = octets.to_be_bytes();
    //= https://www.rfc-editor.org/rfc/rfc3948#section-2.1
    //# the IPv4 UDP Checksum SHOULD be transmitted as a zero value
    if packet.first()? >> 4 == 4 {
        return Some(());
    }
    ip::set_transport_checksum(packet)
}

/// Whether a packet is a fragment on an SA that is not for such.
fn takes_whole_packets_only(sa: &OutboundSa, packet: &[u8]) -> bool {
    let is_fragment = ip::parse(packet).is_some_and(|outline| outline.is_fragment);
    let mode = sa.common.processing.mode;
    is_fragment && matches!(mode, Mode::Beet { .. } | Mode::Transport)
}

/// The form of an SA's packets, with the DF bit that goes outside now.
fn with_outer_df(sa: &OutboundSa) -> Cow<'_, Processing> {
    let (processing, df): (&Processing, _) = (&sa.common.processing, sa.outer_df());
    if processing.df == df {
        return Cow::Borrowed(processing);
    }
    Cow::Owned(Processing {
        df,
        ..processing.clone()
    })
}

/// Whether a packet that may be cut is cut before it is protected: as the SA says, or because the
/// tunnel's own header will forbid it.
fn cuts_before(sa: &OutboundSa) -> bool {
    let processing = &sa.common.processing;
    let is_forbidden_after = processing.mode == Mode::Tunnel && sa.outer_df() == DontFragment::Set;
    processing.fragmentation == Fragmentation::Before || is_forbidden_after
}

/// The SAs that an SA is within, from the next one on.
fn others<'a>(
    tables: &'a Tables,
    entry: &'a SadEntry<OutboundSa>,
) -> impl Iterator<Item = &'a SadEntry<OutboundSa>> {
    let next = |entry: &'a SadEntry<OutboundSa>| {
        let within = entry.sa.common.within()?;
        let next = tables.outbound.get(&(within.spi, within.remote))?;
        Some(&**next)
    };
    std::iter::successors(next(entry), move |entry| next(entry)).take(MAX_NESTING)
}

/// What the outermost SA of a bundle knows of its path.
fn path_mtu(tables: &Tables, entry: &SadEntry<OutboundSa>, now: Instant) -> Option<usize> {
    let outermost = others(tables, entry).last().unwrap_or(entry);
    outermost.sa.path_mtu.get(now)
}

/// The largest packet of an SA, with so long a header, that fits the path when the SAs that it is
/// within are around it.
fn room(tables: &Tables, entry: &SadEntry<OutboundSa>, mut head: usize, now: Instant) -> usize {
    let mut outward = Vec::new();
    for other in others(tables, entry) {
        outward.push((other, head));
        if other.sa.common.processing.mode != Mode::Transport {
            head = octets_to(other.path().remote.ip());
        }
    }
    let mtu = path_mtu(tables, entry, now).unwrap_or(LEAST_PATH_MTU);
    let inward = outward.iter().rev();
    inward.fold(mtu, |room, (other, head)| other.largest_inside(*head, room))
}

/// The largest packet like this that fits a path when all its SAs are around it; `None` when this
/// one does.
fn inner_mtu(
    tables: &Tables,
    entry: &SadEntry<OutboundSa>,
    packet: &[u8],
    path_mtu: usize,
) -> Option<usize> {
    let head = HeaderChain::parse(packet)?.next_layer.offset;
    let sealed = |octets: usize| sealed_octets(tables, entry, head, octets);
    if sealed(packet.len()) <= path_mtu {
        return None;
    }
    let most = packet.len().min(path_mtu);
    (head..=most)
        .rev()
        .find(|octets| sealed(*octets) <= path_mtu)
}

/// Octets of a packet with all its SAs around it.
fn sealed_octets(
    tables: &Tables,
    first: &SadEntry<OutboundSa>,
    mut head: usize,
    mut octets: usize,
) -> usize {
    let mut entry = first;
    for _ in 0..MAX_NESTING {
        let payload = match entry.sa.common.processing.mode {
            Mode::Any | Mode::Tunnel => octets,
            Mode::Beet { .. } | Mode::Transport => octets.saturating_sub(head),
        };
        if entry.sa.common.processing.mode != Mode::Transport {
            head = octets_to(entry.path().remote.ip());
        }
        octets = entry.sealed_octets(head, payload);
        let within = entry.sa.common.within();
        let next = within.and_then(|id| tables.outbound.get(&(id.spi, id.remote)));
        match next {
            Some(next) => entry = next,
            None => break,
        }
    }
    octets
}

/// The fragments of a packet; outside of IPv6 one may be made of a packet without DF only.
fn fragments(packet: &[u8], mtu: usize, identification: u32) -> Result<Vec<Vec<u8>>, DropReason> {
    let plan = Fragments::plan(packet, mtu, identification);
    let plan = plan.map_err(|_| DropReason::PathMtuExceeded)?;
    let written = (0..plan.count()).filter_map(|index| {
        let mut fragment = vec![0; mtu.min(packet.len())];
        let octets = plan.write(index, &mut fragment)?;
        fragment.truncate(octets);
        Some(fragment)
    });
    Ok(written.collect())
}
