"""Fills the silence of SAs with dummy packets (RFC 4303, section 2.6).

An SA whose `Processing.dummies` is N sends N packets a second at least, whether anybody has something to say
or not; packets that somebody sends count. Lengths of dummies are drawn by lot, where padding does not make
all packets equal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from perilune.databases.changes import AddSa, Change, MoveSa, RemoveSa
from perilune.databases.sad import Direction, SadEntry, SaName
from perilune.dataplane.runtime import DummiesWanted
from perilune.model.random import Rng
from perilune.model.time import Duration, Instant
from perilune.shell.clock import MonotonicClock

SHORTEST_TICK = Duration.milliseconds(20)
"""Dummies that are due sooner than this one behind the other go together."""

LARGEST_OCTETS = 1023
_NS = 1_000_000_000

SendDummies = Callable[[Sequence[DummiesWanted]], Sequence[int | None]]
"""`Runtime.send_dummies`."""


@dataclass(slots=True)
class _Filled:
    """An SA that has dummies."""

    name: SaName
    rate: int
    """Packets a second."""

    at: Instant
    """Up to when nothing is missing."""

    sent: int = 0
    """Packets that it had sent then."""

    @property
    def due(self) -> Instant:
        return self.at + max(SHORTEST_TICK, Duration(-(-_NS // self.rate)))

    def take(self, now: Instant, octets: int) -> DummiesWanted:
        """Return what it lacks; of a pause longer than a second, a second is made up for."""
        packets, rest = divmod(self.rate * min((now - self.at).ns, _NS), _NS)
        self.at = Instant(now.ns - rest // self.rate)
        return DummiesWanted(self.name, self.sent + packets, octets)


@dataclass(slots=True)
class DummyTraffic:
    """Knows which SA lacks how many packets, and when; has no clock of its own."""

    send: SendDummies
    rng: Rng
    _sas: dict[SaName, _Filled] = field(default_factory=dict, init=False)

    def follow(self, changes: Sequence[Change], now: Instant) -> None:
        """Take note of SAs that come, move and go."""
        for change in changes:
            match change:
                case AddSa(entry) if _has_dummies(entry):
                    name = SaName(entry.spi, entry.path)
                    self._sas[name] = _Filled(name, entry.processing.dummies, now)
                case MoveSa(Direction.OUTBOUND, spi, old, new) if SaName(spi, old) in self._sas:
                    name = SaName(spi, new)
                    self._sas[name] = replace(self._sas.pop(SaName(spi, old)), name=name)
                case RemoveSa(Direction.OUTBOUND, spi, path):
                    self._sas.pop(SaName(spi, path), None)

    def next_timeout(self) -> Instant | None:
        """Return when `handle_timeout` is to be called; None while no SA has dummies."""
        return min((one.due for one in self._sas.values()), default=None)

    def handle_timeout(self, now: Instant) -> None:
        """Send what is due."""
        due = [one for one in self._sas.values() if one.due <= now]
        wanted = [one.take(now, self._draw()) for one in due]
        for one, sent in zip(due, self.send(wanted) if due else (), strict=True):
            one.sent = one.sent if sent is None else sent

    def _draw(self) -> int:
        return int.from_bytes(self.rng.octets(2)) & LARGEST_OCTETS


class DummyTimer:
    """Calls a `DummyTraffic` in real time, in the running event loop.

    Args:
        traffic: Which is called.
        clock: Real time.
    """

    def __init__(self, traffic: DummyTraffic, clock: MonotonicClock) -> None:
        self._traffic = traffic
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, changes: Sequence[Change]) -> None:
        """Take note of SAs that come, move and go."""
        self._traffic.follow(changes, self._clock.now())
        if self._timer is None:
            self._rearm()

    def stop(self) -> None:
        """Send no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _on_timer(self) -> None:
        self._traffic.handle_timeout(self._clock.now())
        self._rearm()

    def _rearm(self) -> None:
        due = self._traffic.next_timeout()
        if due is None:
            self._timer = None
            return
        wait = max((due - self._clock.now()).in_seconds, 0.0)
        self._timer = asyncio.get_running_loop().call_later(wait, self._on_timer)


def _has_dummies(entry: SadEntry) -> bool:
    return entry.direction is Direction.OUTBOUND and entry.processing.dummies > 0
