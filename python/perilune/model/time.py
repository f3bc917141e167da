"""Time in the cores: integers of nanoseconds that a driver hands in."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

_NS = attrgetter("ns")
_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A length of time in nanoseconds."""

    ns: int

    @classmethod
    def seconds(cls, seconds: float) -> Duration:
        """Return a duration of so many seconds, rounded to a nanosecond."""
        return cls(round(seconds * _NS_PER_S))

    @classmethod
    def milliseconds(cls, milliseconds: float) -> Duration:
        """Return a duration of so many milliseconds, rounded to a nanosecond."""
        return cls(round(milliseconds * _NS_PER_MS))

    @property
    def in_seconds(self) -> float:
        """This duration as a number of seconds."""
        return self.ns / _NS_PER_S

    def __add__(self, other: Duration) -> Duration:
        return Duration(self.ns + other.ns)

    def __sub__(self, other: Duration) -> Duration:
        return Duration(self.ns - other.ns)

    def __mul__(self, factor: float) -> Duration:
        return Duration(round(self.ns * factor))

    def __bool__(self) -> bool:
        return self.ns != 0

    def __str__(self) -> str:
        return f"{self.in_seconds:g} s"


ZERO = Duration(0)
"""No time at all."""


@dataclass(frozen=True, slots=True, order=True)
class Instant:
    """A point on the driver's monotonic clock, in nanoseconds since its own beginning."""

    ns: int

    def __add__(self, wait: Duration) -> Instant:
        return Instant(self.ns + wait.ns)

    def __sub__(self, earlier: Instant) -> Duration:
        return Duration(self.ns - earlier.ns)

    def __str__(self) -> str:
        return f"{self.ns / _NS_PER_S:.6f} s"


def earliest(*instants: Instant | None) -> Instant | None:
    """Return the first of several instants, or None where every one is None."""
    return min([instant for instant in instants if instant is not None], key=_NS, default=None)
