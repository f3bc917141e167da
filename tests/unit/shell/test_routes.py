"""Which routes policies need; laying them is tested with a daemon."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from perilune.databases.spd import Action, PolicyId, SpdEntry
from perilune.model.selector import TrafficSelector
from perilune.shell.routes import Route, wanted_routes

OWN = [ip_address(text) for text in ("192.0.2.1", "10.1.0.1", "fd01::1", "fe80::1", "127.0.0.1")]


def policy(local: str, remote: str, action: Action = Action.PROTECT) -> SpdEntry:
    return SpdEntry(
        id=PolicyId(1),
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


def test_route_has_our_address_inside_the_local_selector() -> None:
    network = ip_network("10.2.0.0/16")
    assert wanted_routes([policy("10.1.0.0/16", "10.2.0.0/16")], OWN) == {
        network: Route(network, ip_address("10.1.0.1"))
    }


def test_route_without_an_address_of_ours_lets_the_kernel_choose() -> None:
    network = ip_network("10.2.0.0/16")
    assert wanted_routes([policy("10.9.0.0/16", "10.2.0.0/16")], OWN)[network].source is None


def test_families_do_not_mix() -> None:
    routes = wanted_routes([policy("10.1.0.0/16 fd01::/64", "10.2.0.0/16 fd02::/64")], OWN)
    assert routes[ip_network("10.2.0.0/16")].source == ip_address("10.1.0.1")
    assert routes[ip_network("fd02::/64")].source == ip_address("fd01::1")


def test_address_that_reaches_one_link_only_is_no_source() -> None:
    routes = wanted_routes([policy("::/0 0.0.0.0/0", "fd02::/64 10.2.0.0/16")], OWN[3:])
    assert {route.source for route in routes.values()} == {None}


def test_range_becomes_prefixes() -> None:
    routes = wanted_routes([policy("10.1.0.0/16", "10.2.0.1-10.2.0.4")], OWN)
    assert set(routes) == {ip_network(text) for text in ("10.2.0.1/32", "10.2.0.2/31", "10.2.0.4/32")}


def test_what_bypasses_has_no_route_and_what_is_discarded_has() -> None:
    policies = [policy("10.1.0.0/16", "10.2.1.0/24", Action.BYPASS), policy("10.1.0.0/16", "10.3.0.0/16")]
    assert set(wanted_routes(policies, OWN)) == {ip_network("10.3.0.0/16")}
    discarded = policy("10.1.0.0/16", "10.4.0.0/16", Action.DISCARD)
    assert set(wanted_routes([discarded], OWN)) == {ip_network("10.4.0.0/16")}


def test_of_two_policies_for_one_destination_the_one_with_an_address_counts() -> None:
    policies = [policy("10.9.0.0/16", "10.2.0.0/16"), policy("10.1.0.0/16", "10.2.0.0/16")]
    for order in (policies, policies[::-1]):
        assert wanted_routes(order, OWN)[ip_network("10.2.0.0/16")].source == ip_address("10.1.0.1")


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_routes_cover_the_remote_selector_and_no_more(one: int, other: int) -> None:
    first, last = sorted((one, other))
    remote = TrafficSelector(ip_address(first), ip_address(last))
    entry = SpdEntry(
        id=PolicyId(1), name="gw/net", priority=1, action=Action.PROTECT, local=(remote,), remote=(remote,)
    )
    networks = sorted(wanted_routes([entry], OWN), key=lambda network: int(network[0]))
    assert (networks[0][0], networks[-1][-1]) == (remote.first_address, remote.last_address)
    assert sum(network.num_addresses for network in networks) == last - first + 1
