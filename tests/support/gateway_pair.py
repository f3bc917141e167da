"""Two `Runtime`s between two sites, with the addresses that the sites have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from lab.namespace import Namespace
from lab.topology import Sites
from perilune.databases.sad import Encapsulation
from perilune.dataplane.runtime import RuntimeSettings
from perilune.model.address import Path
from support.esp_tunnel import Tunnel, path
from support.gateway import Gateway, gateway

MTU = 1400
SETTINGS = RuntimeSettings(tun_name="tun0")
OUTER_A, OUTER_B = "192.0.2.1", "192.0.2.2"
V4 = Tunnel(left="10.1.0.0/24", right="10.2.0.0/24", path=path(OUTER_A, OUTER_B))

Gateways = tuple[Gateway, Gateway]


def in_udp(tunnel: Tunnel) -> Tunnel:
    """The same tunnel, in UDP."""
    way = tunnel.path
    way = Path(replace(way.local, port=4500), replace(way.remote, port=4500))
    return replace(tunnel, path=way, encapsulation=Encapsulation.UDP)


@contextmanager
def gateway_pair(sites: Sites, settings: RuntimeSettings = SETTINGS) -> Iterator[Gateways]:
    """Start both, with routes into their tunnel, but without SAs."""
    with gateway(sites.gateway_a, settings) as left, gateway(sites.gateway_b, settings) as right:
        route_into_tunnel(sites.gateway_a, left, other_site=2)
        route_into_tunnel(sites.gateway_b, right, other_site=1)
        yield left, right


def route_into_tunnel(namespace: Namespace, runtime: Gateway, other_site: int) -> None:
    """Set its device up, and send what is for the other site to it."""
    namespace.ip("link", "set", runtime.device_name, "up", "mtu", str(MTU))
    for prefix in (f"10.{other_site}.0.0/24", f"2001:db8:{other_site}::/64"):
        namespace.ip("route", "add", prefix, "dev", runtime.device_name)


def install(gateways: Gateways, tunnel: Tunnel) -> None:
    """Give both the policy and the SAs of a tunnel."""
    left, right = gateways
    left.apply(tunnel.changes())
    right.apply(tunnel.changes(at_left=False))


def lost_packets(runtime: Gateway) -> dict[str, int]:
    """Return the drops, but for what the gateway's own kernel multicasts on a new device."""
    drops = {drop.name: drop.packets for drop in runtime.stats().drops if drop.packets}
    drops.pop("no_policy", None)
    return drops
