"""Which routes policies need; laying them is tested with a daemon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from perilune.databases.spd import Action, PolicyId, SpdEntry, Way
from perilune.model.address import IpAddress
from perilune.model.selector import IpNetwork, TrafficSelector
from perilune.shell.routes import Route, RouteBook, routes_of

OWN = [ip_address(text) for text in ("192.0.2.1", "10.1.0.1", "fd01::1", "fe80::1", "127.0.0.1")]


def policy(local: str, remote: str, action: Action = Action.PROTECT, number: int = 1) -> SpdEntry:
    return SpdEntry(
        id=PolicyId(number),
        name="gw/net",
        priority=1,
        action=action,
        local=tuple(selector(text) for text in local.split()),
        remote=tuple(selector(text) for text in remote.split()),
    )


def selector(text: str) -> TrafficSelector:
    first, _, last = text.partition("-")
    if last:
        return TrafficSelector(ip_address(first), ip_address(last))
    return TrafficSelector.of_network(ip_network(text))


def wanted(entry: SpdEntry, own: Sequence[IpAddress] = OWN) -> dict[str, str | None]:
    """Source by destination."""
    routes = routes_of(entry, own)
    return {str(route.destination): str(route.source) if route.source else None for route in routes}


def test_route_has_our_address_inside_the_local_selector() -> None:
    assert wanted(policy("10.1.0.0/16", "10.2.0.0/16")) == {"10.2.0.0/16": "10.1.0.1"}


def test_route_without_an_address_of_ours_lets_the_kernel_choose() -> None:
    assert wanted(policy("10.9.0.0/16", "10.2.0.0/16")) == {"10.2.0.0/16": None}


def test_families_do_not_mix() -> None:
    assert wanted(policy("10.1.0.0/16 fd01::/64", "10.2.0.0/16 fd02::/64")) == {
        "10.2.0.0/16": "10.1.0.1",
        "fd02::/64": "fd01::1",
    }


def test_address_that_reaches_one_link_only_is_no_source() -> None:
    routes = wanted(policy("::/0 0.0.0.0/0", "fd02::/64 10.2.0.0/16"), OWN[3:])
    assert set(routes.values()) == {None}


def test_range_becomes_prefixes() -> None:
    routes = wanted(policy("10.1.0.0/16", "10.2.0.1-10.2.0.4"))
    assert set(routes) == {"10.2.0.1/32", "10.2.0.2/31", "10.2.0.4/32"}


def test_what_bypasses_has_no_route_and_what_is_discarded_has() -> None:
    assert wanted(policy("10.1.0.0/16", "10.2.1.0/24", Action.BYPASS)) == {}
    assert set(wanted(policy("10.1.0.0/16", "10.4.0.0/16", Action.DISCARD))) == {"10.4.0.0/16"}


def test_what_is_about_arriving_packets_takes_none_that_leave() -> None:
    # `no-telnet-in` of docs/user/policies.md must not take a gateway's answers to its own network
    entry = policy("0.0.0.0/0", "0.0.0.0/0", Action.DISCARD)
    assert wanted(replace(entry, way=Way.IN)) == {}
    assert set(wanted(replace(entry, way=Way.OUT))) == {"0.0.0.0/0"}


def test_route_stays_for_as_long_as_a_policy_needs_it() -> None:
    book, network = RouteBook(), ip_network("10.2.0.0/16")
    without, with_address = Route(network, None), Route(network, ip_address("10.1.0.1"))
    assert book.add(policy("10.9.0.0/16", "10.2.0.0/16", number=1), OWN) == (without,)
    assert book.add(policy("10.1.0.0/16", "10.2.0.0/16", number=2), OWN) == (with_address,)
    assert book.add(policy("10.1.0.0/24", "10.2.0.0/16", number=3), OWN) == ()
    assert book.routes == (with_address,)

    assert book.remove(PolicyId(2)) == ((), ())
    assert book.remove(PolicyId(3)) == ((without,), ())
    assert book.remove(PolicyId(1)) == ((), (network,))
    assert book.remove(PolicyId(1)) == ((), ())
    assert len(book.routes) == 0


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_routes_cover_the_remote_selector_and_no_more(one: int, other: int) -> None:
    first, last = sorted((one, other))
    entry = policy("0.0.0.0/0", f"{ip_address(first)}-{ip_address(last)}")
    networks = sorted((route.destination for route in routes_of(entry, OWN)), key=lambda net: int(net[0]))
    assert (int(networks[0][0]), int(networks[-1][-1])) == (first, last)
    assert sum(network.num_addresses for network in networks) == last - first + 1


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["10.2.0.0/16", "10.3.0.0/16 10.2.0.0/16"]))))
def test_what_is_installed_is_what_the_policies_need(steps: list[tuple[int, str]]) -> None:
    book = RouteBook()
    installed: dict[IpNetwork, Route] = {}
    there: dict[int, SpdEntry] = {}
    for number, remote in steps:
        if number in there:
            del there[number]
            others, gone = book.remove(PolicyId(number))
            installed |= {route.destination: route for route in others}
            for network in gone:
                del installed[network]
        else:
            local = "10.1.0.0/16" if number % 2 else "10.9.0.0/16"
            there[number] = policy(local, remote, number=number)
            installed |= {route.destination: route for route in book.add(there[number], OWN)}
    assert set(installed) == {
        route.destination for entry in there.values() for route in routes_of(entry, OWN)
    }
    for network, route in installed.items():
        sources = {
            one.source
            for entry in there.values()
            for one in routes_of(entry, OWN)
            if one.destination == network
        }
        assert route.source == next((source for source in sources if source), None)
