"""Which destinations go into the TUN device: those of the remote selectors of the SPD's policies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perilune.databases.spd import Action, PolicyId, SpdEntry, Way
from perilune.model.address import IpAddress
from perilune.model.selector import IpNetwork


@dataclass(frozen=True, slots=True)
class Route:
    """A destination that goes into the TUN device."""

    destination: IpNetwork
    source: IpAddress | None
    """Address of ours that the kernel takes for packets of this host itself; None leaves it the choice."""


def routes_of(policy: SpdEntry, own: Sequence[IpAddress]) -> tuple[Route, ...]:
    """Return the routes that a policy needs.

    What bypasses IPsec needs none: where a wider route takes it into the TUN device, the data plane lets it
    out again, unless it is kept out (`passed_routes`). Neither does an entry about what arrives: it says
    nothing of where packets go, and its route would take those of others, to be dropped for want of an entry.

    Args:
        policy: An entry of the SPD.
        own: Addresses of this host, the preferred ones first.
    """
    if policy.action is Action.BYPASS or policy.way is Way.IN:
        return ()
    return tuple(
        Route(network, _source_inside(policy, own, remote.version))
        for remote in policy.remote
        for network in remote.networks
    )


class RouteBook:
    """Knows which policies need which destination, and so which routes there have to be."""

    def __init__(self) -> None:
        self._users: dict[IpNetwork, dict[PolicyId, Route]] = {}
        self._networks: dict[PolicyId, tuple[IpNetwork, ...]] = {}

    @property
    def routes(self) -> tuple[Route, ...]:
        """Every route that there has to be."""
        return tuple(_chosen(users) for users in self._users.values())

    def has(self, destination: IpNetwork) -> bool:
        """Whether there has to be a route for just this destination."""
        return destination in self._users

    def add(self, policy: SpdEntry, own: Sequence[IpAddress]) -> tuple[Route, ...]:
        """Note a policy; return the routes to install, some in the place of one for the same destination."""
        routes = routes_of(policy, own)
        before = {route.destination: self._route_to(route.destination) for route in routes}
        for route in routes:
            self._users.setdefault(route.destination, {})[policy.id] = route
        self._networks[policy.id] = tuple(before)
        return self._changed(before)

    def remove(self, policy: PolicyId) -> tuple[tuple[Route, ...], tuple[IpNetwork, ...]]:
        """Forget a policy.

        Returns:
            Routes to install in the place of others, and destinations whose route is to be removed.
        """
        networks = self._networks.pop(policy, ())
        before = {network: self._route_to(network) for network in networks}
        for network in networks:
            del self._users[network][policy]
        gone = tuple(network for network in networks if not self._users[network])
        for network in gone:
            del self._users[network]
        return self._changed(before), gone

    def _route_to(self, network: IpNetwork) -> Route | None:
        users = self._users.get(network)
        return _chosen(users) if users else None

    def _changed(self, before: dict[IpNetwork, Route | None]) -> tuple[Route, ...]:
        now = [(self._route_to(network), old) for network, old in before.items()]
        return tuple(route for route, old in now if route is not None and route != old)


def _chosen(users: dict[PolicyId, Route]) -> Route:
    """Return the oldest route that has a source address, else the oldest one."""
    routes = list(users.values())
    return next((route for route in routes if route.source is not None), routes[0])


def _source_inside(policy: SpdEntry, own: Sequence[IpAddress], version: int) -> IpAddress | None:
    """Return an address of ours whose packets the policy would take."""
    for address in own:
        is_usable = address.version == version and not address.is_link_local and not address.is_loopback
        if is_usable and any(selector.contains_address(address) for selector in policy.local):
            return address
    return None
