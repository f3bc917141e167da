"""Knows which entries of the SPD the boundary's rules have to be made of."""

from __future__ import annotations

from collections.abc import Collection

from perilune.databases.conditions import UNCONDITIONAL
from perilune.databases.spd import PolicyId, SpdEntry, Way
from perilune.model.selector import TrafficSelector


class BoundaryBook:
    """The entries, without those that select no more than another one of the same child does.

    So what SAs come and go under an entry of the configuration, the rules stay as they are.
    """

    def __init__(self) -> None:
        self._standing: dict[PolicyId, SpdEntry] = {}
        self._covered: dict[PolicyId, SpdEntry] = {}
        self._by_name: dict[str, list[PolicyId]] = {}

    @property
    def entries(self) -> Collection[SpdEntry]:
        """The entries that the rules are to be made of."""
        return self._standing.values()

    def add(self, entry: SpdEntry) -> bool:
        """Note an entry; return whether the rules have to change."""
        known = self._by_name.setdefault(entry.name, [])
        if any(_covers(self._standing[id_], entry) for id_ in known):
            self._covered[entry.id] = entry
            return False
        known.append(entry.id)
        self._standing[entry.id] = entry
        return True

    def remove(self, id_: PolicyId) -> bool:
        """Forget an entry; return whether the rules have to change."""
        entry = self._standing.pop(id_, None)
        if entry is None:
            self._covered.pop(id_, None)
            return False
        self._by_name[entry.name].remove(id_)
        for other in [one for one in self._covered.values() if one.name == entry.name]:
            del self._covered[other.id]
            self.add(other)
        if not self._by_name[entry.name]:
            del self._by_name[entry.name]
        return True


def _covers(outer: SpdEntry, inner: SpdEntry) -> bool:
    return (
        outer.action is inner.action
        and outer.way in {Way.BOTH, inner.way}
        and outer.conditions in {UNCONDITIONAL, inner.conditions}
        and _all_within(outer.local, inner.local)
        and _all_within(outer.remote, inner.remote)
    )


def _all_within(outer: tuple[TrafficSelector, ...], inner: tuple[TrafficSelector, ...]) -> bool:
    return all(any(one.contains(other) for one in outer) for other in inner)
