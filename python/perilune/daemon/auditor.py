"""Has written down what the standards call auditable, and what else a node's owner wants to know later."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from perilune.agent.audit.limit import RateLimit
from perilune.agent.audit.record import AuditRecord, Value
from perilune.agent.audit.trail import LIMITED, Trail, of_ike_event
from perilune.agent.node import AuditState
from perilune.databases.changes import Change
from perilune.dataplane.events import Audit, DeviceLost, HardExpire, SequenceExhausted
from perilune.dataplane.stats import DropStats
from perilune.ike.events import IkeEvent
from perilune.model.time import Instant
from perilune.shell.audit import AuditLog
from perilune.shell.clock import MonotonicClock

_UPKEEP_SECONDS = 5.0


class Auditor:
    """Writes the audit log of a daemon.

    Args:
        log: The log.
        clock: The data plane's, as its events have a time of their own.
        drops: Returns the data plane's counters of dropped packets.
    """

    def __init__(
        self, log: AuditLog, clock: MonotonicClock, drops: Callable[[], Sequence[DropStats]]
    ) -> None:
        self._log = log
        self._clock = clock
        self._drops = drops
        self._trail = Trail()
        self._limit = RateLimit()
        self._listed: Counter[str] = Counter()
        self._counted: Counter[str] = Counter()

    @property
    def state(self) -> AuditState:
        """How the log stands."""
        return self._log.state

    def open(self, version: str, connections: int) -> None:
        """Begin.

        Raises:
            ResourceError: The log cannot be written.
        """
        fields: dict[str, Value] = {"version": version, "pid": os.getpid(), "connections": connections}
        self._log.open(AuditRecord("log_started", fields))

    def on_ike_event(self, event: IkeEvent) -> None:
        """Write down an event of IKE, if it is one of those that are."""
        record = of_ike_event(event)
        if record is None:
            return
        if record.event not in LIMITED or self._limit.allows(record.event, self._clock.now()):
            self._log.add(record)

    def on_changes(self, changes: Sequence[Change]) -> None:
        """Write down changes of the SAD and the SPD."""
        for record in self._trail.of_changes(changes):
            self._log.add(record)

    def on_data_plane(self, event: Audit | DeviceLost | HardExpire | SequenceExhausted) -> None:
        """Write down what the data plane told."""
        if isinstance(event, Audit):
            self._listed[event.reason] += 1
            self._log.add(self._trail.of_data_plane(event), self._calendar(event.time))
        else:
            self._log.add(self._trail.of_data_plane(event))

    def on_settings(self, connections: int) -> None:
        """Write down that another configuration is in force."""
        self._log.add(AuditRecord("configuration_loaded", {"connections": connections}))

    async def keep_up(self) -> None:
        """Write what could not be written, count what was not listed, and have the disc keep it, for ever."""
        while True:
            await asyncio.sleep(_UPKEEP_SECONDS)
            self.count_suppressed()
            self._log.flush()
            keep = self._log.sync()
            if keep is not None:
                await asyncio.to_thread(keep)

    def count_suppressed(self) -> None:
        """Write down how many there were of what is listed at most a few times a second."""
        for event, count in self._limit.take_suppressed().items():
            self._log.add(AuditRecord("suppressed", {"of": event, "count": count}))
        for drop in self._drops():
            if not drop.is_auditable:
                continue
            listed = self._listed.pop(drop.name, 0)
            more = drop.packets - self._counted[drop.name] - listed
            self._counted[drop.name] = drop.packets
            if more > 0:
                fields: dict[str, Value] = {"of": "packet_dropped", "reason": drop.name, "count": more}
                self._log.add(AuditRecord("suppressed", fields))

    def close(self) -> None:
        """End the log."""
        self.count_suppressed()
        self._log.close(AuditRecord("log_stopped", {"pid": os.getpid()}))

    def _calendar(self, instant: Instant) -> datetime:
        age = self._clock.now() - instant
        return datetime.now(UTC) - timedelta(microseconds=age.ns // 1000)
