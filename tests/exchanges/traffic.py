"""Packets of ordinary hosts, as far as SAs matter for them: which one carries them, and who still has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perilune.databases.sad import Direction, SadEntry
from perilune.model.spi import Spi

if TYPE_CHECKING:
    from exchanges.pair import Side


class Verified:
    """The inbound SAs of one side on which a packet was received."""

    def __init__(self) -> None:
        self._spis: set[Spi] = set()

    def add(self, spi: Spi) -> None:
        self._spis.add(spi)

    def allows(self, entry: SadEntry) -> bool:
        return entry.ready_after is None or entry.ready_after in self._spis


def outbound_sa(side: Side) -> SadEntry | None:
    """Return the SA that a packet takes: the newest that is ready, else the newest."""
    outbound = [entry for entry in side.data_plane.sas.values() if entry.direction is Direction.OUTBOUND]
    ready = [entry for entry in outbound if side.verified.allows(entry)]
    return (ready or outbound or [None])[-1]


def inbound_sa(side: Side, spi: Spi) -> SadEntry | None:
    """Return the SA with which a side opens a packet."""
    for entry in side.data_plane.sas.values():
        if entry.direction is Direction.INBOUND and entry.spi == spi:
            return entry
    return None
