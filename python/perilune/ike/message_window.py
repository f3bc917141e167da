"""Message IDs of one IKE SA (RFC 7296, sections 2.2 and 2.3).

Each side counts its own requests from 0. We have one request under way at a time, whatever the peer's
window is, and accept one: the next. The last answer is kept to be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from perilune.model.iana import ExchangeType

LAST_MESSAGE_ID: Final = 0xFFFF_FFFF
"""An IKE SA ends before its counter wraps (section 2.2)."""


class Place(Enum):
    """Where a request is against the window."""

    ANSWERED = "answered"
    """The last request, once more."""

    NEXT = "next"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """Our request that waits for its response."""

    message_id: int
    exchange: ExchangeType


@dataclass(frozen=True, slots=True)
class Answer:
    """Our last response, as it was sent."""

    message_id: int
    datagrams: tuple[bytes, ...]


class MessageWindow:
    """The counters of both directions.

    Args:
        next_request: Message ID of our next request: 1 for the original initiator behind IKE_SA_INIT.
        next_expected: Message ID of the peer's next request: 1 for the original responder then.
    """

    __slots__ = ("_expected", "_next", "last_answer", "pending")

    pending: PendingRequest | None
    """Our request under way."""

    last_answer: Answer | None
    """What answers the peer's last request again."""

    def __init__(self, next_request: int = 0, next_expected: int = 0) -> None:
        self._next = next_request
        self._expected = next_expected
        self.pending = None
        self.last_answer = None

    @property
    def is_spent(self) -> bool:
        """Whether the counters are so high that the IKE SA has to be replaced."""
        return max(self._next, self._expected) > LAST_MESSAGE_ID // 2

    def begin(self, exchange: ExchangeType) -> int:
        """Note a request and return its Message ID; `pending` has to be None."""
        self.pending = PendingRequest(self._next, exchange)
        self._next += 1
        return self.pending.message_id

    def place_of_request(self, message_id: int) -> Place:
        """Return what to do with a request of the peer."""
        if message_id == self._expected:
            return Place.NEXT
        if self.last_answer and message_id == self.last_answer.message_id:
            return Place.ANSWERED
        return Place.OUTSIDE

    def awaits(self, message_id: int, exchange: int) -> bool:
        """Whether a response is the one that is waited for."""
        pending = self.pending
        return pending is not None and (message_id, exchange) == (pending.message_id, pending.exchange)

    def close_pending(self) -> None:
        """Note that the request under way was answered or given up."""
        self.pending = None

    def answered(self, message_id: int, datagrams: tuple[bytes, ...]) -> None:
        """Note the response to the peer's next request, which moves the window."""
        self.last_answer = Answer(message_id, datagrams)
        self._expected = message_id + 1
