"""What we still have to ask the peer for, one request at a time (RFC 7296, section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from perilune.model.iana import ExchangeType
from perilune.model.time import Instant
from perilune.wire.payloads import Payload

if TYPE_CHECKING:
    from perilune.ike.ike_sa import IkeSa


class Task(Protocol):
    """One request and what becomes of its response."""

    @property
    def exchange(self) -> ExchangeType:
        """The exchange that it is."""
        ...

    def begin(self, sa: IkeSa, now: Instant) -> Sequence[Payload] | None:
        """Return the request, or None where there is nothing to ask for any more."""
        ...

    def finish(self, sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> None:
        """Act on the response.

        Raises:
            PeerError: The response breaks the rules, which ends the IKE SA.
        """
        ...

    def abandon(self, sa: IkeSa, now: Instant) -> None:
        """Give back what was reserved: the IKE SA ended, or nothing is to be asked any more."""
        ...


@dataclass(frozen=True, slots=True)
class _Queued:
    task: Task
    at: Instant


class TaskQueue:
    """Tasks in the order in which they came; one with a time waits for it."""

    __slots__ = ("_queued", "active")

    active: Task | None
    """The task whose request is under way."""

    def __init__(self) -> None:
        self._queued: list[_Queued] = []
        self.active = None

    def __contains__(self, task: Task) -> bool:
        """Whether an equal task waits or is under way."""
        return task == self.active or any(queued.task == task for queued in self._queued)

    def add(self, task: Task, at: Instant) -> None:
        """Add a task that may begin from some instant on."""
        self._queued.append(_Queued(task, at))

    def add_first(self, task: Task, now: Instant) -> None:
        """Add a task that begins before all others."""
        self._queued.insert(0, _Queued(task, now))

    def take(self, now: Instant) -> Task | None:
        """Return the next task that may begin now and make it the active one."""
        for index, queued in enumerate(self._queued):
            if queued.at <= now:
                del self._queued[index]
                self.active = queued.task
                return queued.task
        return None

    def take_waiting(self) -> list[tuple[Task, Instant]]:
        """Return the tasks that wait, and forget them."""
        taken = [(queued.task, queued.at) for queued in self._queued]
        self._queued.clear()
        return taken

    def next_start(self) -> Instant | None:
        """Return when a waiting task may begin."""
        return min((queued.at for queued in self._queued), default=None)
