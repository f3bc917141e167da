"""Where datagrams come from and go to."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

IpAddress = IPv4Address | IPv6Address
"""An address of either family."""

IKE_PORT = 500
"""UDP port of IKE (RFC 7296, section 2)."""

NAT_T_PORT = 4500
"""UDP port of IKE and ESP together (RFC 3948; RFC 7296, section 2.23)."""


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An address and a UDP port."""

    address: IpAddress
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Path:
    """The two ends of a datagram's way, seen from this host.

    Behind a NAT the remote end is the NAT's, and the local end is what our own interface has.
    """

    local: Endpoint
    remote: Endpoint

    def __str__(self) -> str:
        return f"{self.local} - {self.remote}"
