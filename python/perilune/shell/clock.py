"""The clock of the machine, as the cores want it."""

from __future__ import annotations

import time

from perilune.model.time import Instant


class MonotonicClock:
    """CLOCK_MONOTONIC: never set back, and the clock that the data plane's threads read too."""

    def now(self) -> Instant:
        """Return the current instant."""
        return Instant(time.monotonic_ns())
