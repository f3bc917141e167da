"""Saying no, and what exactly differed: the wire gets a notify, the log gets the rest."""

from __future__ import annotations

from perilune.ike.events import AuthenticationFailed, Refused
from perilune.ike.names import IkeName
from perilune.model.address import Path
from perilune.model.errors import PeerError
from perilune.model.iana import NotifyType
from perilune.wire.payloads import NotifyPayload


class Refusal(PeerError):  # noqa: N818 - a decision, not a defect
    """What the peer wants does not fit what we allow.

    Args:
        why: What differs.
        notify: The notify that says so.
        ours: Our value of it.
        theirs: The peer's value of it.
        hint: The key of the configuration that has ours.
        notify_data: Contents of the notify.
    """

    def __init__(  # noqa: PLR0913 - the parts of one log line
        self,
        why: str,
        notify: NotifyType,
        *,
        ours: str = "",
        theirs: str = "",
        hint: str = "",
        notify_data: bytes = b"",
    ) -> None:
        super().__init__(why, notify=notify, notify_data=notify_data)
        self.ours = ours
        self.theirs = theirs
        self.hint = hint


class NotAuthentic(Refusal):
    """The peer is not who it says, or not who we want.

    Args:
        why: What differs.
        hint: The key of the configuration to look at.
    """

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why, NotifyType.AUTHENTICATION_FAILED, hint=hint)


def not_authentic(ike: IkeName, error: PeerError, path: Path) -> AuthenticationFailed:
    """Return the event for a peer that did not prove who it is."""
    hint = error.hint if isinstance(error, Refusal) else ""
    return AuthenticationFailed(ike, by_peer=False, reason=str(error), path=path, hint=hint)


def refused_by_us(ike: IkeName, what: str, error: PeerError) -> Refused:
    """Return the event for a refusal of ours."""
    notify = error.notify.name if error.notify else "silence"
    if not isinstance(error, Refusal):
        return Refused(ike=ike, what=what, by_peer=False, notify=notify, why=str(error))
    return Refused(
        ike=ike,
        what=what,
        by_peer=False,
        notify=notify,
        why=str(error),
        ours=error.ours,
        theirs=error.theirs,
        hint=error.hint,
    )


def refused_by_peer(
    ike: IkeName, what: str, notify: NotifyPayload, *, ours: str = "", hint: str = ""
) -> Refused:
    """Return the event for a peer's error notify.

    Args:
        ike: The IKE SA that it is about.
        what: What we wanted.
        notify: What the peer said.
        ours: What we offered.
        hint: The key of the configuration that has it.
    """
    return Refused(ike=ike, what=what, by_peer=True, notify=notify_name(notify), why="", ours=ours, hint=hint)


def notify_name(notify: NotifyPayload) -> str:
    """Return IANA's name of a notify, or its number."""
    return notify.type.name if isinstance(notify.type, NotifyType) else f"notify {notify.type}"
