"""Addresses of both ends, on loopback."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from perilune.config.load import load_text
from perilune.databases.pad import ANY_IPV4, ANY_IPV6, AddressRange, HostName, PadEntry
from perilune.model.address import Endpoint, Path
from perilune.model.errors import LocalError
from perilune.shell.resolver import is_own_address, look_up, resolve_path, source_address
from support.nodes import CONFIG

ENTRY = load_text(CONFIG).connections[0]


def single(text: str) -> AddressRange:
    return AddressRange(ip_address(text), ip_address(text))


def entry(local: tuple[str, ...] = (), remote: tuple[str, ...] = ("127.0.0.2",)) -> PadEntry:
    here = tuple(single(text) for text in local) or (ANY_IPV4, ANY_IPV6)
    return replace(ENTRY, local_addrs=here, remote_addrs=tuple(single(text) for text in remote))


def path_of(connection: PadEntry, port: int = 500) -> Path:
    return asyncio.run(resolve_path(connection, port=port))


def test_our_end_follows_the_route() -> None:
    assert path_of(entry()) == Path(
        Endpoint(ip_address("127.0.0.1"), 500), Endpoint(ip_address("127.0.0.2"), 500)
    )


def test_address_that_the_connection_names_is_taken_before_the_route_s() -> None:
    assert path_of(entry(local=("127.0.0.9",))).local.address == ip_address("127.0.0.9")


def test_port_of_the_daemon_is_the_default() -> None:
    assert path_of(entry(), port=5000).local.port == 5000
    path = path_of(replace(entry(), local_port=4500, remote_port=4500), port=5000)
    assert (path.local.port, path.remote.port) == (4500, 4500)


def test_second_remote_address_is_tried() -> None:
    assert path_of(entry(remote=("255.255.255.255", "127.0.0.3"))).remote.address == ip_address("127.0.0.3")


@pytest.mark.parametrize(
    ("connection", "reason"),
    [
        (replace(ENTRY, remote_addrs=(ANY_IPV4, ANY_IPV6)), "no single remote address"),
        (entry(local=("192.0.2.77",)), "local_addrs of gw wants 192.0.2.77"),
        (entry(remote=("255.255.255.255",)), "no route to 255.255.255.255"),
        (replace(ENTRY, remote_addrs=(HostName("a" * 70 + ".invalid"),)), "has no address"),
    ],
)
def test_what_cannot_be_reached_is_said(connection: PadEntry, reason: str) -> None:
    with pytest.raises(LocalError, match=reason):
        path_of(connection)


def test_names_are_looked_up() -> None:
    assert ip_address("127.0.0.1") in asyncio.run(look_up("localhost"))


def test_addresses_of_this_host() -> None:
    assert source_address(ip_address("127.0.0.1")) == ip_address("127.0.0.1")
    assert is_own_address(ip_address("127.0.0.5"))
    assert not is_own_address(ip_address("203.0.113.77"))
