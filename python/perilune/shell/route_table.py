"""Laying routes: a table of our own, the rule that has the kernel ask it, and the TUN device set up.

    rule    not fwmark MARK: look into table 220          (both families)
    route   10.2.0.0/16 dev perilune0 src 10.1.0.1        for each remote selector of a policy
    route   throw 10.1.0.0/16                             for what bypasses IPsec inside of those

Packets that the daemon sends itself carry the mark and so never enter the tunnel again. Routes have a
protocol number of their own: `ip route show table 220` says `proto 80`.

A route has to be there before the peer may send, so every method waits for the kernel, a millisecond or so.
pyroute2 runs an event loop of its own, which cannot be done inside another: hence the thread.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path as FilePath
from typing import Any, TypeVar

from pyroute2 import IPRoute, NetlinkError

from perilune.databases.spd import PolicyId, SpdEntry
from perilune.model.address import IpAddress
from perilune.model.errors import ResourceError
from perilune.model.selector import IpNetwork
from perilune.shell.passed_routes import PassBook
from perilune.shell.routes import Route, RouteBook

ROUTE_PROTOCOL = 80
"""Which program made a route (`RTA_PROTOCOL`); 80 is nobody else's in iproute2's list."""

_FIB_RULE_INVERT = 2
_IFF_MULTICAST = 0x1000
_MTU_WITHOUT_IPV6 = 1000
_IPV6_SETTINGS = FilePath("/proc/sys/net/ipv6/conf")
_IN6_ADDR_GEN_MODE_NONE = "1"
_PATIENCE_SECONDS = 10.0
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_HARMLESS = {
    2,  # ENOENT: a rule to remove is gone
    3,  # ESRCH: a route to remove is gone
    17,  # EEXIST: the rule of a daemon that was killed is still there
    97,  # EAFNOSUPPORT: this host has no IPv6
}

T = TypeVar("T")


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

    is_routing: bool = True
    """Whether there are to be routes at all; else the device is only set up."""


class RouteTable:
    """The routes into one TUN device.

    Args:
        settings: Where they go.

    Raises:
        ResourceError: From every method: the kernel refused, and the message says what.
    """

    def __init__(self, settings: RouteSettings) -> None:
        self._settings = settings
        self._book = RouteBook()
        self._passes = PassBook()
        self._thrown: frozenset[IpNetwork] = frozenset()
        self._thread = ThreadPoolExecutor(1, "netlink")
        self._netlink = self._in_thread(IPRoute)
        self._device = 0

    def open(self) -> None:
        """Set the device up and install the rules.

        The rules of a daemon that was killed are taken over; its routes went with its device.
        """
        self._in_thread(self._open)

    def add(self, policies: Sequence[SpdEntry]) -> None:
        """Lay the routes that policies need."""
        if self._settings.is_routing and policies:
            self._in_thread(lambda: self._add(policies))

    def remove(self, policies: Sequence[PolicyId]) -> None:
        """Remove the routes that only these policies needed."""
        if self._settings.is_routing and policies:
            self._in_thread(lambda: self._remove(policies))

    def close(self) -> None:
        """Remove the routes, and a rule whose table nobody uses any more."""
        try:
            if self._settings.is_routing:
                self._in_thread(self._clear)
        finally:
            self._in_thread(self._netlink.close)
            self._thread.shutdown(wait=False)

    def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return self._thread.submit(work).result(_PATIENCE_SECONDS)
        except TimeoutError as error:
            raise ResourceError("the kernel does not answer on netlink") from error
        except OSError as error:
            raise ResourceError(f"netlink cannot be used: {error.strerror or error}") from error

    def _open(self) -> None:
        found = self._netlink.link_lookup(ifname=self._settings.device)
        if not found:
            raise ResourceError(f"there is no device {self._settings.device}")
        self._device = found[0]
        self._set_up()
        for family in _FAMILIES if self._settings.is_routing else ():
            self._rule("add", family)

    def _set_up(self) -> None:
        """Set the device up such that the kernel says nothing into the tunnel on its own account.

        A router's device reports multicast groups, which it joins when it is made. A device that loses
        IPv6, for an MTU that is too small, and gets it back without IFF_MULTICAST joins none.
        """
        device, settings = {"index": self._device}, self._settings
        silence = {"mtu": _MTU_WITHOUT_IPV6, "flags": 0, "change": _IFF_MULTICAST}
        _call("switch multicast off", self._netlink.link, "set", **device, **silence)
        _call("set the MTU", self._netlink.link, "set", **device, mtu=settings.mtu)
        _generate_no_address(settings.device)
        _call("set the device up", self._netlink.link, "set", **device, state="up")

    def _add(self, policies: Sequence[SpdEntry]) -> None:
        own = self._own_addresses()
        for policy in policies:
            self._passes.add(policy)
            for route in self._book.add(policy, own):
                self._take_back(route.destination)
                self._install(route)
        self._throw()

    def _remove(self, policies: Sequence[PolicyId]) -> None:
        for policy in policies:
            self._passes.remove(policy)
        self._throw()
        for policy in policies:
            others, gone = self._book.remove(policy)
            for route in others:
                self._install(route)
            for network in gone:
                self._uninstall(network)
        self._throw()

    def _clear(self) -> None:
        for route in self._book.routes:
            self._uninstall(route.destination)
        for network in self._thrown:
            self._take_back(network)
        for family in _FAMILIES:
            if not list(self._netlink.route("dump", table=self._settings.table, family=family)):
                self._rule("del", family)

    def _rule(self, command: str, family: int) -> None:
        settings = self._settings
        marked = {"fwmark": settings.mark, "flags": _FIB_RULE_INVERT} if settings.mark else {}
        rule = {"family": family, "table": settings.table, "priority": settings.priority, **marked}
        _call(f"{command} the rule for table {settings.table}", self._netlink.rule, command, **rule)

    def _install(self, route: Route) -> None:
        source = {} if route.source is None else {"prefsrc": str(route.source)}
        words = self._words(route.destination) | source
        _call(f"lay the route to {route.destination}", self._netlink.route, "replace", **words)

    def _uninstall(self, network: IpNetwork) -> None:
        _call(f"remove the route to {network}", self._netlink.route, "del", **self._words(network))

    def _throw(self) -> None:
        """Have the kernel look on in its other tables for what the policies let by, and for nothing else."""
        wanted = self._passes.destinations
        for network in self._thrown - wanted:
            self._take_back(network)
        for network in wanted - self._thrown:
            if not self._book.has(network):
                words = self._throw_words(network)
                _call(f"keep {network} out of the tunnel", self._netlink.route, "replace", **words)
                self._thrown |= {network}

    def _take_back(self, network: IpNetwork) -> None:
        if network in self._thrown:
            words = self._throw_words(network)
            _call(f"let {network} into the tunnel", self._netlink.route, "del", **words)
            self._thrown -= {network}

    def _throw_words(self, network: IpNetwork) -> dict[str, object]:
        words = self._words(network)
        del words["oif"]
        return words | {"type": "throw"}

    def _words(self, network: IpNetwork) -> dict[str, object]:
        return {
            "dst": str(network),
            "family": socket.AF_INET if network.version == 4 else socket.AF_INET6,
            "oif": self._device,
            "proto": ROUTE_PROTOCOL,
            "table": self._settings.table,
        }

    def _own_addresses(self) -> list[IpAddress]:
        messages = self._netlink.get_addr()
        texts = [message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS") for message in messages]
        return [ip_address(text) for text in texts if text]


def _call(what: str, call: Callable[..., Any], *arguments: object, **words: object) -> None:
    try:
        call(*arguments, **words)
    except NetlinkError as error:
        if error.code not in _HARMLESS:
            raise ResourceError(
                f"cannot {what}: {error.args[1] if len(error.args) > 1 else error}"
            ) from error


def _generate_no_address(device: str) -> None:
    """Keep the kernel from giving the device a link-local address, about which it would talk.

    Without IPv6, or where /proc is read-only, it stays as it is: the data plane drops what is said.
    """
    with suppress(OSError):
        (_IPV6_SETTINGS / device / "addr_gen_mode").write_text(_IN6_ADDR_GEN_MODE_NONE)
