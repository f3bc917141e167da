"""What a data plane tells on its own account."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from perilune.databases.sad import Direction
from perilune.databases.spd import PolicyId
from perilune.model.address import Endpoint, IpAddress, Path
from perilune.model.spi import Spi
from perilune.model.time import Instant


class Limit(Enum):
    """Which limit of a lifetime was reached (RFC 4301, section 4.4.2.1)."""

    OCTETS = "octets"
    PACKETS = "packets"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Flow:
    """Addresses, protocol and ports of the packet that asked for an SA."""

    source: IpAddress
    destination: IpAddress
    protocol: int
    ports: tuple[int, int] | None
    """Of source and destination; for ICMP, both are the type in the high octet and the code in the low one,
    as in a traffic selector. None where the packet shows none (OPAQUE; RFC 4301, section 4.4.1.1)."""


@dataclass(frozen=True, slots=True)
class Acquire:
    """A packet matched a policy that has no SA; it is held (RFC 4301, section 5.1)."""

    policy: PolicyId
    flow: Flow


@dataclass(frozen=True, slots=True)
class SoftExpire:
    """An SA wants a successor; told once."""

    direction: Direction
    spi: Spi
    peer_spi: Spi
    """Of the SA for the other direction."""

    policy: PolicyId
    limit: Limit


@dataclass(frozen=True, slots=True)
class HardExpire:
    """An SA reached its end and carries nothing any more."""

    direction: Direction
    spi: Spi
    peer_spi: Spi
    """Of the SA for the other direction."""

    policy: PolicyId
    limit: Limit


@dataclass(frozen=True, slots=True)
class SequenceExhausted:
    """An outbound SA used its last sequence number and stopped (RFC 4303, section 3.3.3)."""

    spi: Spi
    peer_spi: Spi
    policy: PolicyId


@dataclass(frozen=True, slots=True)
class PeerMoved:
    """The newest valid packet of an inbound SA came from another address or port (RFC 7296, section 2.23).

    The SA still uses the old path; a `MoveSa` would change that.
    """

    spi: Spi
    """Of the inbound SA."""

    old: Endpoint
    """Where the peer was."""

    new: Path
    """Where it is, and where on our side it sends to."""


@dataclass(frozen=True, slots=True)
class UnknownSpi:
    """A packet came for an SA that we don't have; at most a few of these are told (RFC 4301, section 7)."""

    spi: Spi
    remote: Endpoint
    """Who sent it; the port is 0 where it came without UDP."""

    encapsulated: bool


@dataclass(frozen=True, slots=True)
class SequenceLow:
    """An outbound SA used half of the sequence numbers that are reserved for it."""

    spi: Spi
    peer_spi: Spi
    policy: PolicyId


@dataclass(frozen=True, slots=True)
class Audit:
    """A packet was dropped for a reason that RFC 4301 or RFC 4303 wants in the audit log.

    At most a few are told for each reason; the counters in the statistics have all of them.
    """

    reason: str
    """Name of the counter."""

    time: Instant
    spi: Spi | None
    """None where no SA is concerned."""

    source: IpAddress
    """Of the outer header for what came in, of the inner one for what was to go out."""

    destination: IpAddress
    sequence: int | None
    """As far as it is known."""

    flow_label: int | None
    """Of IPv6; None for IPv4 and where it is zero."""


@dataclass(frozen=True, slots=True)
class IkeDatagram:
    """A datagram for IKE arrived."""

    path: Path
    data: bytes
    encapsulated: bool
    """It came on the NAT traversal port; its non-ESP marker was removed (RFC 3948, section 2.2)."""


@dataclass(frozen=True, slots=True)
class DeviceLost:
    """The TUN device is gone; nothing is carried any more."""

    name: str
    reason: str


Event = (
    Acquire
    | Audit
    | DeviceLost
    | HardExpire
    | IkeDatagram
    | PeerMoved
    | SequenceExhausted
    | SequenceLow
    | SoftExpire
    | UnknownSpi
)
"""Anything that a data plane tells."""
