"""The way of packets into the TUN device: routes in a table of their own, and the rule that has it asked.

    rule    not fwmark MARK: look into table 220          (both families)
    route   10.2.0.0/16 dev perilune0 src 10.1.0.1        for each remote selector of a policy

Packets that the daemon sends itself carry the mark and so never enter the tunnel again. Routes have a
protocol number of their own: `ip route show table 220` says `proto 80`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path as FilePath
from typing import Any

from pyroute2 import AsyncIPRoute, NetlinkError

from perilune.databases.spd import Action, SpdEntry
from perilune.model.address import IpAddress
from perilune.model.errors import ResourceError
from perilune.model.selector import IpNetwork

ROUTE_PROTOCOL = 80
"""Which program made a route (`RTA_PROTOCOL`); 80 is nobody else's in iproute2's list."""

_FIB_RULE_INVERT = 2
_IN6_ADDR_GEN_MODE_NONE = "1"
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


@dataclass(frozen=True, slots=True)
class Route:
    """A destination that goes into the TUN device."""

    destination: IpNetwork
    source: IpAddress | None
    """Address of ours that the kernel takes for packets of this host itself; None leaves it the choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """Where routes go."""

    device: str
    """Name of the TUN device."""

    mtu: int = 1400
    """MTU of the TUN device in octets."""

    table: int = 220
    priority: int = 220
    """Of the rule."""

    mark: int
    """SO_MARK of the daemon's own packets; 0 is none, and then there is a rule for every packet."""


def wanted_routes(policies: Iterable[SpdEntry], own: Sequence[IpAddress]) -> dict[IpNetwork, Route]:
    """Return the routes that the policies need, by destination.

    What bypasses IPsec needs none: where a wider route takes it into the TUN device, the data plane lets it
    out again.

    Args:
        policies: The SPD.
        own: Addresses of this host, the preferred ones first.
    """
    routes: dict[IpNetwork, Route] = {}
    for policy in policies:
        if policy.action is Action.BYPASS:
            continue
        for remote in policy.remote:
            source = _source_inside(policy, own, remote.version)
            for network in remote.networks:
                known = routes.get(network)
                if known is None or known.source is None:
                    routes[network] = Route(network, source)
    return routes


class Routes:
    """The routes of one TUN device.

    Args:
        settings: Where they go.

    Raises:
        ResourceError: From every method: the kernel refused, and the message says what.
    """

    def __init__(self, settings: RouteSettings) -> None:
        self._settings = settings
        self._installed: dict[IpNetwork, Route] = {}
        self._lock = asyncio.Lock()
        self._device = 0

    async def open(self, *, is_routing: bool = True) -> None:
        """Set the device up and install the rules.

        The rules of a daemon that was killed are taken over; its routes went with its device.

        Args:
            is_routing: Whether there are to be routes; else the device is only set up.
        """
        settings = self._settings
        async with self._lock, AsyncIPRoute() as netlink:
            found = await netlink.link_lookup(ifname=settings.device)
            if not found:
                raise ResourceError(f"there is no device {settings.device}")
            self._device = found[0]
            _generate_no_address(settings.device)
            await _call(netlink.link("set", index=self._device, mtu=settings.mtu, state="up"), "set the MTU")
            for family in _FAMILIES if is_routing else ():
                await self._rule(netlink, "add", family)

    async def sync(self, policies: Sequence[SpdEntry]) -> None:
        """Make the routes what the policies need."""
        async with self._lock, AsyncIPRoute() as netlink:
            wanted = wanted_routes(policies, await _own_addresses(netlink))
            for network in self._installed.keys() - wanted.keys():
                await self._route(netlink, "del", self._installed.pop(network))
            for network, route in wanted.items():
                if self._installed.get(network) != route:
                    await self._route(netlink, "replace", route)
                    self._installed[network] = route

    async def close(self) -> None:
        """Remove the routes, and a rule whose table nobody uses any more."""
        async with self._lock, AsyncIPRoute() as netlink:
            while self._installed:
                await self._route(netlink, "del", self._installed.popitem()[1])
            for family in _FAMILIES:
                if not await _has_routes(netlink, self._settings.table, family):
                    await self._rule(netlink, "del", family)

    async def _rule(self, netlink: AsyncIPRoute, command: str, family: int) -> None:
        settings = self._settings
        marked = {"fwmark": settings.mark, "flags": _FIB_RULE_INVERT} if settings.mark else {}
        rule = {"family": family, "table": settings.table, "priority": settings.priority, **marked}
        await _call(netlink.rule(command, **rule), f"{command} the rule for table {settings.table}")

    async def _route(self, netlink: AsyncIPRoute, command: str, route: Route) -> None:
        family = socket.AF_INET if route.destination.version == 4 else socket.AF_INET6
        arguments: dict[str, Any] = {
            "dst": str(route.destination),
            "family": family,
            "oif": self._device,
            "proto": ROUTE_PROTOCOL,
            "table": self._settings.table,
        }
        if route.source is not None:
            arguments["prefsrc"] = str(route.source)
        await _call(netlink.route(command, **arguments), f"{command} the route to {route.destination}")


_HARMLESS = {
    2,  # ENOENT: a rule to remove is gone
    3,  # ESRCH: a route to remove is gone
    17,  # EEXIST: the rule of a daemon that was killed is still there
    97,  # EAFNOSUPPORT: this host has no IPv6
}


async def _call(call: Awaitable[object], what: str) -> None:
    try:
        await call
    except NetlinkError as error:
        if error.code not in _HARMLESS:
            raise ResourceError(
                f"cannot {what}: {error.args[1] if len(error.args) > 1 else error}"
            ) from error


async def _has_routes(netlink: AsyncIPRoute, table: int, family: int) -> bool:
    async for _route in await netlink.route("dump", table=table, family=family):
        return True
    return False


async def _own_addresses(netlink: AsyncIPRoute) -> list[IpAddress]:
    own: list[IpAddress] = []
    async for message in await netlink.get_addr():
        text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        if text is not None:
            own.append(ip_address(text))
    return sorted(own, key=lambda address: (address.is_loopback, address.is_link_local))


def _source_inside(policy: SpdEntry, own: Sequence[IpAddress], version: int) -> IpAddress | None:
    """Return an address of ours whose packets the policy would take."""
    selectors = [selector for selector in policy.local if selector.version == version]
    for address in own:
        if address.version == version and not address.is_link_local and not address.is_loopback:
            for selector in selectors:
                if int(selector.first_address) <= int(address) <= int(selector.last_address):
                    return address
    return None


def _generate_no_address(device: str) -> None:
    """Keep the kernel from giving the device a link-local address, and so from talking into the tunnel."""
    mode = FilePath("/proc/sys/net/ipv6/conf") / device / "addr_gen_mode"
    try:
        mode.write_text(_IN6_ADDR_GEN_MODE_NONE)
    except OSError:
        return  # no IPv6, or a read-only /proc: the engine drops what the kernel then sends
