"""Two hosts on links of their own, and in each link a bump that neither the host nor the router sees.

```
 host a ------- bump a ~~~~~~~~~~~~~~~~~~ router ~~~~~~~~~~~~~~~~~ bump b ------- host b
 10.1.0.10      10.1.0.2        10.1.0.1         10.2.0.1        10.2.0.2       10.2.0.10
 2001:db8:1::10 2001:db8:1::2   2001:db8:1::1    2001:db8:2::1   2001:db8:2::2  2001:db8:2::10
 lan     inside outside         left                right         outside inside      lan
```

The addresses of a bump are on its `outside`, for its own IKE and ESP. Only while a program in it carries
frames from one side to the other can its host speak to anybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab.namespace import Namespace, cable, namespaces

ROUTER, BUMP, HOST = 1, 2, 10


def on_link(site: int, station: int) -> str:
    """IPv4 address of a station on the link of a site (1 is a, 2 is b)."""
    return f"10.{site}.0.{station}"


def on_link6(site: int, station: int) -> str:
    """IPv6 address of a station on the link of a site."""
    return f"2001:db8:{site}::{station}"


@dataclass(frozen=True, slots=True)
class Bumps:
    """The namespaces."""

    host_a: Namespace
    """Its device is `lan`."""
    bump_a: Namespace
    """Its devices are `inside` and `outside`."""
    router: Namespace
    """Its devices are `left` and `right`."""
    bump_b: Namespace
    """As bump a."""
    host_b: Namespace
    """As host a."""


def _link(host: Namespace, bump: Namespace, router: Namespace, device: str, site: int) -> None:
    cable(host, "lan", bump, "inside")
    cable(bump, "outside", router, device)
    bump.sysctl("net.ipv6.conf.inside.disable_ipv6", "1")
    for namespace, name, station in (
        (host, "lan", HOST),
        (bump, "outside", BUMP),
        (router, device, ROUTER),
    ):
        namespace.address(name, f"{on_link(site, station)}/24", f"{on_link6(site, station)}/64")
    for namespace in (host, bump):
        namespace.route("default", on_link(site, ROUTER))
        namespace.route("::/0", on_link6(site, ROUTER))


@contextmanager
def two_bumps() -> Iterator[Bumps]:
    """Host, bump, router, bump, host in a row."""
    names = ("host-a", "bump-a", "router", "bump-b", "host-b")
    with namespaces(*names) as (host_a, bump_a, router, bump_b, host_b):
        router.forward()
        _link(host_a, bump_a, router, "left", 1)
        _link(host_b, bump_b, router, "right", 2)
        yield Bumps(host_a, bump_a, router, bump_b, host_b)
