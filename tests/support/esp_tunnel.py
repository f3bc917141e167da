"""Manually keyed SAs between a left and a right gateway, and in-memory engines that have them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from perilune.databases.changes import AddPolicy, AddSa, Change
from perilune.databases.processing import InnerAddresses, Mode, Processing, SecurityProtocol
from perilune.databases.sad import (
    Direction,
    Encapsulation,
    EspKeys,
    Lifetime,
    SadEntry,
    SaName,
    SequenceState,
)
from perilune.databases.spd import Action, PolicyId, SpdEntry
from perilune.dataplane.engine import Engine
from perilune.model.address import Endpoint, Path
from perilune.model.iana import EncrId, IntegId, SnId
from perilune.model.proposal import Encryption, EspSuite
from perilune.model.secret import Secret
from perilune.model.selector import TrafficSelector
from perilune.model.spi import Spi
from perilune.model.time import Instant

START = Instant(1_000_000_000)
POLICY = PolicyId(1)
LEFT_SPI = Spi(0x1000_0001)
RIGHT_SPI = Spi(0x2000_0002)
CPIS = (0x4711, 0x4712)
"""Of compressed packets to the right, and of the others."""


def aead(algorithm: EncrId, bits: int, *, esn: bool = False) -> EspSuite:
    return EspSuite(Encryption(algorithm, bits), IntegId.NONE, _sn(esn))


def cbc(bits: int, integrity: IntegId, *, esn: bool = False) -> EspSuite:
    return EspSuite(Encryption(EncrId.ENCR_AES_CBC, bits), integrity, _sn(esn))


def separate(algorithm: EncrId, bits: int, integrity: IntegId, *, esn: bool = False) -> EspSuite:
    """Return a suite of encryption and integrity, or of encryption alone."""
    return EspSuite(Encryption(algorithm, bits), integrity, _sn(esn))


def null(integrity: IntegId, *, esn: bool = False) -> EspSuite:
    """Return a suite without encryption: of AH, or of ESP."""
    return EspSuite(Encryption(EncrId.ENCR_NULL, 0), integrity, _sn(esn))


def _sn(esn: bool) -> SnId:
    return SnId.PARTIALLY_TRANSMITTED_64 if esn else SnId.SEQUENTIAL_32


SUITES = (
    aead(EncrId.ENCR_AES_GCM_16, 128),
    aead(EncrId.ENCR_AES_GCM_16, 256),
    aead(EncrId.ENCR_CHACHA20_POLY1305, 256),
    cbc(128, IntegId.AUTH_HMAC_SHA2_256_128),
    cbc(192, IntegId.AUTH_HMAC_SHA2_384_192),
    cbc(256, IntegId.AUTH_HMAC_SHA2_512_256),
)
AES_GCM = SUITES[0]


def keys_of(suite: EspSuite, seed: int) -> EspKeys:
    """Return keys that are different for each seed."""
    octets = bytes((seed * 67 + n * 7) & 0xFF for n in range(suite.keying_octets))
    split = suite.encryption.keying_octets
    return EspKeys(Secret(octets[:split]), Secret(octets[split:]))


def selectors(network: str) -> tuple[TrafficSelector, ...]:
    return (TrafficSelector.of_network(ip_network(network)),)


def path(local: str, remote: str, port: int = 500) -> Path:
    return Path(Endpoint(ip_address(local), port), Endpoint(ip_address(remote), port))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """A tunnel between a left and a right gateway, and its SAs and policies seen from either."""

    suite: EspSuite = AES_GCM
    path: Path = field(default_factory=lambda: path("192.0.2.1", "192.0.2.2"))
    """Seen from the left gateway."""

    encapsulation: Encapsulation = Encapsulation.NONE
    protocol: SecurityProtocol = SecurityProtocol.ESP
    mode: Mode = Mode.TUNNEL
    left: str = "10.1.0.0/16"
    right: str = "10.2.0.0/16"
    """In BEET mode single addresses."""

    within: Tunnel | None = None
    """Whose SAs the packets of this one's travel in, with other SPIs."""

    spis: tuple[Spi, Spi] = (RIGHT_SPI, LEFT_SPI)
    """Of the SA to the right, and of the other."""

    lifetime: Lifetime = field(default_factory=Lifetime)
    sequence: SequenceState = field(default_factory=SequenceState)
    """Where the numbers of both SAs begin, at either end."""

    compressed: bool = False

    def policy(self, *, at_left: bool = True) -> AddPolicy:
        local, remote = (self.left, self.right) if at_left else (self.right, self.left)
        return AddPolicy(
            SpdEntry(
                id=POLICY,
                name="gw/net",
                priority=1,
                action=Action.PROTECT,
                local=selectors(local),
                remote=selectors(remote),
            )
        )

    def sa(self, direction: Direction, *, at_left: bool = True) -> SadEntry:
        """Return the SA of one direction as one of the gateways has it."""
        to_right = at_left == (direction is Direction.OUTBOUND)
        local, remote = (self.left, self.right) if at_left else (self.right, self.left)
        spi, peer_spi = self.spis if to_right else self.spis[::-1]
        within = self.within.sa(direction, at_left=at_left) if self.within else None
        return SadEntry(
            spi=spi,
            peer_spi=peer_spi,
            within=SaName(within.spi, within.path) if within else None,
            direction=direction,
            policy=POLICY,
            path=self.path if at_left else Path(self.path.remote, self.path.local),
            encapsulation=self.encapsulation,
            protocol=self.protocol,
            processing=Processing(
                mode=self.mode,
                inner=self._inner(local, remote),
                compression=CPIS[0 if to_right else 1] if self.compressed else None,
            ),
            suite=self.suite,
            allow_insecure=self.suite.is_insecure,
            replay_window_packets=128 if self.suite.has_integrity else 0,
            keys=keys_of(self.suite, 1 if to_right else 2),
            local=selectors(local),
            remote=selectors(remote),
            lifetime=self.lifetime,
            sequence=self.sequence,
        )

    def _inner(self, local: str, remote: str) -> InnerAddresses | None:
        if self.mode is not Mode.BEET:
            return None
        return InnerAddresses(*(ip_network(network).network_address for network in (local, remote)))

    def bundle(self, direction: Direction, *, at_left: bool = True) -> list[SadEntry]:
        """Return the SA of one direction and those that it is within."""
        outer = self.within.bundle(direction, at_left=at_left) if self.within else []
        return [self.sa(direction, at_left=at_left), *outer]

    def changes(self, *, at_left: bool = True) -> list[Change]:
        sas = [sa for direction in Direction for sa in self.bundle(direction, at_left=at_left)[::-1]]
        return [self.policy(at_left=at_left), *map(AddSa, sas)]

    def engine(self, *, at_left: bool = True) -> Engine:
        engine = Engine()
        engine.apply(self.changes(at_left=at_left), START)
        return engine

    def engines(self) -> tuple[Engine, Engine]:
        """Return the left and the right gateway."""
        return self.engine(), self.engine(at_left=False)

    def with_suite(self, suite: EspSuite) -> Tunnel:
        return replace(self, suite=suite)
