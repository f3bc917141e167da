"""What an SA carries that an SPD entry asks for (RFC 4301, sections 4.4.1 and 4.4.1.2).

Each selector is the entry's, or where the entry's "populate from packet" flag says so, the packet's.
"""

from __future__ import annotations

from dataclasses import replace

from perilune.databases.conditions import Populate
from perilune.databases.pad import ChildPolicy
from perilune.dataplane.events import Flow
from perilune.ike.narrowing import without_contained
from perilune.ike.policies import PolicyWish, packet_selectors
from perilune.model.selector import TrafficSelector


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
