//! Which SPD entry and which SA a fragment belongs to (RFC 4301, section 7 and appendix D).
//!
//! A fragment that is not the first shows no ports. Where no entry asks for ports, that does not
//! matter (section 7.1). Where one does, an entry that asks for hidden ports takes such fragments
//! (section 7.2); all others go where the first fragment of their packet went, as long as that is
//! known (sections 7.3 and 7.4). An SA whose peer has not agreed to that carries whole packets only.

use perilune_wire::extension_header::HeaderChain;
use perilune_wire::flow::FlowKey;
use perilune_wire::ip::IpPacket;
use perilune_wire::segment::Superpacket;

use crate::change::{Action, Direction};
use crate::drop_reason::DropReason;
use crate::engine::Engine;
use crate::outbound::{Flow, Outgoing, bypass, outermost};
use crate::sa::{OutboundSa, SadEntry};
use crate::sealed_batch::SealedBatch;
use crate::spd::{Spd, SpdEntry};
use crate::tables::Tables;
use crate::time::Instant;
use crate::whole_packet::WORST_OCTETS;

/// No IPv4 fragment before this can be needed, and what is behind it overlaps no ports (appendix D.3).
const LEAST_OFFSET: usize = 128;

/// The entry that decides about a fragment, and the selector fields to choose its SA by.
struct Chosen<'a> {
    policy: &'a SpdEntry,
    flow: FlowKey,
}

impl Engine {
    /// The entry for a packet of one direction, or why none can decide.
    pub(crate) fn entry_for<'a>(
        &self,
        spd: &'a Spd,
        direction: Direction,
        packet: &Superpacket<'_>,
        now: Instant,
    ) -> Result<&'a SpdEntry, DropReason> {
        let ip = packet.ip();
        if ip.is_fragment && spd.ports_matter(direction, &ip.flow) {
            let chosen = self.choose(spd, direction, packet, now);
            return chosen.map(|chosen| chosen.policy);
        }
        let found = spd.first(direction, &ip.flow);
        found.map(|(_, policy)| policy).ok_or(DropReason::NoPolicy)
    }

    /// Send a fragment where policy says, in a place where ports matter.
    ///
    /// Returns:
    /// `None` when the SA has ended in the meantime and another look is needed.
    #[cold]
    pub(crate) fn route_fragment(
        &self,
        tables: &Tables,
        outgoing: &Outgoing<'_>,
        out: &mut SealedBatch,
    ) -> Option<Flow> {
        let spd = &tables.spd;
        let packet = &outgoing.packet;
        let chosen = self.choose(spd, Direction::Outbound, packet, outgoing.now);
        let Chosen { policy, flow } = match chosen {
            Ok(chosen) => chosen,
            Err(reason) => return Some(self.drop_rest(outgoing, outgoing.from, reason, None)),
        };
        match policy.config.action {
            Action::Bypass => return Some(bypass(policy, outgoing, out)),
            Action::Discard => {
                return Some(self.discard(policy, outgoing, DropReason::PolicyDiscard));
            }
            Action::Protect => {}
        }
        let entry = policy
            .sas
            .pick(&flow)
            .and_then(|place| policy.sas.get(place));
        match entry {
            None => Some(self.wait_for_sa(policy, flow, outgoing, tables.generation)),
            Some(entry) if carries(entry, &flow) || has_own_entry(spd, &flow) => {
                self.send_on(tables, policy, entry, outgoing, out)
            }
            Some(entry) => self.send_joined(tables, policy, entry, outgoing, out),
        }
    }

    /// Send a packet when its last fragment has come, on an SA that carries whole ones only.
    fn send_joined(
        &self,
        tables: &Tables,
        policy: &SpdEntry,
        entry: &SadEntry<OutboundSa>,
        outgoing: &Outgoing<'_>,
        out: &mut SealedBatch,
    ) -> Option<Flow> {
        if !self.is_usable(&entry.sa, outgoing.now) {
            return None;
        }
        let is_full = out.free() < WORST_OCTETS && !out.is_empty();
        if is_full || !out.has_turn(outermost(tables, &entry.sa)) {
            return Some(Flow::Break(outgoing.from));
        }
        let fragment = octets_of(&outgoing.packet);
        let gathered = self
            .outbound_fragments
            .gather(&fragment, outgoing.now, &self.drops);
        let whole = match gathered {
            Ok(Some(whole)) => whole,
            Ok(None) => return Some(Flow::Continue(())),
            Err(reason) => {
                return Some(self.drop_rest(outgoing, outgoing.from, reason, Some(&entry.sa)));
            }
        };
        let Some(joined) = outgoing.with_packet(&whole) else {
            let reason = DropReason::FrameMalformed;
            return Some(self.drop_rest(outgoing, outgoing.from, reason, Some(&entry.sa)));
        };
        Some(self.protect_whole(tables, policy, entry, &joined, out))
    }

    /// Choose the entry for a fragment where ports matter.
    fn choose<'a>(
        &self,
        spd: &'a Spd,
        direction: Direction,
        packet: &Superpacket<'_>,
        now: Instant,
    ) -> Result<Chosen<'a>, DropReason> {
        let octets = octets_of(packet);
        let flow = packet.ip().flow;
        let by_itself = spd.first(direction, &flow);
        if offset_of(&octets) == Some(0) {
            let (_, policy) = by_itself.ok_or(DropReason::NoPolicy)?;
            if lets_by(policy, direction) {
                self.follow(direction, &octets, now)?;
            }
            return Ok(Chosen { policy, flow });
        }
        let Some(first) = self.follow(direction, &octets, now)? else {
            let (_, policy) = by_itself.ok_or(DropReason::FragmentFirstMissing)?;
            return choose_without_first(policy, direction, packet.ip(), &octets);
        };
        let first = first.with_user(flow.user());
        let by_first = spd.first(direction, &first).filter(|(order, policy)| {
            by_itself.is_none_or(|(other_order, other)| {
                *order <= other_order && !goes_apart(policy, other, direction, &first)
            })
        });
        let (policy, flow) = match (by_first, by_itself) {
            (Some((_, policy)), _) => (policy, first),
            (None, Some((_, policy))) => (policy, flow),
            (None, None) => return Err(DropReason::NoPolicy),
        };
        Ok(Chosen { policy, flow })
    }

    /// Take note of a fragment that passes.
    ///
    /// Returns:
    /// The selector fields of its packet's first one; `None` when that has not passed.
    fn follow(
        &self,
        direction: Direction,
        octets: &[u8],
        now: Instant,
    ) -> Result<Option<FlowKey>, DropReason> {
        let tracker = match direction {
            Direction::Inbound => &self.clear_tracker,
            Direction::Outbound => &self.outbound_tracker,
        };
        match tracker.follow(0, octets, now)? {
            // What leaves may be asked about again, when a batch was full or there was no SA.
            Some((_, true)) if direction == Direction::Inbound => Err(DropReason::FragmentRefused),
            followed => Ok(followed.map(|(first, _)| first)),
        }
    }
}

/// Check a fragment whose ports nobody knows by where it begins (section 7.2).
///
/// That cannot be done in IPv6, where headers of any length go before the ports.
pub(crate) fn check_offset(octets: &[u8], outline: &IpPacket) -> Result<(), DropReason> {
    let offset = offset_of(octets).unwrap_or(0);
    let is_far = offset >= LEAST_OFFSET && !outline.flow.is_ipv6();
    let has_no_ports = offset == 0 && !outline.flow.has_ports();
    if is_far || has_no_ports {
        Ok(())
    } else {
        Err(DropReason::FragmentRefused)
    }
}

/// Whether a first fragment ends before its ports, so that no entry that asks for some could know it.
pub(crate) fn hides_ports(octets: &[u8], outline: &IpPacket) -> bool {
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.5
    //# If the first fragment does not include all headers through an
    //# Upper-Layer header, then that fragment should be discarded
    let flow = &outline.flow;
    flow.ports().is_none() && flow.has_ports() && offset_of(octets) == Some(0)
}

/// Choose for a fragment whose first one is not known: only what is discarded whatever its ports are,
/// and what policy asks for in so many words.
fn choose_without_first<'a>(
    policy: &'a SpdEntry,
    direction: Direction,
    outline: &IpPacket,
    octets: &[u8],
) -> Result<Chosen<'a>, DropReason> {
    let flow = outline.flow;
    let chosen = Chosen { policy, flow };
    if policy.config.action == Action::Discard {
        return Ok(chosen);
    }
    if !is_for_hidden_ports(policy, direction, &flow) {
        return Err(DropReason::FragmentFirstMissing);
    }
    if direction == Direction::Inbound {
        check_offset(octets, outline)?;
    }
    Ok(chosen)
}

/// Whether a fragment goes on the SA of an entry for hidden ports and not on that of its packet's first
/// one.
fn goes_apart(
    of_first: &SpdEntry,
    other: &SpdEntry,
    direction: Direction,
    first: &FlowKey,
) -> bool {
    let is_protected = |policy: &SpdEntry| policy.config.action == Action::Protect;
    let picked = of_first.sas.pick(first);
    let entry = picked.and_then(|place| of_first.sas.get(place));
    is_protected(of_first)
        && is_protected(other)
        && is_for_hidden_ports(other, direction, first)
        && !entry.is_some_and(|entry| carries(entry, first))
}

/// Whether there is an entry for fragments behind the first of a packet, so that this goes on alone.
fn has_own_entry(spd: &Spd, flow: &FlowKey) -> bool {
    let direction = Direction::Outbound;
    let other = spd.first(direction, &flow.without_ports());
    other.is_some_and(|(_, policy)| {
        policy.config.action == Action::Protect && is_for_hidden_ports(policy, direction, flow)
    })
}

/// Whether an entry that selects a packet without ports asks for those, and not for any.
fn is_for_hidden_ports(policy: &SpdEntry, direction: Direction, flow: &FlowKey) -> bool {
    let hidden = flow.without_ports();
    let seen = match direction {
        Direction::Inbound => hidden.reversed(),
        Direction::Outbound => hidden,
    };
    !policy.config.selectors.contains_any_ports(&seen)
}

/// Whether an SA carries the fragments of a packet as they are.
fn carries(entry: &SadEntry<OutboundSa>, flow: &FlowKey) -> bool {
    let common = &entry.sa.common;
    flow.ports().is_none()
        || common.stateful_fragments
        || common.selectors.contains_any_ports(&flow.without_ports())
}

fn lets_by(policy: &SpdEntry, direction: Direction) -> bool {
    match direction {
        Direction::Inbound => policy.config.action == Action::Bypass,
        Direction::Outbound => policy.config.action != Action::Discard,
    }
}

fn offset_of(octets: &[u8]) -> Option<usize> {
    Some(HeaderChain::parse(octets)?.fragment?.offset)
}

fn octets_of(packet: &Superpacket<'_>) -> Vec<u8> {
    let mut octets = vec![0; packet.octets(0)];
    packet.write(0, &mut octets);
    octets
}
