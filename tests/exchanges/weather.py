"""A link that loses, repeats, delays and damages datagrams at random, by a seed."""

from __future__ import annotations

from dataclasses import dataclass

from exchanges.link import Datagram, flipped
from perilune.model.time import Duration
from support.rng import SeededRng


@dataclass(frozen=True, slots=True)
class Weather:
    """Shares of datagrams in percent."""

    loss: int = 0
    duplicates: int = 0
    reordering: int = 0
    damage: int = 0

    def __str__(self) -> str:
        return f"loss{self.loss}-dup{self.duplicates}-reorder{self.reordering}-damage{self.damage}"


class RandomFault:
    """A fault for `Link.add_fault`."""

    def __init__(self, weather: Weather, seed: int) -> None:
        self._weather = weather
        self._rng = SeededRng(1000 + seed)

    def __call__(self, datagram: Datagram) -> list[tuple[Duration, Datagram]]:
        weather = self._weather
        if self._happens(weather.loss):
            return []
        if self._happens(weather.damage):
            datagram = flipped(datagram, self._number(len(datagram.data)), 1 << self._number(8))
        late = self._number(120) if self._happens(weather.reordering) else 0
        copies = [(Duration.milliseconds(late), datagram)]
        if self._happens(weather.duplicates):
            copies.append((Duration.milliseconds(self._number(6000)), datagram))
        return copies

    def _happens(self, percent: int) -> bool:
        return self._number(100) < percent

    def _number(self, below: int) -> int:
        return int.from_bytes(self._rng.octets(4)) % below
