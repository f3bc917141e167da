"""What an endpoint wants done, until its driver takes it."""

from __future__ import annotations

from dataclasses import dataclass

from perilune.databases.changes import Change
from perilune.ike.events import IkeEvent
from perilune.model.address import Path


@dataclass(frozen=True, slots=True)
class Transmit:
    """A datagram to send."""

    path: Path
    data: bytes
    """The IKE message, without a non-ESP marker."""

    encapsulated: bool
    """Whether a non-ESP marker goes before it (RFC 3948, section 2.2)."""


@dataclass(frozen=True, slots=True)
class Keepalive:
    """A NAT keepalive to send (RFC 3948, section 2.3)."""

    path: Path


class Outbox:
    """Changes of the SAD and SPD, datagrams and events, each in the order in which they came.

    Args:
        nat_t_port: Our port on which a non-ESP marker precedes messages.
    """

    __slots__ = ("_changes", "_events", "_nat_t_port", "_transmits")

    def __init__(self, nat_t_port: int) -> None:
        self._nat_t_port = nat_t_port
        self._changes: list[Change] = []
        self._transmits: list[Transmit | Keepalive] = []
        self._events: list[IkeEvent] = []

    def change(self, *changes: Change) -> None:
        """Have the data plane change something."""
        self._changes.extend(changes)

    def send(self, path: Path, data: bytes) -> None:
        """Send an IKE message."""
        self._transmits.append(Transmit(path, data, path.local.port == self._nat_t_port))

    def keep_alive(self, path: Path) -> None:
        """Send a NAT keepalive."""
        self._transmits.append(Keepalive(path))

    def tell(self, event: IkeEvent) -> None:
        """Tell what happened."""
        self._events.append(event)

    def take_changes(self) -> list[Change]:
        """Return the changes since the last call."""
        taken, self._changes = self._changes, []
        return taken

    def take_transmits(self) -> list[Transmit | Keepalive]:
        """Return the datagrams since the last call."""
        taken, self._transmits = self._transmits, []
        return taken

    def take_events(self) -> list[IkeEvent]:
        """Return the events since the last call."""
        taken, self._events = self._events, []
        return taken
