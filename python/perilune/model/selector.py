"""Traffic selectors (RFC 7296, sections 2.9 and 3.13.1)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
    summarize_address_range,
)
from typing import Final

from perilune.model.address import IpAddress
from perilune.model.errors import LocalError

ANY_PROTOCOL: Final = 0
LAST_PORT: Final = 65535
IpNetwork = IPv4Network | IPv6Network
"""A prefix of either family."""


@dataclass(frozen=True, slots=True)
class TrafficSelector:
    """A range of addresses of one family, with a protocol and a range of ports.

    Raises:
        LocalError: The families differ or the addresses are out of order.
    """

    first_address: IpAddress
    last_address: IpAddress
    protocol: int = ANY_PROTOCOL
    """Number of the next layer protocol; 0 is any."""

    first_port: int = 0
    """For ICMP, type and code: type in the high octet (RFC 7296, section 3.13.1). OPAQUE is 65535 to 0."""

    last_port: int = LAST_PORT

    def __post_init__(self) -> None:
        if self.first_address.version != self.last_address.version:
            raise LocalError(f"{self.first_address} and {self.last_address} are of different families")
        if int(self.first_address) > int(self.last_address):
            raise LocalError(f"{self.first_address} lies behind {self.last_address}")

    @classmethod
    def of_network(
        cls, network: IpNetwork, protocol: int = ANY_PROTOCOL, first_port: int = 0, last_port: int = LAST_PORT
    ) -> TrafficSelector:
        """Return the selector for all of a prefix."""
        return cls(network[0], network[-1], protocol, first_port, last_port)

    @classmethod
    def of_address(cls, address: IpAddress) -> TrafficSelector:
        """Return the selector for everything from or to one address."""
        return cls(address, address)

    @property
    def version(self) -> int:
        """4 or 6."""
        return self.first_address.version

    @property
    def is_opaque(self) -> bool:
        """Whether the ports are OPAQUE: not to be seen in the packet (RFC 7296, section 3.13.1)."""
        return self.first_port == LAST_PORT and self.last_port == 0

    @property
    def networks(self) -> tuple[IpNetwork, ...]:
        """The address range as the fewest prefixes, for routes."""
        first, last = self.first_address, self.last_address
        if isinstance(first, IPv4Address) and isinstance(last, IPv4Address):
            return tuple(summarize_address_range(first, last))
        if isinstance(first, IPv6Address) and isinstance(last, IPv6Address):
            return tuple(summarize_address_range(first, last))
        raise LocalError("a selector is of one family")

    def contains_address(self, address: IpAddress) -> bool:
        """Whether an address lies in the range."""
        return address.version == self.version and int(self.first_address) <= int(address) <= int(
            self.last_address
        )

    def contains(self, other: TrafficSelector) -> bool:
        """Whether every packet that `other` selects is selected by this one too."""
        common = self.intersection(other)
        return common is other or common == other

    def intersection(self, other: TrafficSelector) -> TrafficSelector | None:
        """Return what both select, or None for nothing; one of the two itself where it lies in the other."""
        if self.version != other.version:
            return None
        protocol = _narrower(self.protocol, other.protocol)
        ports = _common_ports(self, other)
        first = max(other.first_address, self.first_address, key=int)
        last = min(other.last_address, self.last_address, key=int)
        if protocol is None or ports is None or int(first) > int(last):
            return None
        for one in (other, self):
            if one.first_address is first and one.last_address is last and one._layer == (protocol, *ports):
                return one
        return TrafficSelector(first, last, protocol, *ports)

    @property
    def _layer(self) -> tuple[int, int, int]:
        return self.protocol, self.first_port, self.last_port

    def __str__(self) -> str:
        networks = self.networks
        text = str(networks[0]) if len(networks) == 1 else f"{self.first_address}-{self.last_address}"
        return text + layer_text(self.protocol, self.first_port, self.last_port)


_PROTOCOL_NAMES = {1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 132: "sctp"}


def layer_text(protocol: int, first_port: int, last_port: int) -> str:
    """Return protocol and ports as swanctl.conf writes them, `[tcp/80]`, or nothing where all are any."""
    if protocol == ANY_PROTOCOL and (first_port, last_port) == (0, LAST_PORT):
        return ""
    name = _PROTOCOL_NAMES.get(protocol, str(protocol)) if protocol else "any"
    return f"[{name}/{_port_text(first_port, last_port)}]"


def _port_text(first: int, last: int) -> str:
    if (first, last) == (LAST_PORT, 0):
        return "opaque"
    if (first, last) == (0, LAST_PORT):
        return "any"
    return str(first) if first == last else f"{first}-{last}"


def _narrower(one: int, other: int) -> int | None:
    if ANY_PROTOCOL in (one, other):
        return one or other
    return one if one == other else None


def _common_ports(one: TrafficSelector, other: TrafficSelector) -> tuple[int, int] | None:
    if one.is_opaque or other.is_opaque:
        either_is_any = (0, LAST_PORT) in (
            (one.first_port, one.last_port),
            (other.first_port, other.last_port),
        )
        return (LAST_PORT, 0) if either_is_any or one.is_opaque == other.is_opaque else None
    first, last = max(one.first_port, other.first_port), min(one.last_port, other.last_port)
    return (first, last) if first <= last else None


def everything(version: int) -> TrafficSelector:
    """Return the selector for all traffic of a family, 4 or 6."""
    return TrafficSelector.of_network(ip_network("0.0.0.0/0" if version == 4 else "::/0"))
