"""Traffic selectors that both sides allow (RFC 7296, section 2.9)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from perilune.databases.pad import ChildSelector, DynamicSelector
from perilune.dataplane.events import Flow
from perilune.ike.refusal import Refusal
from perilune.model.address import IpAddress
from perilune.model.iana import NotifyType
from perilune.model.selector import TrafficSelector

MAX_SELECTORS: Final = 255
"""What Number of TSs in a payload can count to (section 3.13)."""

_MOST_COMPARED: Final = 512
"""Intersections that are looked at, so that a hostile list costs little."""

Selectors = tuple[TrafficSelector, ...]
"""Selectors of one end; a packet needs to match one of them."""


def resolve(selectors: Iterable[ChildSelector], end: IpAddress) -> Selectors:
    """Return selectors with `dynamic` replaced by the address of that end of the IKE SA."""
    return tuple(_resolve_one(selector, end) for selector in selectors)


def narrow(ours: Sequence[TrafficSelector], theirs: Sequence[TrafficSelector]) -> Selectors:
    """Return what both sides allow, in the peer's order, none of it twice; empty where that is nothing.

    The peer's first selector, which may be a packet's, is part of the result if we allow it.
    """
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.9
    ##% o  If the responder's policy allows it to accept the first selector of
    ##% TSi and TSr, then the responder MUST narrow the Traffic Selectors to a
    ##% subset that includes the initiator's first choices.
    common = (both for their in theirs for our in ours if (both := our.intersection(their)))
    return without_contained(islice(common, _MOST_COMPARED))[:MAX_SELECTORS]


def without_contained(selectors: Iterable[TrafficSelector]) -> Selectors:
    """Return selectors without those that another one of them contains."""
    kept: list[TrafficSelector] = []
    for selector in selectors:
        if not any(other.contains(selector) for other in kept):
            kept = [other for other in kept if not selector.contains(other)]
            kept.append(selector)
    return tuple(kept)


def covers(outer: Iterable[TrafficSelector], inner: Iterable[TrafficSelector]) -> bool:
    """Whether each of some selectors lies in one of the others."""
    outer = tuple(outer)
    return all(any(one.contains(other) for one in outer) for other in inner)


def with_flow(local: Selectors, remote: Selectors, flow: Flow | None) -> tuple[Selectors, Selectors]:
    """Return selectors to offer, those of the packet that wants the SA first.

    Args:
        local: What we allow at our end.
        remote: What we allow at the other end.
        flow: The packet, or None where no packet is the cause.
    """
    if flow is None:
        return local[:MAX_SELECTORS], remote[:MAX_SELECTORS]
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.9
    ##% To enable the responder to choose the appropriate range in this case,
    ##% if the initiator has requested the SA due to a data packet, the
    ##% initiator SHOULD include as the first Traffic Selector in each of TSi
    ##% and TSr a very specific Traffic Selector including the addresses in
    ##% the packet triggering the request.
    source_port, destination_port = flow.ports or (None, None)
    source = _of_packet(flow.source, flow.protocol, source_port)
    destination = _of_packet(flow.destination, flow.protocol, destination_port)
    return (source, *local)[:MAX_SELECTORS], (destination, *remote)[:MAX_SELECTORS]


def only_address(selectors: Sequence[TrafficSelector]) -> IpAddress | None:
    """Return the one address that all of some selectors have, or None where there are others or none."""
    addresses = {address for one in selectors for address in (one.first_address, one.last_address)}
    return addresses.pop() if len(addresses) == 1 else None


def with_address(selectors: Iterable[TrafficSelector], address: IpAddress) -> Selectors:
    """Return selectors of one address with another in its place."""
    return tuple(replace(one, first_address=address, last_address=address) for one in selectors)


def require_subset(
    offered: Sequence[TrafficSelector], answered: Sequence[TrafficSelector], hint: str
) -> None:
    """Check that a responder chose some of what it was offered.

    Raises:
        Refusal: It chose nothing or something else; the notify is TS_UNACCEPTABLE.
    """
    if not answered or not covers(offered, answered):
        raise Refusal(
            "the peer chose selectors that were not offered",
            NotifyType.TS_UNACCEPTABLE,
            ours=text(offered),
            theirs=text(answered),
            hint=hint,
        )


def text(selectors: Iterable[TrafficSelector]) -> str:
    """Return selectors for a log."""
    return " ".join(map(str, selectors)) or "nothing"


def _resolve_one(selector: ChildSelector, end: IpAddress) -> TrafficSelector:
    if isinstance(selector, DynamicSelector):
        return TrafficSelector(end, end, selector.protocol, selector.first_port, selector.last_port)
    return selector


def _of_packet(address: IpAddress, protocol: int, port: int | None) -> TrafficSelector:
    if port is None:
        return TrafficSelector(address, address, protocol)
    return TrafficSelector(address, address, protocol, port, port)
