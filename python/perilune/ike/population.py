"""What an SA carries that an SPD entry asks for (RFC 4301, sections 4.4.1 and 4.4.1.2).

Each selector is the entry's, or where the entry's "populate from packet" flag says so, the packet's.
"""

from __future__ import annotations

from dataclasses import replace

from perilune.databases.conditions import Populate
from perilune.databases.pad import ChildPolicy
from perilune.dataplane.events import Flow
from perilune.ike.narrowing import Selectors, narrow, text, without_contained
from perilune.ike.policies import PolicyWish, packet_selectors
from perilune.ike.refusal import Refusal
from perilune.model.iana import NotifyType
from perilune.model.selector import ANY_PROTOCOL, TrafficSelector


def child_for(child: ChildPolicy, wish: PolicyWish, flow: Flow | None) -> ChildPolicy:
    """Return a child with the selectors that an entry of `policies` wants for a packet.

    Args:
        child: As it is configured.
        wish: The SPD entry.
        flow: The packet that leaves; without one nothing is populated.
    """
    if not wish.spd_entry:
        return child
    local, remote = wish.local, wish.remote
    if flow is not None:
        flags = wish.populate
        source, destination = packet_selectors(flow)
        local = _populated(local, source, flags, address=flags.local_address, port=flags.local_port)
        remote = _populated(remote, destination, flags, address=flags.remote_address, port=flags.remote_port)
    return replace(child, local_ts=local, remote_ts=remote, spd_entry=wish.spd_entry)


def granted_selectors(
    wish: PolicyWish, local: Selectors, remote: Selectors, first: tuple[Selectors, Selectors]
) -> tuple[Selectors, Selectors]:
    """Return what an SA that a peer asks for gets under an entry of `policies` with flags.

    Args:
        wish: The SPD entry.
        local: Selectors for our end that the child allows.
        remote: Those for the peer's end.
        first: The peer's first selectors for our end and its own, which stand for its packet.

    Raises:
        Refusal: The first selectors stand for several packets; the notify is SINGLE_PAIR_REQUIRED.
    """
    flags = wish.populate
    ours, theirs = narrow(wish.local, local), narrow(wish.remote, remote)
    source, *_ = (*narrow(ours, first[0]), *ours)
    destination, *_ = (*narrow(theirs, first[1]), *theirs)
    if not _stands_for_one(source, destination, flags):
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.9
        ##% The SINGLE_PAIR_REQUIRED error indicates that a CREATE_CHILD_SA
        ##% request is unacceptable because its sender is only willing to accept
        ##% Traffic Selectors specifying a single pair of addresses.
        raise Refusal(
            f"each SA of it has its own {', '.join(flags.texts)}",
            NotifyType.SINGLE_PAIR_REQUIRED,
            theirs=f"{text(local)} === {text(remote)}",
            hint=f"policies.{wish.spd_entry}.pfp",
        )
    return (
        _populated(ours, source, flags, address=flags.local_address, port=flags.local_port),
        _populated(theirs, destination, flags, address=flags.remote_address, port=flags.remote_port),
    )


def _stands_for_one(source: TrafficSelector, destination: TrafficSelector, flags: Populate) -> bool:
    """Whether selectors have one value of everything that comes from a packet."""
    protocols = {source.protocol, destination.protocol}
    wants_protocol = flags.protocol or flags.local_port or flags.remote_port
    return (
        (not flags.local_address or source.first_address == source.last_address)
        and (not flags.remote_address or destination.first_address == destination.last_address)
        and (not wants_protocol or ANY_PROTOCOL not in protocols)
        and (not flags.local_port or _has_one_port(source))
        and (not flags.remote_port or _has_one_port(destination))
    )


def _has_one_port(selector: TrafficSelector) -> bool:
    return selector.first_port == selector.last_port or selector.is_opaque


def _populated(
    selectors: tuple[TrafficSelector, ...],
    packet: TrafficSelector,
    flags: Populate,
    *,
    address: bool,
    port: bool,
) -> tuple[TrafficSelector, ...]:
    """Return the selectors of one end, those that select a packet narrowed to it as the flags say.

    Args:
        selectors: The entry's.
        packet: All of the packet's values at this end.
        flags: The entry's.
        address: Whether the address comes from the packet.
        port: Whether the port does.
    """
    has_port = flags.local_port or flags.remote_port
    if not (address or flags.protocol or has_port):
        return selectors
    changes: dict[str, object] = {}
    if address:
        changes |= {"first_address": packet.first_address, "last_address": packet.last_address}
    if flags.protocol or has_port:
        changes |= {"protocol": packet.protocol}
    if port:
        changes |= {"first_port": packet.first_port, "last_port": packet.last_port}
    fitting = [selector for selector in selectors if selector.contains(packet)]
    return without_contained(replace(selector, **changes) for selector in fitting)  # type: ignore[arg-type] # fields of its own
