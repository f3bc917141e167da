"""Sending a request again until it is answered (RFC 7296, sections 2.1 and 2.4)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from perilune.ike.timers import IkeTimers
from perilune.model.time import Instant


@dataclass(frozen=True, slots=True)
class Retransmission:
    """A request under way, with the octets to repeat and the time to do it."""

    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.1
    ##% A retransmission from the initiator
    ##% MUST be bitwise identical to the original request.

    datagrams: tuple[bytes, ...]
    """The message, or its fragments."""

    at: Instant
    """When to send it again, or to give up."""

    attempt: int = 0
    """How often it was sent again."""

    @classmethod
    def begin(cls, datagrams: tuple[bytes, ...], now: Instant, timers: IkeTimers) -> Retransmission:
        """Return the state of a request that is sent for the first time now."""
        return cls(datagrams, now + timers.retransmit_wait(0))

    def again(self, now: Instant, timers: IkeTimers) -> Retransmission | None:
        """Return the state behind another transmission now, or None where it is time to give up."""
        attempt = self.attempt + 1
        if attempt > timers.retransmit_tries:
            return None
        return replace(self, attempt=attempt, at=now + timers.retransmit_wait(attempt))
