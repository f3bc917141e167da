"""Limits on what unauthenticated datagrams make us do (RFC 7296, sections 2.4 and 2.21.4)."""

from __future__ import annotations

from perilune.model.time import Duration, Instant


class RateLimit:
    """So many actions at once, and one more with each period that passes.

    Args:
        burst: Actions at once.
        period: Time in which one more becomes allowed.
    """

    __slots__ = ("_burst", "_free_at", "_period")

    def __init__(self, burst: int, period: Duration) -> None:
        self._burst = burst
        self._period = period
        self._free_at = Instant(0)

    def allow(self, now: Instant) -> bool:
        """Whether an action is allowed now; one that is counts."""
        start = max(self._free_at, now)
        if (start - now).ns > (self._burst - 1) * self._period.ns:
            return False
        self._free_at = start + self._period
        return True
