"""A decorrelated SPD decides as the ordered one does, and no two of its pieces overlap."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perilune.databases.conditions import Conditions, Masked
from perilune.databases.decorrelation import (
    NO_FLOW_LABEL,
    NO_LEVEL,
    NO_USER,
    OPAQUE_PORT,
    Box,
    decorrelated,
)
from perilune.databases.spd import Action, PolicyId, SpdEntry, Way
from perilune.model.errors import LocalError, ResourceError
from perilune.model.selector import LAST_PORT, TrafficSelector, everything

MESSAGES = frozenset({1, 58, 135})


@dataclass(frozen=True)
class Packet:
    """What the SPD sees of a packet; its ends are ours and the other's, whichever way it goes."""

    outbound: bool
    local: str
    remote: str
    protocol: int
    ports: tuple[int, int] | None
    octet: int
    flow_label: int
    level: int | None
    user: int | None


ADDRESSES = {
    4: ["10.0.0.1", "10.0.0.2", "10.0.0.9", "192.0.2.1"],
    6: ["fd00::1", "fd00::7", "fd01::"],
}
PORTS = st.integers(0, 6)
PROTOCOLS = st.sampled_from([1, 6, 17, 58, 135])


@st.composite
def selectors(draw: st.DrawFn) -> TrafficSelector:
    version = draw(st.sampled_from([4, 4, 6]))
    ends = sorted((ip_address(draw(st.sampled_from(ADDRESSES[version]))) for _ in range(2)), key=int)
    ports = draw(
        st.one_of(
            st.just((0, LAST_PORT)),
            st.just((LAST_PORT, 0)),
            st.tuples(PORTS, PORTS).map(lambda pair: (min(pair), max(pair))),
        )
    )
    protocol = draw(st.one_of(st.just(0), PROTOCOLS))
    return TrafficSelector(ends[0], ends[1], protocol, *ports)


def _masked(value: int, mask: int) -> Masked:
    return Masked(value & mask, mask)


@st.composite
def conditions(draw: st.DrawFn) -> Conditions:
    def maybe(strategy: st.SearchStrategy[object]) -> object:
        return draw(st.one_of(st.none(), st.none(), strategy))

    bits = st.builds(_masked, st.integers(0, 3), st.integers(0, 3))
    if draw(st.booleans()):
        family = {"tos": maybe(bits)}
    else:
        family = {"traffic_class": maybe(bits), "flow_label": maybe(st.integers(0, 1))}
    levels = st.tuples(st.integers(0, 2), st.integers(0, 2)).map(lambda pair: (min(pair), max(pair)))
    return Conditions(**family, level=maybe(levels), user=maybe(st.integers(0, 1)))  # type: ignore[arg-type] # drawn


@st.composite
def spds(draw: st.DrawFn) -> list[SpdEntry]:
    sides = st.lists(selectors(), min_size=1, max_size=2).map(tuple)
    entries = []
    for number in range(draw(st.integers(0, 5))):
        action = draw(st.sampled_from(Action))
        entries.append(
            SpdEntry(
                id=PolicyId(number + 1),
                name=f"entry-{number}",
                priority=number,
                action=action,
                local=draw(sides),
                remote=draw(sides),
                way=Way.BOTH if action is Action.PROTECT else draw(st.sampled_from(Way)),
                conditions=draw(st.one_of(st.just(Conditions()), conditions())),
            )
        )
    return entries


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    version = draw(st.sampled_from([4, 4, 6]))
    protocol = draw(PROTOCOLS)
    ports = draw(st.one_of(st.none(), st.tuples(PORTS, PORTS)))
    if protocol in MESSAGES and ports:
        ports = (ports[0], ports[0])
    return Packet(
        outbound=draw(st.booleans()),
        local=draw(st.sampled_from(ADDRESSES[version])),
        remote=draw(st.sampled_from(ADDRESSES[version])),
        protocol=protocol,
        ports=ports,
        octet=draw(st.integers(0, 3)),
        flow_label=draw(st.integers(0, 2)) if version == 6 else 0,
        level=draw(st.one_of(st.none(), st.integers(0, 2))),
        user=draw(st.one_of(st.none(), st.integers(0, 2))),
    )


def side_selects(
    selectors: tuple[TrafficSelector, ...], packet: Packet, *, local: bool
) -> list[TrafficSelector]:
    address = ip_address(packet.local if local else packet.remote)
    port = None if packet.ports is None else packet.ports[0 if local else 1]
    sends = local is packet.outbound
    untested = packet.protocol in MESSAGES and not sends and port is not None

    def has_port(one: TrafficSelector) -> bool:
        if untested or (one.first_port, one.last_port) == (0, LAST_PORT):
            return True
        return one.is_opaque if port is None else one.first_port <= port <= one.last_port

    return [
        one
        for one in selectors
        if one.contains_address(address) and one.protocol in {0, packet.protocol} and has_port(one)
    ]


def selects(entry: SpdEntry, packet: Packet) -> bool:
    """Whether an entry selects a packet, straight from the words of RFC 4301, section 4.4.1.1."""
    asked, is_v4 = entry.conditions, ip_address(packet.local).version == 4
    return all(
        (
            entry.way in {Way.BOTH, Way.OUT if packet.outbound else Way.IN},
            side_selects(entry.local, packet, local=True),
            side_selects(entry.remote, packet, local=False),
            asked.tos is None or (is_v4 and asked.tos.fits(packet.octet)),
            asked.traffic_class is None or (not is_v4 and asked.traffic_class.fits(packet.octet)),
            asked.flow_label is None or (not is_v4 and asked.flow_label == packet.flow_label),
            asked.level is None
            or (packet.level is not None and asked.level[0] <= packet.level <= asked.level[1]),
            asked.user is None or asked.user == packet.user,
        )
    )


def holds(box: Box, packet: Packet) -> bool:
    local, remote = ip_address(packet.local), ip_address(packet.remote)
    ports = packet.ports or (OPAQUE_PORT, OPAQUE_PORT)
    label = packet.flow_label if local.version == 6 else NO_FLOW_LABEL
    values = (
        (box.local, int(local)),
        (box.remote, int(remote)),
        (box.local_ports, ports[0]),
        (box.remote_ports, ports[1]),
        (box.flow_labels, label),
        (box.levels, NO_LEVEL if packet.level is None else packet.level),
        (box.users, NO_USER if packet.user is None else packet.user),
    )
    return (
        (box.outbound, box.version) == (packet.outbound, local.version)
        and all(first <= value <= last for (first, last), value in values)
        and bool(box.protocols >> packet.protocol & 1 and box.classes >> packet.octet & 1)
    )


# covers R4301-B-1
# covers R4301-4.4.1-10
@given(spds(), st.lists(packets(), min_size=1, max_size=20))
def test_one_piece_at_most_selects_a_packet_and_it_is_of_the_first_entry_that_does(
    entries: list[SpdEntry], sent: list[Packet]
) -> None:
    pieces = decorrelated(entries)
    for packet in sent:
        first = next((entry for entry in entries if selects(entry, packet)), None)
        assert [piece.entry for piece in pieces if holds(piece.box, packet)] == ([first] if first else [])


# covers R4301-B-1
@given(spds())
def test_no_two_pieces_overlap(entries: list[SpdEntry]) -> None:
    boxes = [piece.box for piece in decorrelated(entries)]
    assert all(one.without(other) == [one] for one, other in combinations(boxes[:60], 2))


def _entry(number: int, **changes: object) -> SpdEntry:
    values = {"local": (everything(4),), "remote": (everything(4),), "action": Action.BYPASS} | changes
    return SpdEntry(id=PolicyId(number), name=str(number), priority=number, **values)  # type: ignore[arg-type] # any field


def test_an_entry_that_others_cover_has_no_piece() -> None:
    pieces = decorrelated([_entry(1), _entry(2, action=Action.DISCARD)])
    assert {piece.entry.name for piece in pieces} == {"1"}


def test_growth_is_bounded() -> None:
    hosts = [ip_address(f"10.0.{number}.1") for number in range(100)]
    entries = [_entry(n, remote=(TrafficSelector.of_address(host),)) for n, host in enumerate(hosts, 1)]
    with pytest.raises(ResourceError, match="more than 50"):
        decorrelated([*entries, _entry(999)], most=50)


def test_a_mask_with_holes_is_refused() -> None:
    holes = Conditions(remote_address=Masked(0x0700, 0xFF00))
    with pytest.raises(LocalError, match="mask with holes"):
        decorrelated([_entry(1, conditions=holes)])
