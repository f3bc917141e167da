"""Which destinations stay out of the TUN device although a route of ours would take them in.

A gateway whose policy protects everything, and lets its own network by, has a route for everything; what is
let by would go through the data plane, to be let out again. Where the SPD lets by whatever goes to a
destination, the kernel is told to look on in its other tables, and finds a connected network's own route.
"""

from __future__ import annotations

from collections.abc import Iterator

from perilune.databases.conditions import UNCONDITIONAL
from perilune.databases.spd import Action, PolicyId, SpdEntry, Way
from perilune.model.selector import ANY_PROTOCOL, IpNetwork


class PassBook:
    """Knows the entries of the SPD that bypass IPsec, and what could have it otherwise."""

    def __init__(self) -> None:
        self._passes: dict[PolicyId, SpdEntry] = {}
        self._others: dict[PolicyId, SpdEntry] = {}
        self._rivals: dict[PolicyId, dict[PolicyId, bool]] = {}

    @property
    def destinations(self) -> frozenset[IpNetwork]:
        """What is let by whoever sends it, and lies in what other entries select."""
        return frozenset(
            network
            for id_, rivals in self._rivals.items()
            if rivals and not any(rivals.values())
            for selector in self._passes[id_].remote
            for network in selector.networks
        )

    def add(self, policy: SpdEntry) -> None:
        """Note an entry; one about what arrives has no say in where packets go."""
        if policy.way is Way.IN:
            return
        if policy.action is not Action.BYPASS:
            self._others[policy.id] = policy
            for one in self._passes.values():
                self._compare(one, policy)
        elif _is_for_all(policy):
            self._passes[policy.id] = policy
            self._rivals[policy.id] = {}
            for other in self._others.values():
                self._compare(policy, other)

    def remove(self, id_: PolicyId) -> None:
        """Forget an entry."""
        self._passes.pop(id_, None)
        self._rivals.pop(id_, None)
        if self._others.pop(id_, None) is not None:
            for rivals in self._rivals.values():
                rivals.pop(id_, None)

    def _compare(self, one: SpdEntry, other: SpdEntry) -> None:
        """Note whether another entry selects what goes to the destinations of one, and whether it may."""
        if any(_overlaps(one, other)):
            is_before = (other.priority, other.id) < (one.priority, one.id)
            self._rivals[one.id][other.id] = is_before or not _has_all_sources(one, other)


def _is_for_all(policy: SpdEntry) -> bool:
    """Whether only the addresses of a packet count."""
    return policy.conditions == UNCONDITIONAL and all(
        selector.protocol == ANY_PROTOCOL for selector in (*policy.local, *policy.remote)
    )


def _overlaps(one: SpdEntry, other: SpdEntry) -> Iterator[bool]:
    return (mine.intersection(theirs) is not None for mine in one.remote for theirs in other.remote)


def _has_all_sources(one: SpdEntry, other: SpdEntry) -> bool:
    """Whether one selects every source that the other does, of the families that it has destinations of."""
    versions = {selector.version for selector in one.remote}
    return all(
        any(mine.contains(theirs) for mine in one.local)
        for theirs in other.local
        if theirs.version in versions
    )
