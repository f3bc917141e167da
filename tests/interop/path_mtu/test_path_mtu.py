"""A path whose MTU shrinks under a transfer: the router says so, and it goes on (RFC 4301, section 8)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from scapy.layers.inet import IP

from interop.conftest import Bench, Gateways
from lab.daemon import IkeDaemon
from lab.namespace import Namespace
from lab.perilune import Perilune
from lab.process import PATIENCE_S, until
from lab.topology import (
    BEHIND_NAT_A,
    NAT_INSIDE,
    ROUTER6_INSIDE,
    host,
    narrow,
    outer,
    router_of,
    two_sites_with_router,
)
from lab.traffic import icmp_error, transfer_stream

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
WIDE, NARROW, FIRST_HOP, LEAST = 1500, 1200, 1300, 600
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


def forget_paths(gateways: Gateways) -> None:
    """Let nobody know anything of a path any more."""
    sites = gateways.sites
    for namespace in (sites.host_a, sites.gateway_a, sites.gateway_b, sites.host_b):
        for family in ("-4", "-6"):
            namespace.ip(family, "route", "flush", "cache")


def fragments_made(namespace: Namespace) -> int:
    """Return how many fragments the kernel has made of packets, of both versions."""
    ip = namespace.run("grep", "^Ip:", "/proc/net/snmp").stdout.splitlines()
    names, values = (line.split() for line in ip)
    ip6 = namespace.run("grep", "^Ip6FragCreates", "/proc/net/snmp6").stdout.split()
    return int(values[names.index("FragCreates")]) + int(ip6[1])


def drops(gateway: Perilune) -> dict[str, int]:
    """Return how many packets were lost for which reason."""
    status = json.loads(gateway.command("status", "--json").stdout)
    return {drop["name"]: drop["packets"] for drop in status["drops"]}


def told_by_ping(source: Namespace, target: str, octets: int) -> int | None:
    """Send one packet of so many octets that nobody may cut; return what it was told fits."""
    answer = source.run(
        "ping", "-n", "-M", "do", "-c", "1", "-W", "30", "-s", str(octets - 28), target, check=False
    )
    found = re.search(r"mtu ?= ?(\d+)", answer.stdout + answer.stderr)
    assert found or answer.returncode == 0, answer.stdout
    return int(found[1]) if found else None


@contextmanager
def transfer_over(gateways: Gateways, child: str) -> Iterator[None]:
    """Set a child up, and keep a transfer going over it; nobody knows anything of the path before."""
    sites = gateways.sites
    narrow(sites, WIDE)
    forget_paths(gateways)
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
    ends = (gateways.sites.gateway_a, gateways.sites.gateway_b)
    with transfer_over(gateways, child):
        before = [fragments_made(end) for end in ends]
        narrow(gateways.sites, NARROW)
        wait_for_more(gateways.ours, child)
        # TCP forbids fragments, and so do the packets around it
        assert [fragments_made(end) for end in ends] == before


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


@contextmanager
def narrow_interface(gateway: Namespace) -> Iterator[None]:
    """Have an interface of our own with a small MTU."""
    gateway.ip("link", "set", "wire", "mtu", str(FIRST_HOP))
    try:
        yield
    finally:
        gateway.ip("link", "set", "wire", "mtu", str(WIDE))


@contextmanager
def narrow_route(gateway: Namespace) -> Iterator[None]:
    """Have routes with a small MTU."""
    routes = (("default", NAT_INSIDE), ("2001:db8::/64", ROUTER6_INSIDE))
    for prefix, via in routes:
        gateway.ip("route", "replace", prefix, "via", via, "mtu", str(FIRST_HOP))
    try:
        yield
    finally:
        for prefix, via in routes:
            gateway.ip("route", "replace", prefix, "via", via)


# covers R4301-8.2.1-5
@pytest.mark.parametrize(
    ("child", "made_narrow"),
    [*((child, narrow_route) for child in NETWORKS), ("encapsulated", narrow_interface)],
)
def test_first_hop_is_known_without_a_loss(
    gateways: Gateways, child: str, made_narrow: Callable[[Namespace], AbstractContextManager[None]]
) -> None:
    """What our own route or interface takes is told to the host about its very first packet."""
    sites, ours, target = gateways.sites, gateways.ours, host(2, NETWORKS[child])
    assert isinstance(ours, Perilune)
    narrow(sites, WIDE)
    forget_paths(gateways)
    with made_narrow(sites.gateway_a):
        ours.initiate(child)
        try:
            before = drops(ours)
            fits = told_by_ping(sites.host_a, target, 1400)
            assert fits is not None
            assert FIRST_HOP - 100 < fits < FIRST_HOP - 40
            assert told_by_ping(sites.host_a, target, fits) is None
            after = drops(ours)
        finally:
            ours.terminate(child)
    name = "path_mtu_exceeded"
    assert after[name] - before.get(name, 0) == 1
    assert "io_send_too_big" not in after


# covers R4301-6.1.1-1
# covers R4301-6.1.1-3
def test_forged_errors_do_what_the_administrator_lets_them(gateways: Gateways) -> None:
    """A forger who knows the SPI: too-big has a floor, another error is noted, others are dropped."""
    sites, ours = gateways.sites, gateways.ours
    assert isinstance(ours, Perilune)
    narrow(sites, WIDE)
    forget_paths(gateways)
    ours.initiate("raw")
    try:
        spi = int(ours.child_sas("raw")[0].fields["spi-out"], 16)
        before = drops(ours)
        for code, number, spi_said, reason in (
            (4, 68, spi, "icmp_mtu_too_small"),
            (1, 0, spi, "icmp_without_effect"),
            (3, 0, spi, "icmp_rejected"),
            (4, 68, spi ^ 1, "icmp_unmatched"),
        ):
            icmp_error(router_of(sites), BEHIND_NAT_A, (3, code), number, esp_header(spi_said))
            was = before.get(reason, 0)
            until(lambda reason=reason, was=was: drops(ours).get(reason, 0) == was + 1, PATIENCE_S, reason)
        fits = told_by_ping(sites.host_a, host(2), 1400)
        assert fits is not None
        assert LEAST - 80 < fits < LEAST - 40
        assert told_by_ping(sites.host_a, host(2), fits) is None
    finally:
        ours.terminate("raw")


def esp_header(spi: int) -> bytes:
    """Return the beginning of an ESP packet from gateway a to gateway b."""
    packet = bytes(IP(src=BEHIND_NAT_A, dst=outer(2), proto=50, flags="DF", len=1400))
    return packet + spi.to_bytes(4) + (1).to_bytes(4)
