"""Concrete addresses for both ends of a connection: names are looked up, our own end follows the routes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from perilune.databases.pad import AddressRange, DynamicSelector, Host, HostName, PadEntry
from perilune.ike.templates import is_wanted_at_once
from perilune.model.address import IKE_PORT, Endpoint, IpAddress, Path
from perilune.model.errors import LocalError

_PROBE_PORT = 9
_LOOK_UP_SECONDS = 10.0
_PATIENCE_SECONDS = 2.0


async def resolve_path(entry: PadEntry, *, port: int = IKE_PORT, mark: int = 0) -> Path:
    """Return the path on which a connection would be initiated.

    The first remote address that has a route and fits the local addresses is taken.

    Args:
        entry: The connection.
        port: The daemon's own IKE port, for connections that don't name one.
        mark: SO_MARK of the daemon's packets, so that its own tunnel is not taken for the way out; 0 is none.

    Raises:
        LocalError: No remote address is known, none has a route, or the local end is none of ours.
    """
    remotes = await _remote_addresses(entry)
    reasons = []
    for remote in remotes:
        try:
            local = await _local_address(entry, remote, mark)
        except LocalError as error:
            reasons.append(str(error))
            continue
        local_port = port if entry.local_port == IKE_PORT else entry.local_port
        return Path(Endpoint(local, local_port), Endpoint(remote, entry.remote_port))
    raise LocalError("; ".join(reasons))


async def dynamic_paths(entries: Sequence[PadEntry], port: int, mark: int, *, stand: bool) -> dict[str, Path]:
    """Return the paths of connections that have `dynamic` selectors, by name, as far as they are known soon.

    Args:
        entries: The connections.
        port: See `resolve_path`.
        mark: See `resolve_path`.
        stand: Whether children that are not trapped count too.
    """
    dynamic = [entry for entry in entries if _wants_path(entry, stand=stand)]
    tasks = {entry.name: asyncio.create_task(resolve_path(entry, port=port, mark=mark)) for entry in dynamic}
    if tasks:
        await asyncio.wait(tasks.values(), timeout=_PATIENCE_SECONDS)
    paths = {}
    for name, task in tasks.items():
        if task.done() and task.exception() is None:
            paths[name] = task.result()
        task.cancel()
    return paths


async def look_up(name: str) -> tuple[IpAddress, ...]:
    """Return the addresses of a host name, best first.

    Raises:
        LocalError: The name has none, or nobody answered in time.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOK_UP_SECONDS):
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except TimeoutError as error:
        raise LocalError(f"'{name}' was not looked up within {_LOOK_UP_SECONDS:g} s") from error
    except (OSError, UnicodeError) as error:
        raise LocalError(f"'{name}' has no address: {error}") from error
    return tuple(dict.fromkeys(ip_address(address[0]) for *_, address in found))


def source_address(remote: IpAddress, mark: int = 0) -> IpAddress:
    """Return the address of ours from which the system would send to a remote one.

    Raises:
        LocalError: There is no route.
    """
    family = socket.AF_INET if remote.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            if mark:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            probe.connect((str(remote), _PROBE_PORT))
            return ip_address(probe.getsockname()[0])
    except OSError as error:
        raise LocalError(f"there is no route to {remote}: {error.strerror or error}") from error


def is_own_address(address: IpAddress) -> bool:
    """Whether an address is one of this host's."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def _wants_path(entry: PadEntry, *, stand: bool) -> bool:
    """Whether a policy of a connection, before there is a peer, depends on addresses."""
    return any(
        isinstance(selector, DynamicSelector)
        for child in entry.children
        if stand or is_wanted_at_once(child)
        for selector in child.local_ts + child.remote_ts
    )


async def _remote_addresses(entry: PadEntry) -> Sequence[IpAddress]:
    addresses = await _single_addresses(entry.remote_addrs)
    if not addresses:
        raise LocalError(
            f"connection {entry.name} names no single remote address to initiate to"
            f" (remote_addrs = {', '.join(map(str, entry.remote_addrs))})"
        )
    return addresses


async def _local_address(entry: PadEntry, remote: IpAddress, mark: int) -> IpAddress:
    source = source_address(remote, mark)
    ranges = [host for host in entry.local_addrs if isinstance(host, AddressRange)]
    if any(host.contains(source) for host in ranges):
        return source
    for address in await _single_addresses(entry.local_addrs):
        if address.version == remote.version and is_own_address(address):
            return address
    wanted = ", ".join(map(str, entry.local_addrs))
    raise LocalError(
        f"{source} would be our end towards {remote}, yet local_addrs of {entry.name} wants {wanted}"
    )


async def _single_addresses(hosts: Sequence[Host]) -> Sequence[IPv4Address | IPv6Address]:
    addresses: list[IpAddress] = []
    for host in hosts:
        if isinstance(host, HostName):
            addresses += await look_up(host.name)
        elif host.first == host.last:
            addresses.append(host.first)
    return addresses
