"""Which destinations stay out of the TUN device; that the kernel keeps them out is tested with a daemon."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perilune.databases.conditions import Conditions
from perilune.databases.spd import Action, PolicyId, SpdEntry, Way
from perilune.model.selector import TrafficSelector
from perilune.shell.passed_routes import PassBook


def entry(number: int, local: str, remote: str, action: Action = Action.BYPASS) -> SpdEntry:
    return SpdEntry(
        id=PolicyId(number),
        name=f"gw/{number}",
        priority=number,
        action=action,
        local=tuple(TrafficSelector.of_network(ip_network(text)) for text in local.split()),
        remote=tuple(TrafficSelector.of_network(ip_network(text)) for text in remote.split()),
    )


def kept_out(*entries: SpdEntry) -> set[str]:
    book = PassBook()
    for one in entries:
        book.add(one)
    return {str(network) for network in book.destinations}


LAN = entry(2, "10.1.0.0/16", "10.1.0.0/16")
WORLD = entry(5, "10.1.0.0/16", "0.0.0.0/0", Action.PROTECT)


def test_own_network_stays_out_of_a_tunnel_for_everything() -> None:
    assert kept_out(LAN, WORLD) == {"10.1.0.0/16"}
    assert kept_out(WORLD, LAN) == {"10.1.0.0/16"}
    assert kept_out(LAN, replace(WORLD, action=Action.DISCARD)) == {"10.1.0.0/16"}


def test_without_a_route_into_the_tunnel_there_is_nothing_to_keep_out_of_it() -> None:
    assert kept_out(LAN) == set()
    assert kept_out(LAN, entry(5, "10.1.0.0/16", "10.2.0.0/16", Action.PROTECT)) == set()


@pytest.mark.parametrize(
    "other",
    [
        entry(1, "10.1.0.0/16", "10.1.7.0/24", Action.PROTECT),
        entry(1, "10.1.0.0/16", "10.1.7.0/24", Action.DISCARD),
        entry(9, "10.0.0.0/8", "0.0.0.0/0", Action.PROTECT),
    ],
    ids=["protected before", "discarded before", "protected from elsewhere"],
)
def test_what_another_entry_may_select_goes_where_the_spd_is_asked(other: SpdEntry) -> None:
    assert kept_out(LAN, WORLD, other) == set()
    book = PassBook()
    for one in (LAN, other, WORLD):
        book.add(one)
    book.remove(other.id)
    assert len(book.destinations) == 1


@pytest.mark.parametrize(
    "some",
    [
        replace(LAN, way=Way.IN),
        replace(LAN, conditions=Conditions(user=1000)),
        replace(LAN, local=(replace(LAN.local[0], protocol=6),)),
        replace(LAN, remote=(replace(LAN.remote[0], protocol=17, first_port=53, last_port=53),)),
    ],
    ids=["arriving", "of a user", "TCP", "DNS"],
)
def test_what_is_let_by_in_part_goes_where_the_spd_is_asked(some: SpdEntry) -> None:
    assert kept_out(some, WORLD) == set()


def test_what_is_about_arriving_packets_has_no_say() -> None:
    arriving = entry(1, "0.0.0.0/0", "0.0.0.0/0", Action.DISCARD)
    assert kept_out(LAN, WORLD, arriving) == set()
    assert kept_out(LAN, WORLD, replace(arriving, way=Way.IN)) == {"10.1.0.0/16"}
    assert kept_out(LAN, replace(arriving, way=Way.IN)) == set()


def test_families_are_apart() -> None:
    world = entry(5, "10.1.0.0/16 fd01::/16", "0.0.0.0/0 ::/0", Action.PROTECT)
    assert kept_out(LAN, world) == {"10.1.0.0/16"}
    lan = entry(2, "10.1.0.0/16 fd01::/16", "10.1.0.0/16 fd01::/16")
    assert kept_out(lan, world) == {"10.1.0.0/16", "fd01::/16"}


NETWORKS = st.sampled_from(["10.0.0.0/30", "10.0.0.0/31", "10.0.0.2/32", "10.0.0.3/32"])
ENTRIES = st.lists(
    st.tuples(st.integers(1, 6), NETWORKS, NETWORKS, st.sampled_from(Action)),
    max_size=8,
)


@given(ENTRIES)
def test_whatever_goes_to_a_destination_that_is_kept_out_is_let_by(
    steps: list[tuple[int, str, str, Action]],
) -> None:
    book, spd = PassBook(), dict[int, SpdEntry]()
    for number, local, remote, action in steps:
        if spd.pop(number, None):
            book.remove(PolicyId(number))
        else:
            spd[number] = entry(number, local, remote, action)
            book.add(spd[number])
    for network in book.destinations:
        for source in ip_network("10.0.0.0/30"):
            for destination in network:
                first = next(
                    (
                        one
                        for _, one in sorted(spd.items())
                        if one.local[0].contains_address(source)
                        and one.remote[0].contains_address(destination)
                    ),
                    None,
                )
                assert first is None or first.action is Action.BYPASS
