"""A data plane without packets: it keeps what it was told."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from perilune.databases.changes import AddPolicy, AddSa, Change, MoveSa, RemovePolicy, RemoveSa
from perilune.databases.sad import Direction, SadEntry
from perilune.databases.spd import PolicyId, SpdEntry
from perilune.dataplane.events import Event
from perilune.dataplane.stats import DataPlaneStats
from perilune.model.address import IpAddress, Path
from perilune.model.errors import LocalError
from perilune.model.spi import Spi
from perilune.model.time import Instant

SaKey = tuple[Direction, Spi, IpAddress | None]
"""What names one SA: an inbound SPI alone, an outbound one only with the peer's address."""


def sa_key(direction: Direction, spi: Spi, path: Path) -> SaKey:
    """Return the name of an SA."""
    return direction, spi, path.remote.address if direction is Direction.OUTBOUND else None


@dataclass(frozen=True, slots=True)
class SentDatagram:
    """A datagram that the rooms above wanted to send; a keepalive has no message."""

    path: Path
    encapsulated: bool
    message: bytes | None


class Recorder:
    """A `DataPlane` for tests of the rooms above.

    It refuses what the engine refuses: an SA that exists, the removal of one that does not, an SA for a
    policy that is not there. `tell` makes it report an event.
    """

    def __init__(self) -> None:
        self.transactions: list[tuple[Instant, tuple[Change, ...]]] = []
        """Every transaction, in order."""

        self.sent: list[SentDatagram] = []
        """Every datagram, in order."""

        self.sas: dict[SaKey, SadEntry] = {}
        """The SAs that are installed now."""

        self.policies: dict[PolicyId, SpdEntry] = {}
        """The policies that are installed now."""

        self._events: list[Event] = []
        self._readable: int | None = None

    def tell(self, event: Event) -> None:
        """Let `take_events` return an event, as if a packet had caused it."""
        self._events.append(event)
        if self._readable is not None:
            os.eventfd_write(self._readable, 1)

    def apply(self, changes: Sequence[Change], now: Instant) -> None:
        """Keep the changes; see `DataPlane.apply`."""
        sas, policies = dict(self.sas), dict(self.policies)
        for change in changes:
            _apply_one(change, sas, policies)
        self.sas, self.policies = sas, policies
        self.transactions.append((now, tuple(changes)))

    def take_events(self) -> list[Event]:
        """Return what `tell` was given; see `DataPlane.take_events`."""
        if self._events and self._readable is not None:
            os.eventfd_read(self._readable)
        events, self._events = self._events, []
        return events

    def fileno(self) -> int:
        """See `DataPlane.fileno`; who never asks holds no file descriptor."""
        if self._readable is None:
            self._readable = os.eventfd(len(self._events), os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return self._readable

    def stats(self) -> DataPlaneStats:
        """Return empty statistics: no packet was carried."""
        return DataPlaneStats()

    def send_ike(self, message: bytes, path: Path, *, encapsulated: bool) -> None:
        """Keep the message; see `DataPlane.send_ike`."""
        self.sent.append(SentDatagram(path, encapsulated, message))

    def send_keepalive(self, path: Path) -> None:
        """Keep that one was sent; see `DataPlane.send_keepalive`."""
        self.sent.append(SentDatagram(path, encapsulated=True, message=None))

    def close(self) -> None:
        """Give the file descriptor back; see `DataPlane.close`."""
        if self._readable is not None:
            os.close(self._readable)
            self._readable = None


def _apply_one(change: Change, sas: dict[SaKey, SadEntry], policies: dict[PolicyId, SpdEntry]) -> None:
    match change:
        case AddSa(entry):
            key = sa_key(entry.direction, entry.spi, entry.path)
            if key in sas:
                raise LocalError(f"there is an SA {key} already")
            if entry.policy not in policies:
                raise LocalError(f"there is no policy {entry.policy} for the SA {key}")
            sas[key] = entry
        case RemoveSa(direction, spi, path):
            if sas.pop(sa_key(direction, spi, path), None) is None:
                raise LocalError(f"there is no SA {direction.value} {spi:#010x} to remove")
        case MoveSa(direction, spi, old, new):
            moved = sas.pop(sa_key(direction, spi, old), None)
            if moved is None:
                raise LocalError(f"there is no SA {direction.value} {spi:#010x} to move")
            sas[sa_key(direction, spi, new)] = replace(moved, path=new)
        case AddPolicy(policy):
            policies[policy.id] = policy
        case RemovePolicy(id_):
            if policies.pop(id_, None) is None:
                raise LocalError(f"there is no policy {id_} to remove")
            for key in [key for key, entry in sas.items() if entry.policy == id_]:
                del sas[key]
