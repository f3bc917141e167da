"""Puts the rooms together, and takes them apart again in an order that leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from perilune.agent.node import NodeFacts
from perilune.config.settings import DaemonSettings, Settings
from perilune.daemon.control import Control
from perilune.daemon.event_log import counter_of, log_event
from perilune.daemon.log import set_level, set_up_logging
from perilune.daemon.node import LiveNode
from perilune.daemon.privileges import check_system
from perilune.daemon.route_keeper import RouteKeeper
from perilune.daemon.supervisor import tell_supervisor
from perilune.databases.changes import AddPolicy, AddSa, Change, RemovePolicy
from perilune.dataplane.events import Acquire, DeviceLost
from perilune.dataplane.runtime import Runtime, RuntimeSettings
from perilune.ike.endpoint import IkeEndpoint
from perilune.ike.events import IkeEvent, IkeKeysDerived, IkeSaDown, PathWanted
from perilune.ike.settings import EndpointSettings
from perilune.ike.timers import IkeTimers
from perilune.model.errors import LocalError, ResourceError
from perilune.shell.clock import MonotonicClock
from perilune.shell.driver import Driver, Observer
from perilune.shell.key_log import KeyLog
from perilune.shell.rng import KernelRng
from perilune.shell.routes import Routes, RouteSettings

FAREWELL_SECONDS = 2.0
"""How long a shutdown waits for peers to answer the deletion of their SAs."""

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
        self._lost: DeviceLost | None = None
        self._clock = MonotonicClock()
        self._key_log = KeyLog(daemon.keylog) if daemon.keylog else None
        self._endpoint = IkeEndpoint(endpoint_settings(daemon), KernelRng())
        self._data_plane = Runtime(runtime_settings(daemon))
        self._driver = Driver(self._endpoint, self._data_plane, self, self._clock)
        self._node = LiveNode(
            facts=node_facts(self._clock),
            settings=settings,
            driver=self._driver,
            data_plane=self._data_plane,
            clock=self._clock,
            reload=self._reload,
            stop=self._stopping.set,
        )
        self._control = Control(self._node, daemon.vici)
        self._routes = RouteKeeper(Routes(route_settings(daemon, self._data_plane.tun_name)))

    async def run(self) -> None:
        """Run until told to stop.

        Raises:
            LocalError: Another daemon listens on the control socket.
            ResourceError: The system refused a device, a route or a socket.
        """
        asyncio.get_running_loop().set_exception_handler(_log_unexpected)
        async with AsyncExitStack() as stack:
            stack.callback(self._data_plane.close)
            stack.push_async_callback(self._routes.close)
            await self._routes.open(is_routing=self._settings.daemon.install_routes)
            stack.push_async_callback(self._control.close)
            await self._control.open()
            self._endpoint.load(self._settings.connections, self._settings.secrets, self._clock.now())
            self._listen_to_signals()
            stack.callback(self._driver.stop)
            self._driver.start()
            tell_supervisor("READY=1")
            _LOG.info(
                "ready: device %s, control socket %s", self._data_plane.tun_name, self._settings.daemon.vici
            )
            await self._stopping.wait()
            await self._say_farewell()
        if self._lost is not None:
            raise ResourceError(f"the device {self._lost.name} is gone: {self._lost.reason}")
        _LOG.info("stopped")

    def on_ike_event(self, event: IkeEvent) -> None:
        """Log it, count it, act on it, tell clients."""
        log_event(event)
        self._node.counts[counter_of(event)] += 1
        match event:
            case PathWanted(connection, child) if not self._stopping.is_set():
                self._node.want(connection, child)
            case IkeKeysDerived(ike, suite, keys) if self._key_log is not None:
                self._key_log.add_ike_sa(ike.spi_i, ike.spi_r, suite, keys)
            case IkeSaDown() if self._stopping.is_set() and not self._endpoint.status().ike_sas:
                self._farewell.set()
        self._control.observe(event)

    def on_acquire(self, event: Acquire) -> None:
        """Set up the child that a packet wants."""
        if not self._stopping.is_set():
            self._node.acquire(event)

    def on_changes(self, changes: Sequence[Change]) -> None:
        """Write keys down, and let routes follow policies."""
        for change in changes:
            if isinstance(change, AddSa) and self._key_log is not None:
                self._key_log.add_esp_sa(change.entry)
        if any(isinstance(change, AddPolicy | RemovePolicy) for change in changes):
            self._routes.follow(tuple(self._driver.policies.values()))

    def on_device_lost(self, event: DeviceLost) -> None:
        """Stop: without the device nothing can be carried."""
        _LOG.error("the device %s is gone: %s", event.name, event.reason)
        self._lost = event
        self._stopping.set()

    def on_drained(self) -> None:
        """Send clients what is for them."""
        self._control.flush()

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
        for warning in settings.warnings:
            _LOG.warning("%s", warning)
        set_level(settings.daemon.log)
        if fixed_part(settings.daemon) != fixed_part(self._settings.daemon):
            _LOG.warning("the section 'daemon' has changed, which takes effect with the next start")
        self._settings = settings
        self._endpoint.load(settings.connections, settings.secrets, self._clock.now())
        asyncio.get_running_loop().call_soon(self._driver.drain)
        _LOG.info("the configuration was read again: %d connections", len(settings.connections))
        return settings

    async def _say_farewell(self) -> None:
        tell_supervisor("STOPPING=1")
        self._node.cancel()
        self._endpoint.shutdown(self._clock.now())
        self._driver.drain()
        if self._endpoint.status().ike_sas:
            try:
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await self._farewell.wait()
            except TimeoutError:
                _LOG.warning("some peers did not answer that their SAs are deleted")


def _log_unexpected(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what no part of the daemon expected; the rest of it goes on."""
    _LOG.error("unexpected: %s", context.get("message"), exc_info=context.get("exception"))


def endpoint_settings(daemon: DaemonSettings) -> EndpointSettings:
    """Return IKE's part of the daemon's settings."""
    timers = IkeTimers(
        retransmit_first=daemon.retransmit_timeout,
        retransmit_base=daemon.retransmit_base,
        retransmit_tries=daemon.retransmit_tries,
        retransmit_limit=daemon.retransmit_limit,
        keepalive=daemon.keep_alive,
    )
    return EndpointSettings(
        timers=timers,
        cookie_threshold=daemon.half_open_cookie_threshold,
        nat_t_port=daemon.port_nat_t,
        export_keys=daemon.keylog is not None,
    )


def runtime_settings(daemon: DaemonSettings) -> RuntimeSettings:
    """Return the data plane's part of the daemon's settings."""
    return RuntimeSettings(
        tun_name=daemon.tun,
        ike_port=daemon.port,
        nat_t_port=daemon.port_nat_t,
        mark=daemon.fwmark or None,
    )


def route_settings(daemon: DaemonSettings, device: str) -> RouteSettings:
    """Return the routes' part of the daemon's settings."""
    return RouteSettings(
        device=device,
        mtu=daemon.mtu,
        table=daemon.routing_table,
        priority=daemon.routing_table_prio,
        mark=daemon.fwmark,
    )


def node_facts(clock: MonotonicClock) -> NodeFacts:
    """Return what this host and this package are."""
    system = os.uname()
    try:
        package = version("perilune")
    except PackageNotFoundError:
        package = "not installed"
    return NodeFacts(
        version=package,
        sysname=system.sysname,
        release=system.release,
        machine=system.machine,
        started_at=clock.now(),
        started_text=datetime.now(UTC).astimezone().strftime("%b %d %H:%M:%S %Y"),
    )


def fixed_part(daemon: DaemonSettings) -> tuple[object, ...]:
    """Return what a running daemon cannot change."""
    return (endpoint_settings(daemon), runtime_settings(daemon), route_settings(daemon, ""), daemon.vici)
