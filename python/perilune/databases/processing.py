"""The form of an SA's packets: security protocol, mode, headers outside (RFC 4301, section 4.4.2.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum

from perilune.model.address import IpAddress
from perilune.model.errors import LocalError
from perilune.model.time import Duration


class SecurityProtocol(IntEnum):
    """The security protocol of an SA, by its number in an IP header."""

    AH = 51
    """IP Authentication Header (RFC 4302)."""

    ESP = 50
    """IP Encapsulating Security Payload (RFC 4303)."""


class Mode(Enum):
    """What an SA protects: the payload of an IP packet, or the whole of it."""

    ANY = "any"
    """Transport for traffic between the ends of the SA themselves, tunnel for all other."""

    BEET = "beet"
    """Bound end-to-end tunnel: the inner addresses are those of `Processing.inner` and are not sent."""

    TRANSPORT = "transport"
    TUNNEL = "tunnel"


class DontFragment(Enum):
    """The DF bit of an IPv4 header that a tunnel makes (RFC 4301, section 8.1)."""

    CLEAR = "clear"
    COPY = "copy"
    """As inside; set around IPv6."""

    SET = "set"


class Fragmentation(Enum):
    """When a packet that is too large, and may be, is fragmented (RFC 4301, section 8.2.1)."""

    AFTER = "after"
    """The protected packet is cut; the peer joins it before it opens it."""

    BEFORE = "before"
    """The packet is cut first and each fragment protected; tunnel mode only."""


class DestinationOptions(Enum):
    """Where IPv6 destination options right before the next layer go in transport mode (RFC 4303, 3.1.1)."""

    INSIDE = "inside"
    OUTSIDE = "outside"


class TfcToPathMtu(Enum):
    """A size of traffic flow confidentiality padding that is no number."""

    PATH_MTU = "mtu"
    """As much as the path takes; 1280 octets while that is not known."""


class Lookup(Enum):
    """By what an inbound SA is found (RFC 4301, section 4.1)."""

    SPI = "spi"
    """The SPI alone: unicast."""

    SPI_DESTINATION = "spi-destination"
    """SPI and destination: a multicast group, any sender; each has a replay window of its own."""

    SPI_DESTINATION_SOURCE = "spi-destination-source"
    """SPI, destination and source: one sender to a multicast group."""


@dataclass(frozen=True, slots=True)
class InnerAddresses:
    """The inner addresses of BEET mode."""

    local: IpAddress
    remote: IpAddress


LARGEST_DSCP = 63
LARGEST_FLOW_LABEL = 0xF_FFFF
LARGEST_PACKET = 65535
MOST_DUMMIES = 10_000
SMALLEST_PATH_MTU = 68


@dataclass(frozen=True, slots=True)
class DscpMap:
    """What the DSCPs of inner headers are outside (RFC 4301, section 4.4.2.1, "bypass DSCP").

    Raises:
        LocalError: There are not 64, or one is none.
    """

    outer: tuple[int, ...]
    """The outer DSCP of each inner one."""

    def __post_init__(self) -> None:
        if len(self.outer) != LARGEST_DSCP + 1:
            raise LocalError(f"a map of DSCPs has {LARGEST_DSCP + 1}, not {len(self.outer)}")
        for dscp in self.outer:
            _check("dscp", dscp, 0, LARGEST_DSCP)

    @classmethod
    def all_to(cls, dscp: int) -> DscpMap:
        """Return the map that makes all of them one."""
        return cls((dscp,) * (LARGEST_DSCP + 1))

    def __str__(self) -> str:
        if len(set(self.outer)) == 1:
            return str(self.outer[0])
        return ",".join(f"{inner}:{outer}" for inner, outer in enumerate(self.outer) if outer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """The form of an SA's packets.

    Raises:
        LocalError: BEET without inner addresses, or a number that its field does not hold.
    """

    mode: Mode = Mode.TUNNEL
    inner: InnerAddresses | None = None
    """BEET mode only, and always there."""

    df: DontFragment = DontFragment.COPY
    dscp: DscpMap | None = None
    """DSCP of the outer header; None copies the inner one (RFC 4301, section 5.1.2)."""

    hop_limit: int = 64
    """TTL or hop limit of the outer header, 1 to 255."""

    flow_label: int = 0
    """Flow label of the outer header where it is IPv6's, 0 to 0xfffff."""

    fragmentation: Fragmentation = Fragmentation.AFTER
    tfc: int | TfcToPathMtu | None = None
    """Traffic flow confidentiality: pad the payload up to so many octets (RFC 4303, section 2.7)."""

    dummies: int = 0
    """Outbound ESP only: so many packets a second leave at least, dummies in place of those that nobody sends
    (RFC 4303, section 2.6); 0 sends none."""

    compression: int | None = None
    """IP compression with DEFLATE (RFC 3173): the CPI that the receiver chose; None without."""

    destination_options: DestinationOptions = DestinationOptions.INSIDE
    preserve_source: bool = False
    """Tunnel mode: the outer source is the inner one (RFC 5374, section 3.1)."""

    preserve_destination: bool = False
    path_mtu: int | None = None
    """Path MTU in octets to begin with and to come back to; None when not known."""

    path_mtu_age: Duration = field(default_factory=lambda: Duration.seconds(600))
    """How long a path MTU that was learnt is believed (RFC 4301, section 8.2.2)."""

    believe_icmp: bool = True
    """Whether unauthenticated ICMP errors may lower the path MTU (RFC 4301, section 8.2.1)."""

    def __post_init__(self) -> None:
        if (self.mode is Mode.BEET) != (self.inner is not None):
            raise LocalError("inner addresses are for BEET mode, and BEET mode needs them")
        _check("hop_limit", self.hop_limit, 1, 255)
        _check("flow_label", self.flow_label, 0, LARGEST_FLOW_LABEL)
        _check("dummies", self.dummies, 0, MOST_DUMMIES)
        _check("compression", self.compression, 0, 65535)
        _check("path_mtu", self.path_mtu, SMALLEST_PATH_MTU, LARGEST_PACKET)
        if isinstance(self.tfc, int):
            _check("tfc", self.tfc, 1, LARGEST_PACKET)


def _check(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise LocalError(f"{name} is {value}, not {least} to {most}")
