"""What strangers can cause is written at most so often; the rest is counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from perilune.model.time import Duration, Instant

_SECOND = Duration.seconds(1)
RECORDS_PER_SECOND = 10


@dataclass(slots=True)
class RateLimit:
    """Lets ten records of a kind pass in each second."""

    _since: dict[str, Instant] = field(default_factory=dict)
    _passed: Counter[str] = field(default_factory=Counter)
    _suppressed: Counter[str] = field(default_factory=Counter)

    def allows(self, kind: str, now: Instant) -> bool:
        """Whether one more of a kind may be written; else it is counted."""
        since = self._since.get(kind)
        if since is None or now - since >= _SECOND:
            self._since[kind] = now
            self._passed[kind] = 0
        if self._passed[kind] >= RECORDS_PER_SECOND:
            self._suppressed[kind] += 1
            return False
        self._passed[kind] += 1
        return True

    def take_suppressed(self) -> dict[str, int]:
        """Return how many of each kind were not written since the last call."""
        taken, self._suppressed = self._suppressed, Counter()
        return dict(taken)
