"""Commands that wait for what IKE does: set-ups and deletions, and how they end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from perilune.agent.vici.session import Call
from perilune.ike.events import (
    AuthenticationFailed,
    ChildKeysDerived,
    ChildSaDown,
    ChildSaUp,
    DownReason,
    IkeEvent,
    IkeKeysDerived,
    IkeSaDown,
    IkeSaRekeyed,
    IkeSaUp,
    MessageReceived,
    MessageSent,
    PeerUnreachable,
    Refused,
)
from perilune.ike.names import IkeName
from perilune.model.time import Instant, earliest

_DETAILS = ChildKeysDerived | IkeKeysDerived | MessageReceived | MessageSent
_SUCCEEDED = {DownReason.REDUNDANT, DownReason.REKEYED, DownReason.REPLACED}
"""Ends of an IKE SA behind which another one lives."""


class Done(Protocol):
    """Decides from what happens whether an operation is over."""

    def observe(self, event: IkeEvent) -> str | None:
        """Take an event; return None while it goes on, "" once it is done, or why it failed."""
        ...

    def concerns(self, ike: IkeName) -> bool:
        """Whether what happens to an IKE SA is part of it."""
        ...


class SetUp:
    """A child is to come up, or an IKE SA alone.

    Args:
        connection: Whose.
        child: The child; None where the IKE SA is all that is wanted.
    """

    def __init__(self, connection: str, child: str | None) -> None:
        self._connection = connection
        self._child = child
        self._reason = ""

    def concerns(self, ike: IkeName) -> bool:
        """Whether an IKE SA is of this connection."""
        return ike.connection == self._connection

    def observe(self, event: IkeEvent) -> str | None:
        """Take an event; see `Done.observe`."""
        match event:
            case ChildSaUp(ike=ike, child=child) if self.concerns(ike) and child.name == self._child:
                return ""
            case IkeSaUp(ike=ike) | ChildSaUp(ike=ike) if self.concerns(ike) and self._child is None:
                return ""
            case Refused(ike=ike) if self.concerns(ike):
                self._reason = str(event)
                return self._reason if self._is_about_child(event) else None
            case AuthenticationFailed(ike=ike) | PeerUnreachable(ike=ike) if self.concerns(ike):
                self._reason = str(event)
            case IkeSaDown(ike=ike, reason=reason) if self.concerns(ike) and reason not in _SUCCEEDED:
                return self._reason or str(event)
        return None

    def _is_about_child(self, event: Refused) -> bool:
        return self._child is not None and event.what == f"child {self._child}"


class Deletion:
    """SAs are to end.

    Args:
        ike_ids: Of the IKE SAs.
        child_ids: Of the children that end alone.
    """

    def __init__(self, ike_ids: Iterable[int], child_ids: Iterable[int]) -> None:
        self._ike_ids = set(ike_ids)
        self._child_ids = set(child_ids)
        self._named = set(self._ike_ids)

    def concerns(self, ike: IkeName) -> bool:
        """Whether an IKE SA is one of those that are to end."""
        return ike.id in self._named

    def observe(self, event: IkeEvent) -> str | None:
        """Take an event; see `Done.observe`."""
        match event:
            case IkeSaDown(ike=ike):
                self._ike_ids.discard(ike.id)
            case ChildSaDown(child=child):
                self._child_ids.discard(child.id)
            case IkeSaRekeyed(ike=ike, new=new) if ike.id in self._ike_ids:
                self._named.add(new.id)
        return None if self._ike_ids or self._child_ids else ""


@dataclass(frozen=True, slots=True)
class Operation:
    """A command under way."""

    call: Call
    done: Done
    what: str
    """For a message, such as `child net`."""

    count: int
    """How many SAs it is about."""

    deadline: Instant | None
    loglevel: int = 1
    """How much of what happens is shown: 1 is what a user wants to know, 2 also messages."""


class Operations:
    """Every command that waits."""

    def __init__(self) -> None:
        self._waiting: list[Operation] = []

    def add(self, operation: Operation) -> None:
        """Wait for one more."""
        self._waiting.append(operation)

    def next_timeout(self) -> Instant | None:
        """Return when `handle_timeout` is to be called next."""
        return earliest(*(operation.deadline for operation in self._waiting))

    def handle_timeout(self, now: Instant) -> None:
        """End those whose time is over."""
        for operation in tuple(self._waiting):
            if operation.deadline is not None and operation.deadline <= now:
                self._waiting.remove(operation)
                reason = f"{operation.what} was not done in time; it goes on"
                operation.call.answer({"success": "no", "errmsg": reason, "timed-out": "yes"})

    def observe(self, event: IkeEvent) -> None:
        """Tell those whom it concerns; end those that it ends."""
        for operation in tuple(self._waiting):
            if not operation.call.is_open:
                self._waiting.remove(operation)
                continue
            _show(operation, event)
            verdict = operation.done.observe(event)
            if verdict is not None:
                self._waiting.remove(operation)
                settle(operation.call, operation.count, verdict)


def _show(operation: Operation, event: IkeEvent) -> None:
    ike = getattr(event, "ike", None)
    level = 2 if isinstance(event, _DETAILS) else 1
    if isinstance(ike, IkeName) and operation.done.concerns(ike) and level <= operation.loglevel:
        names = {"ikesa-name": ike.connection, "ikesa-uniqueid": str(ike.id)}
        operation.call.event("control-log", {"group": "IKE", "level": str(level), **names, "msg": str(event)})


def settle(call: Call, count: int, failure: str) -> None:
    """Answer a command.

    Args:
        call: The command.
        count: How many SAs it was about.
        failure: Why it failed; empty where it did not.
    """
    if failure:
        call.refuse(failure)
    else:
        call.answer({"success": "yes", "matches": str(count), "terminated": str(count)})
