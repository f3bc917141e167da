"""The highest rate at which hardly anything is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LOSS = 0.005
"""A rate is carried when no larger part than this is lost."""
PACE = 0.9
"""A sender that reaches no larger part than this of the rate that it was to send at does not show it."""
STEPS = 7


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one stream of datagrams."""

    sent: int
    """Datagrams that went."""
    received: int
    """Datagrams that came."""
    seconds: float
    """How long sending took."""

    @property
    def rate(self) -> float:
        """Datagrams sent a second."""
        return self.sent / self.seconds

    @property
    def is_carried(self) -> bool:
        """Whether hardly any was lost."""
        return self.sent > 0 and self.received >= (1 - LOSS) * self.sent


def highest_rate(attempt: Callable[[float], Trial], ceiling: float, steps: int = STEPS) -> float:
    """Find the highest rate that is carried, by halving.

    Args:
        attempt: Sends at a rate, in datagrams a second.
        ceiling: A rate that is surely too much.
        steps: How often to halve: the result is right to `ceiling` / 2**`steps`.

    Returns:
        The highest rate that was truly sent and carried, or 0 when none was.
    """
    low, high, best = 0.0, ceiling, 0.0
    for _ in range(steps):
        rate = (low + high) / 2
        trial = attempt(rate)
        if trial.is_carried:
            best = max(best, trial.rate)
        if trial.is_carried and trial.rate > PACE * rate:
            low = rate
        else:
            high = rate
    return best
