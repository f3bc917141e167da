"""Moves what happens between the data plane and the IKE endpoint, in real time.

Whatever goes into the endpoint, four queues are drained behind it, always in this order: changes of the
SAD and SPD go to the data plane, so that we can receive before the peer may send; then datagrams leave;
then the timer is set anew; then whoever listens is told what happened.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from perilune.databases.changes import AddPolicy, AddSa, Change, MoveSa, RemovePolicy, RemoveSa
from perilune.databases.sad import Direction, Lifetime, SadEntry
from perilune.databases.spd import PolicyId, SpdEntry
from perilune.dataplane.events import (
    Acquire,
    Audit,
    DeviceLost,
    Event,
    HardExpire,
    IkeDatagram,
    PeerMoved,
    SequenceExhausted,
    SequenceLow,
    SoftExpire,
    UnknownSpi,
)
from perilune.dataplane.interface import DataPlane
from perilune.ike.endpoint import IkeEndpoint
from perilune.ike.events import IkeEvent
from perilune.ike.outbox import Keepalive, Transmit
from perilune.model.address import Path
from perilune.model.errors import IpsecError, LocalError
from perilune.model.spi import Spi, format_spi
from perilune.model.time import Instant
from perilune.shell.clock import MonotonicClock

_LOG = logging.getLogger("perilune.shell")
_DATA_PLANE_LOG = logging.getLogger("perilune.dataplane")


class Observer:
    """What a driver tells; a listener overrides what it wants to know."""

    def on_ike_event(self, event: IkeEvent) -> None:
        """Something happened in IKE."""

    def on_acquire(self, event: Acquire) -> None:
        """A packet wants an SA."""

    def on_changes(self, changes: Sequence[Change]) -> None:
        """The data plane was changed."""

    def on_expire(self, event: SoftExpire | HardExpire | SequenceExhausted) -> None:
        """An SA reached a limit."""

    def on_sequence_low(self, event: SequenceLow) -> None:
        """An SA wants more sequence numbers."""

    def on_audit(self, event: Audit | HardExpire | SequenceExhausted) -> None:
        """The data plane told what is to be found in the audit log."""

    def on_device_lost(self, event: DeviceLost) -> None:
        """The TUN device is gone."""

    def on_drained(self) -> None:
        """Everything was told; what piled up may be sent."""


class Driver:
    """Connects an endpoint with a data plane.

    Args:
        endpoint: IKE.
        data_plane: What carries packets, and IKE's datagrams.
        observer: Who is told.
        clock: Real time.
    """

    def __init__(
        self, endpoint: IkeEndpoint, data_plane: DataPlane, observer: Observer, clock: MonotonicClock
    ) -> None:
        self.endpoint = endpoint
        self.policies: dict[PolicyId, SpdEntry] = {}
        """The SPD as the data plane has it."""

        self.sad: dict[tuple[Direction, Spi, Path], SadEntry] = {}
        """The SAD as the data plane has it."""

        self.lifetimes: dict[Spi, Lifetime] = {}
        """Limits of the inbound SAs that exist, by SPI."""

        self.failures: Counter[str] = Counter()
        """Datagrams that could not be sent, and changes that the data plane refused."""

        self._data_plane = data_plane
        self._observer = observer
        self._clock = clock
        self._heard: dict[Spi, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = Instant(0)
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Listen to the data plane from now on; call it in a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._data_plane.fileno(), self._on_readable)
        self.drain()

    def stop(self) -> None:
        """Listen no more."""
        if self._loop is not None:
            self._loop.remove_reader(self._data_plane.fileno())
        if self._timer is not None:
            self._timer.cancel()
        self._loop = None

    def drain(self) -> None:
        """Take everything out of the endpoint, in order; call it after anything that went in."""
        for stage in _stages(self.endpoint.sa_changes()):
            self._apply(stage)
        for transmit in self.endpoint.transmits():
            self._send(transmit)
        self._rearm()
        for event in self.endpoint.events():
            self._observer.on_ike_event(event)
        self._observer.on_drained()

    def change(self, changes: Sequence[Change]) -> None:
        """Make changes that are not the endpoint's, all of them or none.

        Raises:
            LocalError: The data plane refuses one.
        """
        done: list[Change] = []
        for stage in _stages(changes):
            try:
                self._data_plane.apply(stage, self._clock.now())
            except LocalError:
                self._apply([RemovePolicy(one.entry.id) for one in done if isinstance(one, AddPolicy)])
                raise
            self._made(stage)
            done += stage

    def report_traffic(self) -> None:
        """Tell the endpoint which peers were heard since the last call, as their packets were authentic."""
        now, heard = self._clock.now(), {}
        for sa in self._data_plane.stats().sas:
            if sa.direction is Direction.INBOUND:
                heard[sa.spi] = sa.packets
                if sa.packets > self._heard.get(sa.spi, 0):
                    self.endpoint.heard(sa.spi, now)
        self._heard = heard
        self.drain()

    def _on_readable(self) -> None:
        for event in self._data_plane.take_events():
            self._take(event, self._clock.now())
            self.drain()

    def _on_timer(self) -> None:
        self._timer = None
        now, due = self._clock.now(), self.endpoint.next_timeout()
        if due is not None and due <= now:
            self.endpoint.handle_timeout(now)
        self.drain()

    def _take(self, event: Event, now: Instant) -> None:
        match event:
            case IkeDatagram(path=path, data=data):
                self.endpoint.receive_datagram(data, path, now)
            case SoftExpire() | HardExpire() | SequenceExhausted():
                self._expire(event, now)
            case PeerMoved(spi=spi, new=new):
                self.endpoint.peer_moved(spi, new, now)
            case Acquire():
                self._observer.on_acquire(event)
            case UnknownSpi(spi=spi, remote=remote):
                _DATA_PLANE_LOG.info("%s sent with the SPI %s of no SA", remote, format_spi(spi))
            case SequenceLow():
                self._observer.on_sequence_low(event)
            case Audit():
                _DATA_PLANE_LOG.warning("%s", audit_text(event))
                self._observer.on_audit(event)
            case DeviceLost():
                self._observer.on_device_lost(event)

    def _expire(self, event: SoftExpire | HardExpire | SequenceExhausted, now: Instant) -> None:
        spi = format_spi(event.spi)
        self._observer.on_expire(event)
        if isinstance(event, SequenceExhausted):
            _DATA_PLANE_LOG.warning("the sequence numbers of %s are used up", spi)
            self._observer.on_audit(event)
            self.endpoint.expire(event.peer_spi, now, hard=True)
            return
        is_hard = isinstance(event, HardExpire)
        if isinstance(event, HardExpire):
            self._observer.on_audit(event)
        level, kind = (logging.WARNING, "hard") if is_hard else (logging.DEBUG, "soft")
        _DATA_PLANE_LOG.log(level, "%s reached its %s limit of %s", spi, kind, event.limit.value)
        is_inbound = event.direction is Direction.INBOUND
        self.endpoint.expire(event.spi if is_inbound else event.peer_spi, now, hard=is_hard)

    def _apply(self, changes: list[Change]) -> None:
        now = self._clock.now()
        try:
            self._data_plane.apply(changes, now)
        except LocalError:
            changes = [change for change in changes if self._applied_alone(change, now)]
        self._made(changes)

    def _made(self, changes: Sequence[Change]) -> None:
        self._note(changes)
        self._observer.on_changes(changes)

    def _applied_alone(self, change: Change, now: Instant) -> bool:
        try:
            self._data_plane.apply([change], now)
        except LocalError as error:
            self.failures["change refused"] += 1
            _LOG.error("the data plane refused a change: %s", error)
            return False
        return True

    def _note(self, changes: Sequence[Change]) -> None:
        for change in changes:
            match change:
                case AddPolicy(entry):
                    self.policies[entry.id] = entry
                case RemovePolicy(id):
                    self.policies.pop(id, None)
                case AddSa(entry):
                    self.sad[entry.direction, entry.spi, entry.path] = entry
                    if entry.direction is Direction.INBOUND:
                        self.lifetimes[entry.spi] = entry.lifetime
                case RemoveSa(direction, spi, path):
                    self.sad.pop((direction, spi, path), None)
                    if direction is Direction.INBOUND:
                        self.lifetimes.pop(spi, None)
                case MoveSa(direction, spi, old, new) if (direction, spi, old) in self.sad:
                    entry = self.sad.pop((direction, spi, old))
                    self.sad[direction, spi, new] = replace(entry, path=new)

    def _send(self, transmit: Transmit | Keepalive) -> None:
        try:
            if isinstance(transmit, Keepalive):
                self._data_plane.send_keepalive(transmit.path)
            else:
                self._data_plane.send_ike(transmit.data, transmit.path, encapsulated=transmit.encapsulated)
        except IpsecError as error:
            self.failures["datagram not sent"] += 1
            _LOG.info("not sent on %s: %s", transmit.path, error)

    def _rearm(self) -> None:
        """Wake up in time; a timer that goes off too early costs less than setting it anew each time."""
        due = self.endpoint.next_timeout()
        if due is None or self._loop is None or (self._timer is not None and self._timer_due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        wait = (due - self._clock.now()).in_seconds
        self._timer, self._timer_due = self._loop.call_later(max(wait, 0.0), self._on_timer), due


def _stages(changes: Sequence[Change]) -> list[list[Change]]:
    """Divide changes such that new policies, and with them their routes, are there before an SA receives.

    What an SA lets in is answered at once, and without its route the answer would leave in the clear.
    """
    stages: list[list[Change]] = []
    is_policy_new = False
    for change in changes:
        if not stages or (is_policy_new and isinstance(change, AddSa)):
            stages.append([])
            is_policy_new = False
        stages[-1].append(change)
        is_policy_new |= isinstance(change, AddPolicy)
    return stages


def audit_text(event: Audit) -> str:
    """Return what RFC 4301 and RFC 4303 want in the audit log, except the time, which the log has."""
    parts = [event.reason, f"from {event.source} to {event.destination}"]
    if event.spi is not None:
        parts.append(f"SPI {format_spi(event.spi)}")
    if event.sequence is not None:
        parts.append(f"sequence number {event.sequence}")
    if event.flow_label is not None:
        parts.append(f"flow label {event.flow_label:#x}")
    return "audit: " + ", ".join(parts)
