"""Two sites and what is between them.

```
 host a ------ gateway a ~~~~~~~~~~~~~~~~~~~~~~~~ gateway b ------ host b
 10.1.N.10     10.1.N.1   192.0.2.1   192.0.2.2   10.2.N.1         10.2.N.10
 2001:db8:1:N::10         2001:db8::1 2001:db8::2                  2001:db8:2:N::10

 with a NAT:   gateway a ~~~~~~~~~~~~ router ~~~~~~~~~~~~~ gateway b
               10.99.0.2    10.99.0.1 (lan)   192.0.2.254 (wan)   192.0.2.2
          2001:db8:99::2    2001:db8:99::1    2001:db8::fe        2001:db8::2
```

N counts the networks of each site from 0; for each, the gateways also have outer addresses of their own, ten
further on (192.0.2.11 and 192.0.2.12 for the second), so that connections can be told apart.

Without a tunnel there is no way between the hosts, so what arrives has come through one. `leaky` sites are as
in life: what a gateway has no better route for goes out to the other gateway in the clear, and is seen there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab.errors import LabError
from lab.namespace import Namespace, cable, namespaces

OUTER6_A = "2001:db8::1"
OUTER6_B = "2001:db8::2"
BEHIND_NAT_A = "10.99.0.2"
NAT_INSIDE = "10.99.0.1"
NAT_OUTSIDE = "192.0.2.254"
BEHIND_ROUTER6_A = "2001:db8:99::2"
ROUTER6_INSIDE = "2001:db8:99::1"
ROUTER6_OUTSIDE = "2001:db8::fe"
LEAST_MTU_IPV6 = 1280
"""What every link takes (RFC 8200, section 5)."""


def outer(site: int, network: int = 0) -> str:
    """Outer IPv4 address of the gateway of a site (1 is a, 2 is b) for its network `network`."""
    return f"192.0.2.{10 * network + site}"


def host(site: int, network: int = 0) -> str:
    """IPv4 address of the host of a site (1 is a, 2 is b) in its network `network`."""
    return f"10.{site}.{network}.10"


def host6(site: int, network: int = 0) -> str:
    """IPv6 address of the host of a site (1 is a, 2 is b) in its network `network`."""
    return f"2001:db8:{site}:{network:x}::10"


@dataclass(frozen=True, slots=True)
class Sites:
    """The namespaces of two sites."""

    host_a: Namespace
    """Host of site a."""
    gateway_a: Namespace
    """Gateway of site a; its devices are `lan` and `wire`."""
    gateway_b: Namespace
    """Gateway of site b; its devices are `lan` and `wire`."""
    host_b: Namespace
    """Host of site b."""
    router: Namespace | None = None
    """The NAT in front of gateway a; its devices are `lan` and `wan`."""


def _site(host_side: Namespace, gateway: Namespace, site: int, networks: int) -> None:
    other = 3 - site
    cable(host_side, "lan", gateway, "lan")
    for network in range(networks):
        inner, inner6 = f"10.{site}.{network}", f"2001:db8:{site}:{network:x}:"
        host_side.address("lan", f"{inner}.10/24", f"{inner6}:10/64")
        gateway.address("lan", f"{inner}.1/24", f"{inner6}:1/64")
        for target, via, source in (
            (f"10.{other}.{network}.0/24", f"{inner}.1", f"{inner}.10"),
            (f"2001:db8:{other}:{network:x}::/64", f"{inner6}:1", f"{inner6}:10"),
        ):
            host_side.ip("route", "add", target, "via", via, "src", source)
    gateway.forward()


def masquerade(router: Namespace, ports: str = "") -> None:
    """Let a router hide what comes from inside behind its outer address.

    Args:
        router: With a device `wan` to the outside.
        ports: Range of ports to use for UDP, such as `:20000-20099`; none leaves them alone where it can.
    """
    to = f"to {ports}" if ports else ""
    router.nft(
        f"""
        table ip nat
        delete table ip nat
        table ip nat {{
            chain postrouting {{
                type nat hook postrouting priority 100;
                oifname wan meta l4proto udp masquerade {to}
                oifname wan masquerade
            }}
        }}
        """
    )


def forget_mappings(router: Namespace, ports: str) -> None:
    """Let the NAT lose its state, and use other ports from now on, as a router that was restarted."""
    # the kernel drops what was masqueraded behind an address when the address goes
    router.ip("address", "del", f"{NAT_OUTSIDE}/24", "dev", "wan")
    masquerade(router, ports)
    router.address("wan", f"{NAT_OUTSIDE}/24")


@contextmanager
def two_sites(networks: int = 1, *, leaky: bool = False) -> Iterator[Sites]:
    """Host, gateway, gateway, host in a row.

    Args:
        networks: How many networks each site has, 1 to 24.
        leaky: Whether the gateways have a default route over the wire.
    """
    with namespaces("host-a", "gateway-a", "gateway-b", "host-b") as (host_a, gateway_a, gateway_b, host_b):
        cable(gateway_a, "wire", gateway_b, "wire")
        for network in range(networks):
            gateway_a.address("wire", f"{outer(1, network)}/24")
            gateway_b.address("wire", f"{outer(2, network)}/24")
        gateway_a.address("wire", f"{OUTER6_A}/64")
        gateway_b.address("wire", f"{OUTER6_B}/64")
        for gateway, site, other6 in ((gateway_a, 2, OUTER6_B), (gateway_b, 1, OUTER6_A)) if leaky else ():
            gateway.route("default", outer(site))
            gateway.route("::/0", other6)
        _site(host_a, gateway_a, 1, networks)
        _site(host_b, gateway_b, 2, networks)
        yield Sites(host_a, gateway_a, gateway_b, host_b)


@contextmanager
def two_sites_with_router(networks: int = 1) -> Iterator[Sites]:
    """The same with a router in front of gateway a."""
    names = ("host-a", "gateway-a", "router", "gateway-b", "host-b")
    with namespaces(*names) as (host_a, gateway_a, router, gateway_b, host_b):
        cable(gateway_a, "wire", router, "lan")
        cable(router, "wan", gateway_b, "wire")
        gateway_a.address("wire", f"{BEHIND_NAT_A}/24", f"{BEHIND_ROUTER6_A}/64")
        router.address("lan", f"{NAT_INSIDE}/24", f"{ROUTER6_INSIDE}/64")
        router.address("wan", f"{NAT_OUTSIDE}/24", f"{ROUTER6_OUTSIDE}/64")
        gateway_b.address("wire", f"{outer(2)}/24", f"{OUTER6_B}/64")
        gateway_a.route("default", NAT_INSIDE)
        gateway_b.route("default", NAT_OUTSIDE)
        gateway_a.route("2001:db8::/64", ROUTER6_INSIDE)
        gateway_b.route("2001:db8:99::/64", ROUTER6_OUTSIDE)
        router.forward()
        _site(host_a, gateway_a, 1, networks)
        _site(host_b, gateway_b, 2, networks)
        yield Sites(host_a, gateway_a, gateway_b, host_b, router)


@contextmanager
def two_sites_with_nat() -> Iterator[Sites]:
    """The same with a router in front of gateway a that hides it."""
    with two_sites_with_router() as sites:
        masquerade(router_of(sites))
        yield sites


def router_of(sites: Sites) -> Namespace:
    """Give the router.

    Raises:
        LabError: These sites have none.
    """
    if sites.router is None:
        raise LabError("there is no router between these sites")
    return sites.router


def narrow(sites: Sites, mtu: int) -> None:
    """Let the router forward no packet larger than `mtu` octets, either way, but say so to the sender.

    IPv6 has at least the 1280 octets that all its links have.
    """
    router = router_of(sites)
    for prefix, device in (("10.99.0.0/24", "lan"), ("192.0.2.0/24", "wan")):
        router.ip("route", "change", prefix, "dev", device, "mtu", str(mtu))
    for prefix, device in (("2001:db8:99::/64", "lan"), ("2001:db8::/64", "wan")):
        as_it_is = ("proto", "kernel", "metric", "256")
        router.ip(
            "-6", "route", "change", prefix, "dev", device, *as_it_is, "mtu", str(max(mtu, LEAST_MTU_IPV6))
        )
