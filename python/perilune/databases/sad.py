"""The Security Association Database (RFC 4301, section 4.4.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from perilune.databases.processing import Lookup, Processing, SecurityProtocol
from perilune.databases.spd import PolicyId
from perilune.model.address import Path
from perilune.model.errors import LocalError
from perilune.model.proposal import EspSuite
from perilune.model.secret import Secret
from perilune.model.selector import TrafficSelector
from perilune.model.spi import Spi
from perilune.model.time import Duration


class Direction(Enum):
    """Which way an SA's packets go, seen from this host."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Encapsulation(Enum):
    """How ESP travels."""

    NONE = "none"
    """As IP protocol 50 (RFC 4303, section 2)."""

    UDP = "udp"
    """In UDP, on the ports of the path (RFC 3948)."""


@dataclass(frozen=True, slots=True)
class EspKeys:
    """Keys of one direction."""

    encryption: Secret
    """Key of the encryption algorithm, with the salt behind it where the algorithm has one."""

    integrity: Secret = field(default=Secret(b""))
    """Key of the integrity algorithm; empty with an AEAD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """An end of life; None where there is none (RFC 4301, section 4.4.2.1)."""

    octets: int | None = None
    """Octets of inner packets."""

    packets: int | None = None
    time: Duration | None = None
    """Since the SA was installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """When an SA wants a successor, and when it ends."""

    soft: Limits = field(default_factory=Limits)
    hard: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class SaName:
    """What an SA of a known direction is called; the path matters only for an outbound one."""

    spi: Spi
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceState:
    """Where sequence numbers stand at first: a key may outlive its SA (RFC 4303, section 3.3.3)."""

    used: int = 0
    """The last number used before or, inbound, verified; everything up to it counts as seen."""

    reserved: int | None = None
    """Outbound only: the last number that may be used until `ReserveSequence` says more; None is no bound."""

    cycles: bool = False
    """Outbound only: begin again at the end. The data plane refuses it with long numbers, a replay window and
    counter modes."""


SMALLEST_WINDOW_PACKETS = 32
LARGEST_WINDOW_PACKETS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SadEntry:
    """One SA: one direction, AH or ESP.

    Raises:
        LocalError: The replay window is neither 0 nor 32 to 4096, or a key's length is not the suite's.
    """

    spi: Spi
    """The receiver's choice: ours for an inbound SA, the peer's for an outbound one."""

    direction: Direction
    policy: PolicyId
    """The SPD entry that this SA serves."""

    path: Path
    encapsulation: Encapsulation
    protocol: SecurityProtocol = SecurityProtocol.ESP
    processing: Processing = field(default_factory=Processing)
    """Mode, and what the headers outside are made of."""

    lookup: Lookup = Lookup.SPI
    """Inbound only: by what it is found."""

    within: SaName | None = None
    """The SA of the same direction in which its packets travel in turn (an SA bundle): an outbound packet
    goes through that one next, an inbound one must have come out of it."""

    suite: EspSuite
    keys: EspKeys = field(repr=False)
    allow_insecure: bool = False
    """Whether the suite may be one for old peers only; the data plane refuses such a suite otherwise."""

    local: tuple[TrafficSelector, ...]
    """Negotiated selectors of our side."""

    remote: tuple[TrafficSelector, ...]
    """Negotiated selectors of the other side."""

    stateful_fragments: bool = False
    """Whether fragments behind the first travel on it although its selectors want ports, which both ends have
    agreed upon (NON_FIRST_FRAGMENTS_ALSO; RFC 4301, section 7.3)."""

    replay_window_packets: int = 128
    """0 switches the check off (RFC 4303, section 3.4.3)."""

    sequence: SequenceState = field(default_factory=SequenceState)
    lifetime: Lifetime = field(default_factory=Lifetime)
    peer_spi: Spi
    """The SPI of the SA for the other direction that was negotiated with this one."""

    ready_after: Spi | None = None
    """Outbound only: leave this SA unused, while the policy has another, until a packet has been received
    and verified on this inbound SPI. So the responder of a rekey never sends before the initiator can
    receive (RFC 7296, section 2.8)."""

    def __post_init__(self) -> None:
        window = self.replay_window_packets
        if window and not SMALLEST_WINDOW_PACKETS <= window <= LARGEST_WINDOW_PACKETS:
            raise LocalError(
                f"a replay window of {window} packets is not 0 or"
                f" {SMALLEST_WINDOW_PACKETS} to {LARGEST_WINDOW_PACKETS}"
            )
        octets = len(self.keys.encryption) + len(self.keys.integrity)
        if octets != self.suite.keying_octets:
            raise LocalError(f"{self.suite} takes {self.suite.keying_octets} octets of keys, not {octets}")
