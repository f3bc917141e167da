"""The SPD in the words of our own command `perilune-policies`."""

from __future__ import annotations

from collections.abc import Iterable

from perilune.agent.vici.codec import Scalar, Tree
from perilune.databases.decorrelation import Piece
from perilune.databases.sad import Direction
from perilune.databases.spd import SpdEntry
from perilune.dataplane.stats import PolicyStats, SaStats

_MOST_SAS = 1000
"""A message of VICI has half a megabyte at most; who wants more asks for the SAs."""


def describe_spd_entry(entry: SpdEntry, counters: PolicyStats | None, sas: Iterable[SaStats]) -> Tree:
    """Return an entry with what it has let pass, protected or discarded, and its SAs."""
    sas = sorted(sas, key=lambda sa: (sa.added, sa.spi))
    tree: Tree = {
        "name": entry.name,
        "order": str(entry.priority),
        "action": entry.action.value,
        "direction": entry.way.value,
        "traps": "yes" if entry.acquires else "no",
        "local": [str(selector) for selector in entry.local],
        "remote": [str(selector) for selector in entry.remote],
        "conditions": list[Scalar](entry.conditions.texts),
        "pfp": list[Scalar](entry.populate.texts),
        "held": str(counters.held if counters else 0),
        "packets": str(counters.packets if counters else 0),
        "bytes": str(counters.octets if counters else 0),
        "sa-count": str(len(sas)),
        "sas": {str(number): _sa(sa) for number, sa in enumerate(sas[:_MOST_SAS], 1)},
    }
    return tree


def describe_piece(piece: Piece) -> Tree:
    """Return a piece of the decorrelated SPD, with the entry it is of."""
    local, remote = piece.box.texts
    return {
        "name": piece.entry.name,
        "action": piece.action.value,
        "direction": "out" if piece.box.outbound else "in",
        "local": [local],
        "remote": [remote],
    }


def _sa(sa: SaStats) -> Tree:
    return {
        "direction": "in" if sa.direction is Direction.INBOUND else "out",
        "spi": f"{sa.spi:08x}",
        "remote-host": str(sa.path.remote.address),
        "packets": str(sa.packets),
        "bytes": str(sa.octets),
    }
