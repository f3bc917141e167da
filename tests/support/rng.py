"""Randomness that a test chooses."""

from __future__ import annotations

from hashlib import sha256


class SeededRng:
    """Octets that depend on a seed alone."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._draws = 0

    def octets(self, count: int) -> bytes:
        stream = b""
        while len(stream) < count:
            self._draws += 1
            stream += sha256(f"{self._seed}/{self._draws}".encode()).digest()
        return stream[:count]


class ScriptedRng:
    """Octets that a vector prescribes; each draw must want as many as are prescribed for it."""

    def __init__(self, *draws: bytes) -> None:
        self._draws = list(draws)

    def octets(self, count: int) -> bytes:
        draw = self._draws.pop(0)
        assert len(draw) == count, f"{count} octets drawn where {len(draw)} are prescribed"
        return draw
