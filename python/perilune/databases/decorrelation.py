"""An SPD without overlaps: entries of which only one selects a packet, so that no order is needed.

RFC 4301, appendix B: each entry is divided into pieces that have nothing in common with the entries before
it. The pieces of one entry stay linked by naming it, as section 4.4.1 wants. A piece is a box: for each
selector a range of values, or a set where there are few.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from perilune.databases.conditions import LARGEST_FLOW_LABEL, LARGEST_LEVEL, Masked
from perilune.databases.spd import Action, SpdEntry, Way
from perilune.model.errors import LocalError, ResourceError
from perilune.model.selector import LAST_PORT, TrafficSelector

MOST_PIECES: Final = 20_000
"""So many overlaps are a mistake; their product grows fast."""

OPAQUE_PORT: Final = LAST_PORT + 1
"""Stands for a port that cannot be seen."""

NO_FLOW_LABEL: Final = LARGEST_FLOW_LABEL + 1
"""Stands for that of IPv4, which has none."""

NO_LEVEL: Final = LARGEST_LEVEL + 1
NO_USER: Final = 1 << 32

_ALL_OCTETS: Final = (1 << 256) - 1
_MESSAGES: Final = 1 << 1 | 1 << 58 | 1 << 135
"""ICMP for both versions and the Mobility Header: their types are the sender's (section 4.4.1.3)."""

Range = tuple[int, int]
"""First and last value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Packets of one family that go one way, by ranges and sets of what they have."""

    outbound: bool
    version: int
    local: Range
    """Addresses as numbers."""

    remote: Range
    protocols: int
    """A set: bit n stands for protocol n."""

    local_ports: Range
    """With OPAQUE_PORT as the last."""

    remote_ports: Range
    classes: int
    """A set of values of TOS or traffic class."""

    flow_labels: Range = (0, NO_FLOW_LABEL)
    levels: Range = (0, NO_LEVEL)
    users: Range = (0, NO_USER)

    def without(self, other: Box) -> list[Box]:
        """Return boxes of what is in this one and not in the other; no two of them overlap."""
        if (self.outbound, self.version) != (other.outbound, other.version) or not self._meets(other):
            return [self]
        left: list[Box] = []
        rest = self
        for name in _RANGES:
            mine, theirs = getattr(rest, name), getattr(other, name)
            left += [rest._with(name, part) for part in _outside(mine, theirs)]
            rest = rest._with(name, (max(mine[0], theirs[0]), min(mine[1], theirs[1])))
        for name in _SETS:
            mine, theirs = getattr(rest, name), getattr(other, name)
            if mine & ~theirs:
                left.append(rest._with(name, mine & ~theirs))
            rest = rest._with(name, mine & theirs)
        return left

    def _with(self, name: str, value: Range | int) -> Box:
        return replace(self, **{name: value})  # type: ignore[arg-type] # the value is of that field

    def _meets(self, other: Box) -> bool:
        for name in _RANGES:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine[1] < theirs[0] or theirs[1] < mine[0]:
                return False
        return all(getattr(self, name) & getattr(other, name) for name in _SETS)

    @property
    def texts(self) -> tuple[str, str]:
        """Both ends as the configuration writes them, with what is not any."""
        layers = _set_text("protocol", self.protocols) + _set_text("class", self.classes)
        named = (("label", self.flow_labels), ("level", self.levels), ("user", self.users))
        wholes = {"label": NO_FLOW_LABEL, "level": NO_LEVEL, "user": NO_USER}
        layers += [f"{name} {_text(range_)}" for name, range_ in named if range_ != (0, wholes[name])]
        ends = [
            _end_text(self.version, addresses, ports)
            for addresses, ports in ((self.local, self.local_ports), (self.remote, self.remote_ports))
        ]
        return ends[0], " ".join([ends[1], *layers])


_RANGES: Final = ("local", "remote", "local_ports", "remote_ports", "flow_labels", "levels", "users")
_SETS: Final = ("protocols", "classes")


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of an SPD entry that no entry before it selects."""

    entry: SpdEntry
    """The entry it is of; all pieces of one entry share its SAs."""

    box: Box

    @property
    def action(self) -> Action:
        """What to do with its packets."""
        return self.entry.action


def decorrelated(entries: Iterable[SpdEntry], most: int = MOST_PIECES) -> list[Piece]:
    """Return an SPD without overlaps that decides as an ordered one does.

    Args:
        entries: In the order in which they are asked.
        most: Bound on the number of pieces.

    Raises:
        LocalError: An entry has an address mask with holes, which no range stands for.
        ResourceError: There would be too many pieces.
    """
    pieces: list[Piece] = []
    for entry in entries:
        for box in _boxes(entry):
            remaining = [box]
            for earlier in pieces:
                remaining = [part for one in remaining for part in one.without(earlier.box)]
                if len(pieces) + len(remaining) > most:
                    raise ResourceError(f"the SPD has more than {most} pieces without overlaps")
            pieces += [Piece(entry, part) for part in remaining]
    return pieces


def _boxes(entry: SpdEntry) -> Iterator[Box]:
    """Yield what an entry selects; its boxes may overlap each other."""
    conditions = entry.conditions
    if conditions.local_address is not None or conditions.remote_address is not None:
        raise LocalError(f"policy {entry.name} has an address mask with holes, which no range stands for")
    ways = {Way.BOTH: (True, False), Way.OUT: (True,), Way.IN: (False,)}[entry.way]
    pairs = [(local, remote) for local in entry.local for remote in entry.remote]
    for outbound in ways:
        for local, remote in pairs:
            if local.version == remote.version:
                yield from _boxes_of_pair(entry, local, remote, outbound=outbound)


def _boxes_of_pair(
    entry: SpdEntry, local: TrafficSelector, remote: TrafficSelector, *, outbound: bool
) -> Iterator[Box]:
    conditions, version = entry.conditions, local.version
    of_version_6 = conditions.traffic_class is not None or conditions.flow_label is not None
    if of_version_6 if version == 4 else conditions.tos is not None:
        return
    label, level, user = conditions.flow_label, conditions.level, conditions.user
    box = Box(
        outbound=outbound,
        version=version,
        local=(int(local.first_address), int(local.last_address)),
        remote=(int(remote.first_address), int(remote.last_address)),
        protocols=_protocols(local) & _protocols(remote),
        local_ports=_ports(local),
        remote_ports=_ports(remote),
        classes=_octets(conditions.tos or conditions.traffic_class),
        flow_labels=(0, NO_FLOW_LABEL) if label is None else (label, label),
        levels=(0, NO_LEVEL) if level is None else level,
        users=(0, NO_USER) if user is None else (user, user),
    )
    if box.local_ports == box.remote_ports == (0, OPAQUE_PORT):
        yield box
        return
    # A message's type is asked of the selector of its sender alone; where it is hidden, of both.
    receiver = "remote_ports" if outbound else "local_ports"
    messages = replace(box, protocols=box.protocols & _MESSAGES)
    yield from (one for one in [replace(box, protocols=box.protocols & ~_MESSAGES)] if one.protocols)
    yield from _message_boxes(messages, receiver)


def _message_boxes(box: Box, receiver: str) -> Iterator[Box]:
    """Yield the boxes for messages whose type is seen, and for those whose type is hidden."""
    if not box.protocols:
        return
    sender = "local_ports" if receiver == "remote_ports" else "remote_ports"
    sent, received = getattr(box, sender), getattr(box, receiver)
    seen = (sent[0], min(sent[1], LAST_PORT))
    if seen[0] <= seen[1]:
        yield box._with(sender, seen)._with(receiver, (0, LAST_PORT))
    if sent[1] == received[1] == OPAQUE_PORT:
        hidden = (OPAQUE_PORT, OPAQUE_PORT)
        yield replace(box, local_ports=hidden, remote_ports=hidden)


def _protocols(selector: TrafficSelector) -> int:
    return 1 << selector.protocol if selector.protocol else _ALL_OCTETS


def _ports(selector: TrafficSelector) -> Range:
    if selector.is_opaque:
        return OPAQUE_PORT, OPAQUE_PORT
    is_any = (selector.first_port, selector.last_port) == (0, LAST_PORT)
    return selector.first_port, OPAQUE_PORT if is_any else selector.last_port


def _octets(masked: Masked | None) -> int:
    if masked is None:
        return _ALL_OCTETS
    return sum(1 << octet for octet in range(256) if masked.fits(octet))


def _outside(mine: Range, theirs: Range) -> Iterator[Range]:
    """Yield what of a range lies outside another that it meets."""
    if mine[0] < theirs[0]:
        yield mine[0], theirs[0] - 1
    if theirs[1] < mine[1]:
        yield theirs[1] + 1, mine[1]


def _end_text(version: int, addresses: Range, ports: Range) -> str:
    kind = IPv4Address if version == 4 else IPv6Address
    text = str(TrafficSelector(kind(addresses[0]), kind(addresses[1])))
    if ports == (0, OPAQUE_PORT):
        return text
    shown = "opaque" if ports[0] == OPAQUE_PORT else _text(ports).replace(str(OPAQUE_PORT), "opaque")
    return f"{text}[{shown}]"


def _text(range_: Range) -> str:
    return str(range_[0]) if range_[0] == range_[1] else f"{range_[0]}-{range_[1]}"


def _set_text(name: str, values: int) -> list[str]:
    """Return a set of octets as ranges; nothing where it has all."""
    if values == _ALL_OCTETS:
        return []
    ranges: list[Range] = []
    for octet in (octet for octet in range(256) if values >> octet & 1):
        follows = bool(ranges) and ranges[-1][1] == octet - 1
        ranges[-1:] = [(ranges[-1][0], octet)] if follows else [*ranges[-1:], (octet, octet)]
    return [f"{name} {','.join(map(_text, ranges))}"]
