"""Puts the rooms together, and takes them apart again in an order that leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from perilune.config.settings import Settings
from perilune.daemon.auditor import Auditor
from perilune.daemon.control import Control
from perilune.daemon.enforcement import Enforcement
from perilune.daemon.event_log import counter_of, log_event
from perilune.daemon.log import set_level, set_up_logging
from perilune.daemon.manual_sas import ManualSas
from perilune.daemon.node import LiveNode
from perilune.daemon.parts import (
    boundary_settings,
    endpoint_settings,
    fixed_part,
    last_entry,
    node_facts,
    route_settings,
    runtime_settings,
)
from perilune.daemon.privileges import check_system
from perilune.daemon.supervisor import tell_supervisor
from perilune.databases.changes import AddPolicy, AddSa, Change, RemovePolicy
from perilune.dataplane.events import (
    Acquire,
    Audit,
    DeviceLost,
    HardExpire,
    SequenceExhausted,
    SequenceLow,
    SoftExpire,
)
from perilune.dataplane.runtime import Runtime
from perilune.ike.endpoint import IkeEndpoint
from perilune.ike.events import IkeEvent, IkeKeysDerived, IkeSaDown, PathWanted
from perilune.model.address import Path
from perilune.model.errors import LocalError, ResourceError
from perilune.shell.audit import AuditLog
from perilune.shell.clock import MonotonicClock
from perilune.shell.driver import Driver, Observer
from perilune.shell.dummy_traffic import DummyTimer, DummyTraffic
from perilune.shell.key_log import KeyLog
from perilune.shell.resolver import dynamic_paths
from perilune.shell.rng import KernelRng
from perilune.shell.route_table import RouteTable
from perilune.shell.sequence_file import SequenceFile

FAREWELL_SECONDS = 2.0
"""How long a shutdown waits for peers to answer the deletion of their SAs."""

_ADDRESSES_SECONDS = 5.0
_NOTE_SECONDS = 30.0
_LOG = logging.getLogger("perilune.daemon")


def run_daemon(read_settings: Callable[[], Settings]) -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        read_settings: Reads the configuration; called again on SIGHUP.

    Raises:
        LocalError: The configuration is wrong.
        ResourceError: The system does not allow what the daemon does, or took its device away.
    """
    settings = read_settings()
    set_up_logging(settings.daemon.log)
    for warning in settings.warnings:
        _LOG.warning("%s", warning)
    check_system(settings.daemon)
    asyncio.run(Daemon(settings, read_settings).run())


class Daemon(Observer):
    """One run of the daemon.

    Args:
        settings: The configuration.
        read_settings: Reads it again.
    """

    def __init__(self, settings: Settings, read_settings: Callable[[], Settings]) -> None:
        daemon = settings.daemon
        self._settings = settings
        self._read_settings = read_settings
        self._stopping = asyncio.Event()
        self._farewell = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._paths: dict[str, Path] = {}
        self._lost: DeviceLost | None = None
        self._clock = MonotonicClock()
        self._key_log = KeyLog(daemon.keylog) if daemon.keylog else None
        self._endpoint = IkeEndpoint(endpoint_settings(daemon), KernelRng())
        self._data_plane = Runtime(replace(runtime_settings(daemon), tells_users=bool(settings.users)))
        self._auditor = self._new_auditor(daemon.audit_log) if daemon.audit_log else None
        self._dummies = DummyTimer(DummyTraffic(self._data_plane.send_dummies, KernelRng()), self._clock)
        self._driver = Driver(self._endpoint, self._data_plane, self, self._clock)
        self._sequences = SequenceFile(daemon.sequence_file) if daemon.sequence_file else None
        self._manual = ManualSas(self._driver, self._data_plane, self._clock, daemon, self._sequences)
        self._node = LiveNode(
            facts=node_facts(self._clock),
            settings=settings,
            driver=self._driver,
            data_plane=self._data_plane,
            manual=self._manual,
            clock=self._clock,
            reload=self._reload,
            stop=self._stopping.set,
            audit=lambda: self._auditor.state if self._auditor else None,
        )
        self._control = Control(self._node, daemon.vici)
        device = self._data_plane.device_name
        self._enforcement = Enforcement(daemon.enforce_policy, boundary_settings(daemon, device))
        routes = route_settings(daemon, device)
        self._routes = RouteTable(routes) if routes else None

    async def run(self) -> None:
        """Run until told to stop.

        Raises:
            LocalError: Another daemon listens on the control socket.
            ResourceError: The system refused a device, a route or a socket.
        """
        asyncio.get_running_loop().set_exception_handler(_log_unexpected)
        async with AsyncExitStack() as stack:
            stack.callback(self._data_plane.close)
            if self._auditor is not None:
                self._auditor.open(self._node.facts.version, len(self._settings.connections))
                stack.callback(self._auditor.close)
            self._open_sequences()
            self._data_plane.know_users(self._settings.users)
            self._enforcement.open()
            if self._routes is not None:
                stack.callback(self._routes.close)
                self._routes.open()
            stack.push_async_callback(self._control.close)
            await self._control.open()
            self._manual.load(self._settings.sas)
            stack.callback(self._manual.close)
            await self._load()
            self._end_spd()
            self._enforcement.begin()
            self._listen_to_signals()
            stack.push_async_callback(self._end_tasks)
            self._tasks |= {
                asyncio.create_task(self._report_traffic()),
                asyncio.create_task(self._follow_addresses()),
                asyncio.create_task(self._note_received()),
            }
            if self._auditor is not None:
                self._tasks.add(asyncio.create_task(self._auditor.keep_up()))
            stack.callback(self._driver.stop)
            stack.callback(self._dummies.stop)
            self._driver.start()
            tell_supervisor("READY=1")
            _LOG.info("ready: %s, control socket %s", self._placement(), self._settings.daemon.vici)
            await self._stopping.wait()
            await self._say_farewell()
            await self._enforcement.say_farewell()
        if self._lost is not None:
            raise ResourceError(f"the device {self._lost.name} is gone: {self._lost.reason}")
        _LOG.info("stopped")

    def on_ike_event(self, event: IkeEvent) -> None:
        """Log it, count it, act on it, tell clients."""
        log_event(event)
        if self._auditor is not None:
            self._auditor.on_ike_event(event)
        self._node.counts[counter_of(event)] += 1
        match event:
            case PathWanted(connection, child) if not self._stopping.is_set():
                self._node.want(connection, child)
            case IkeKeysDerived():
                self._write_ike_keys(event)
            case IkeSaDown() if self._stopping.is_set() and self._endpoint.is_quiet:
                self._farewell.set()
        self._control.observe(event)

    def on_acquire(self, event: Acquire) -> None:
        """Set up the child that a packet wants."""
        if not self._stopping.is_set():
            self._node.acquire(event)

    def on_expire(self, event: SoftExpire | HardExpire | SequenceExhausted) -> None:
        """Tell who looks after SAs that nobody negotiates."""
        self._manual.on_expire(event)

    def on_sequence_low(self, event: SequenceLow) -> None:
        """Have more sequence numbers reserved."""
        self._manual.on_sequence_low(event)

    def on_audit(self, event: Audit | HardExpire | SequenceExhausted) -> None:
        """Write it down."""
        if self._auditor is not None:
            self._auditor.on_data_plane(event)

    def on_changes(self, changes: Sequence[Change]) -> None:
        """Write them and their keys down; routes follow policies before a datagram is sent, the rest soon."""
        if self._auditor is not None:
            self._auditor.on_changes(changes)
        self._dummies.follow(changes)
        try:
            for change in changes:
                if isinstance(change, AddSa) and self._key_log is not None:
                    self._key_log.add_esp_sa(change.entry)
            self._enforcement.follow(changes, only_grow=self._stopping.is_set())
            if self._routes is not None:
                # A route that one policy hands to the next is there all the time.
                self._routes.add([change.entry for change in changes if isinstance(change, AddPolicy)])
                self._routes.remove([change.id for change in changes if isinstance(change, RemovePolicy)])
        except ResourceError as error:
            _LOG.error("%s", error)

    def on_device_lost(self, event: DeviceLost) -> None:
        """Stop: without the device nothing can be carried."""
        _LOG.error("the device %s is gone: %s", event.name, event.reason)
        if self._auditor is not None:
            self._auditor.on_data_plane(event)
        self._lost = event
        self._stopping.set()

    def on_drained(self) -> None:
        """Send clients what is for them."""
        self._control.flush()

    def _new_auditor(self, path: FilePath) -> Auditor:
        log = AuditLog(path, self._settings.daemon.audit_log_octets)
        return Auditor(log, self._clock, lambda: self._data_plane.stats().drops)

    def _placement(self) -> str:
        wire = self._settings.daemon.wire
        device = f"device {self._data_plane.device_name}"
        return f"between {wire.inside} and {wire.outside}" if wire else device

    def _write_ike_keys(self, event: IkeKeysDerived) -> None:
        if self._key_log is not None:
            try:
                self._key_log.add_ike_sa(event.ike.spi_i, event.ike.spi_r, event.suite, event.keys)
            except ResourceError as error:
                _LOG.error("%s", error)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)

    def _on_hangup(self) -> None:
        try:
            self._node.reload()
        except LocalError as error:
            for line in str(error).splitlines():
                _LOG.error("the configuration is wrong, the old one stays: %s", line)

    def _reload(self) -> Settings:
        settings = self._read_settings()
        try:
            self._data_plane.know_users(settings.users)
        except ResourceError as error:
            raise LocalError(str(error)) from error
        for warning in settings.warnings:
            _LOG.warning("%s", warning)
        set_level(settings.daemon.log)
        if fixed_part(settings.daemon) != fixed_part(self._settings.daemon):
            _LOG.warning("the section 'daemon' has changed, which takes effect with the next start")
        self._settings = settings
        if self._auditor is not None:
            self._auditor.on_settings(len(settings.connections))
        self._manual.load(settings.sas)
        task = asyncio.create_task(self._load())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        _LOG.info("the configuration was read again, connections: %d", len(settings.connections))
        return settings

    async def _load(self) -> None:
        """Give the endpoint the settings, with the addresses that trapped children need."""
        settings = self._settings
        paths = await self._dynamic_paths()
        if settings is self._settings:
            self._paths = paths
            self._endpoint.load(
                settings.connections,
                settings.secrets,
                self._clock.now(),
                paths=paths,
                policies=settings.policies,
            )
            self._driver.drain()

    def _end_spd(self) -> None:
        """Let by what no policy selects, if so configured: not before there are the policies that do."""
        if last := last_entry(self._settings.daemon):
            self._data_plane.apply([AddPolicy(last)], self._clock.now())
            self._driver.policies[last.id] = last

    async def _dynamic_paths(self) -> dict[str, Path]:
        daemon = self._settings.daemon
        stand = daemon.enforce_policy is not False
        return await dynamic_paths(self._settings.connections, daemon.port, daemon.fwmark, stand=stand)

    async def _follow_addresses(self) -> None:
        """Do now and then what was not possible before: find addresses, set the boundary."""
        while True:
            await asyncio.sleep(_ADDRESSES_SECONDS)
            await self._enforcement.settle()
            if (await self._dynamic_paths()).keys() - self._paths.keys():
                await self._load()

    async def _report_traffic(self) -> None:
        """Let the endpoint know which peers are heard, so that it need not ask whether they live."""
        while True:
            delays = [entry.dpd_delay.in_seconds for entry in self._settings.connections if entry.dpd_delay]
            if delays:
                self._driver.report_traffic()
            await asyncio.sleep(min(max(min(delays, default=10.0) / 2, 0.25), 10.0))

    def _open_sequences(self) -> None:
        if self._sequences is not None and not self._sequences.open():
            _LOG.warning(
                "%s is new: sequence numbers of manual keys begin at 1; keys that were in use before must"
                " be replaced",
                self._settings.daemon.sequence_file,
            )

    async def _note_received(self) -> None:
        """Have the disc know from time to time what was received with manual keys."""
        while True:
            await asyncio.sleep(_NOTE_SECONDS)
            try:
                self._manual.note_received()
            except ResourceError as error:
                _LOG.error("%s", error)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _say_farewell(self) -> None:
        tell_supervisor("STOPPING=1")
        self._node.cancel()
        self._endpoint.shutdown(self._clock.now())
        self._driver.drain()
        if not self._endpoint.is_quiet:
            try:
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await self._farewell.wait()
            except TimeoutError:
                _LOG.warning("some peers did not answer that their SAs are deleted")


def _log_unexpected(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what no part of the daemon expected; the rest of it goes on."""
    _LOG.error("unexpected: %s", context.get("message"), exc_info=context.get("exception"))
