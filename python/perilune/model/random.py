"""Randomness as an argument."""

from __future__ import annotations

from typing import Protocol


class Rng(Protocol):
    """A source of random octets that a driver hands to a core.

    The daemon's reads the kernel's generator; a simulation's is seeded, so that one seed replays one run.
    """

    def octets(self, count: int) -> bytes:
        """Return `count` octets fit for keys.

        Raises:
            ResourceError: No entropy can be had.
        """
        ...
