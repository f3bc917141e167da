"""SAs whose keys somebody typed in (RFC 4301, section 4.5.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from perilune.databases.processing import Lookup, Processing, SecurityProtocol
from perilune.databases.sad import Direction, Encapsulation, EspKeys, Lifetime
from perilune.model.address import Path
from perilune.model.proposal import EspSuite
from perilune.model.selector import TrafficSelector
from perilune.model.spi import Spi, format_spi

MOST_NESTED = 4
"""SAs that one packet goes through at most."""


@dataclass(frozen=True, slots=True)
class ManualKeys:
    """One direction of a manual SA."""

    spi: Spi
    keys: EspKeys = field(repr=False)

    @property
    def counter_key(self) -> bytes:
        """The key with which no sequence number may come twice, its salt included."""
        return self.keys.encryption.reveal() or self.keys.integrity.reveal()


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualSa:
    """An SA of the configuration, or of the command `sa add`: one direction, or a pair."""

    name: str
    inbound: ManualKeys | None = None
    """None where it only sends."""

    outbound: ManualKeys | None = None
    """None where it only receives; one of both is always there."""

    protocol: SecurityProtocol = SecurityProtocol.ESP
    processing: Processing = field(default_factory=Processing)
    lookup: Lookup = Lookup.SPI
    path: Path
    encapsulation: Encapsulation = Encapsulation.NONE
    suite: EspSuite
    allow_insecure: bool = False
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    replay_window_packets: int = 0
    """0 unless asked for: RFC 4303, section 3.3.3, wants no anti-replay service with manual keys."""

    sequence_cycles: bool = False
    """Whether the sequence number begins again at its end, for receivers that check no replays."""

    lifetime: Lifetime = field(default_factory=Lifetime)
    priority: int | None = None
    """Place of its SPD entry, smaller first; None puts narrow selectors before wide ones."""

    within: str | None = None
    """Name of the SA in which its packets travel in turn."""

    @property
    def directions(self) -> tuple[tuple[Direction, ManualKeys], ...]:
        """What there is of it, inbound first."""
        both = ((Direction.INBOUND, self.inbound), (Direction.OUTBOUND, self.outbound))
        return tuple((direction, keys) for direction, keys in both if keys is not None)

    @property
    def needs_sequence(self) -> bool:
        """Whether its sender must never use a number twice, not even behind a restart.

        With a counter mode, two packets of the same number give both away (RFC 8221, section 3; RFC 3686,
        section 7); with anti-replay, the peer drops them (RFC 4303, section 3.3.3).
        """
        return self.outbound is not None and (self.suite.uses_counter or self.replay_window_packets > 0)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Why an SA cannot be there beside the others."""

    sa: str
    key: str
    """The key of the configuration to change."""

    reason: str


def conflicts(sas: Sequence[ManualSa]) -> Iterator[Conflict]:
    """Yield what is wrong with manual SAs together; each alone is right."""
    yield from _same_names(sas)
    yield from _same_streams(sas)
    yield from _wrong_bundles({sa.name: sa for sa in sas})


def outermost_first(sas: Sequence[ManualSa]) -> list[ManualSa]:
    """Return SAs such that each comes behind the one that it is within, where that is among them."""
    by_name = {sa.name: sa for sa in sas}

    def depth(sa: ManualSa) -> int:
        count = 0
        while sa.within in by_name and count <= MOST_NESTED:
            sa, count = by_name[sa.within], count + 1
        return count

    return sorted(sas, key=depth)


def _same_names(sas: Sequence[ManualSa]) -> Iterator[Conflict]:
    """Yield SAs that packets could not tell apart (RFC 4301, section 4.1)."""
    known: dict[object, str] = {}
    for sa in sas:
        for direction, keys in sa.directions:
            name = (direction, keys.spi, *_ends(sa, direction))
            other = known.setdefault(name, sa.name)
            if other != sa.name:
                key = "spi_in" if direction is Direction.INBOUND else "spi_out"
                yield Conflict(sa.name, key, f"SA '{other}' has the SPI {format_spi(keys.spi)} already")


def _ends(sa: ManualSa, direction: Direction) -> tuple[object, ...]:
    """Return the addresses that are part of an SA's name."""
    if direction is Direction.OUTBOUND:
        return (sa.path.remote,)
    if sa.lookup is Lookup.SPI:
        return ()
    if sa.lookup is Lookup.SPI_DESTINATION:
        return (sa.path.local.address,)
    return (sa.path.local.address, sa.path.remote.address)


def _same_streams(sas: Sequence[ManualSa]) -> Iterator[Conflict]:
    """Yield directions that share a key of a counter mode, and so would use counter values twice.

    One key may receive from several senders only where each has a salt of its own.
    """
    known: dict[bytes, tuple[str, Direction]] = {}
    for sa in sas:
        for direction, keys in sa.directions if sa.suite.uses_counter else ():
            other, _ = known.setdefault(keys.counter_key, (sa.name, direction))
            if known[keys.counter_key] != (sa.name, direction):
                whose = "its other direction" if other == sa.name else f"SA '{other}'"
                key = "key_in" if direction is Direction.INBOUND else "key_out"
                yield Conflict(
                    sa.name,
                    key,
                    f"{whose} has the same key and salt, and {sa.suite} protects nothing where two senders"
                    " share them (RFC 3686, section 7)",
                )


def _wrong_bundles(sas: dict[str, ManualSa]) -> Iterator[Conflict]:
    for sa in sas.values():
        reason = _bundle_problem(sa, sas)
        if reason:
            yield Conflict(sa.name, "within", reason)


def _bundle_problem(sa: ManualSa, sas: dict[str, ManualSa]) -> str | None:
    current = sa
    for _ in range(MOST_NESTED):
        if current.within is None:
            return None
        outer = sas.get(current.within)
        if outer is None:
            return f"there is no SA '{current.within}'"
        missing = {direction for direction, _ in current.directions} - {
            direction for direction, _ in outer.directions
        }
        if missing:
            return f"SA '{outer.name}' is not {' and '.join(sorted(one.value for one in missing))}"
        current = outer
    return f"more than {MOST_NESTED} SAs are within each other"
