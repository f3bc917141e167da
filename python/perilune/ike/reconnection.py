"""Children that are to be up, whatever happens: what a human would otherwise start again.

A wish is told as `PathWanted` until somebody calls `IkeEndpoint.initiate`, is silent while that is under
way, ends with the child's being up, and comes back later and later each time it fails.
"""

from __future__ import annotations

from dataclasses import dataclass

from perilune.dataplane.events import Flow
from perilune.ike.events import PathWanted
from perilune.ike.outbox import Outbox
from perilune.ike.timers import IkeTimers
from perilune.model.time import Duration, Instant, earliest

ChildKey = tuple[str, str]
"""Names of a connection and of its child."""


@dataclass(slots=True)
class _Wish:
    at: Instant | None
    """When to tell it; None while a set-up is under way."""

    wait: Duration
    """How long to wait behind the next failure."""

    flow: Flow | None = None
    """The packet that wants it: such a wish ends with its first failure, as the next packet renews it."""


class Wishes:
    """The children that are wanted and not up.

    Args:
        outbox: Where `PathWanted` goes.
        timers: How long to wait between tries.
    """

    def __init__(self, outbox: Outbox, timers: IkeTimers) -> None:
        self._outbox = outbox
        self._timers = timers
        self._wishes: dict[ChildKey, _Wish] = {}

    def want(self, key: ChildKey, now: Instant, flow: Flow | None = None) -> None:
        """Wish for a child at once; one that is wished for already goes on as it was."""
        self._wishes.setdefault(key, _Wish(now, self._timers.reconnect_first, flow))

    def want_again(self, key: ChildKey, now: Instant) -> None:
        """Wish for a child that was lost, after a short wait."""
        wait = self._timers.reconnect_first
        self._wishes.setdefault(key, _Wish(now + wait, wait * 2))

    def under_way(self, key: ChildKey) -> Flow | None:
        """Be silent about a child while somebody tries; return the packet that wants it."""
        wish = self._wishes.get(key)
        if wish is None:
            return None
        wish.at = None
        return wish.flow

    def fulfilled(self, key: ChildKey) -> None:
        """Forget a wish: the child is up, or is not wanted any more."""
        self._wishes.pop(key, None)

    def failed(self, key: ChildKey, now: Instant) -> None:
        """Try a child later that could not be set up; nothing happens where nobody wished for it."""
        wish = self._wishes.get(key)
        if wish is None:
            return
        if wish.flow is not None:
            del self._wishes[key]
            return
        wish.at = now + wish.wait
        wish.wait = min(wish.wait * 2, self._timers.reconnect_longest)

    def keep_only(self, known: set[ChildKey]) -> None:
        """Forget the wishes for children that are configured no more."""
        for key in self._wishes.keys() - known:
            del self._wishes[key]

    def clear(self) -> None:
        """Forget all wishes."""
        self._wishes.clear()

    def next_timeout(self) -> Instant | None:
        """Return when to call `handle_timeout`."""
        return earliest(*(wish.at for wish in self._wishes.values()))

    def handle_timeout(self, now: Instant) -> None:
        """Tell the wishes whose time has come; they are told again if nobody acts on them."""
        for (connection, child), wish in self._wishes.items():
            if wish.at is not None and wish.at <= now:
                wish.at = now + self._timers.reconnect_longest
                self._outbox.tell(PathWanted(connection, child))
