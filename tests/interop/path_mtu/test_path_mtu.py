"""A path whose MTU shrinks under a transfer: the router says so, and it goes on (RFC 4301, section 8)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.daemon import IkeDaemon
from lab.namespace import Namespace
from lab.perilune import Perilune
from lab.process import until
from lab.topology import host, narrow, two_sites_with_router
from lab.traffic import transfer_stream

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
WIDE, NARROW = 1500, 1200
SOME_OCTETS = 3_000_000
NETWORKS = {"raw": 0, "encapsulated": 1, "raw6": 2, "encapsulated6": 3}
"""Each child's networks; with two children of the same selectors it would be chance which carries what."""


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    if bench.peer_alone:
        pytest.skip("between two of ours")
    with two_sites_with_router(len(NETWORKS)) as sites:
        ours = bench.ours(sites.gateway_a, HERE / "gateway-a.conf")
        other = Perilune(sites.gateway_b, bench.directory / "other", (HERE / "gateway-b.conf").read_text())
        with bench.gateways(sites, ours, other) as gateways:
            yield gateways


def wait_for_more(gateway: IkeDaemon, child: str) -> None:
    """Wait until so many octets more have gone through, either way."""

    def octets(way: str) -> int:
        return sum(int(sa.fields[way]) for sa in gateway.child_sas(child))

    for way in ("bytes-in", "bytes-out"):
        before = octets(way)
        gateway.wait(lambda way=way, before=before: octets(way) >= before + SOME_OCTETS, 60.0, f"more {way}")


def mtu_of_route(source: Namespace, target: str) -> int:
    """Return the largest packet that a host sends to another."""
    found = re.search(r" mtu (\d+)", source.ip("route", "get", target))
    return int(found[1]) if found else WIDE


@contextmanager
def transfer_over(gateways: Gateways, child: str) -> Iterator[None]:
    """Set a child up, and keep a transfer going over it; nobody knows anything of the path before."""
    sites = gateways.sites
    narrow(sites, WIDE)
    for namespace in (sites.host_a, sites.gateway_a, sites.gateway_b, sites.host_b):
        namespace.ip("route", "flush", "cache")
    gateways.ours.initiate(child)
    try:
        with transfer_stream(sites.host_a, host(2, NETWORKS[child]), gateways.logs) as stream:
            wait_for_more(gateways.ours, child)
            yield
            stream.finish()
    finally:
        gateways.ours.terminate(child)


@pytest.mark.parametrize("child", NETWORKS)
def test_a_transfer_goes_on(gateways: Gateways, child: str) -> None:
    """A transfer both ways, while the path's MTU shrinks from 1500 to 1200 octets."""
    with transfer_over(gateways, child):
        narrow(gateways.sites, NARROW)
        wait_for_more(gateways.ours, child)


# covers R4301-8.2.1-2
# covers R4303-3.3.4-1
def test_hosts_are_told_what_fits(gateways: Gateways) -> None:
    """What a router says about ESP reaches the hosts behind both gateways, in terms of their own packets."""
    sites = gateways.sites
    with transfer_over(gateways, "raw"):
        narrow(sites, NARROW)
        for source, target in ((sites.host_a, host(2)), (sites.host_b, host(1))):

            def is_told(source: Namespace = source, target: str = target) -> bool:
                # there is room for IP and ESP around it, and for not much more
                return NARROW - 80 < mtu_of_route(source, target) < NARROW - 40

            until(is_told, 60.0, "a host to be told")
