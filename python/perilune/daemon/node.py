"""This node: what a management protocol sees of the daemon and has it do."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence

from perilune.agent.node import AuditState, ChosenSas, NodeFacts
from perilune.config.settings import Settings
from perilune.daemon.manual_sas import ManualSas
from perilune.databases.pad import PadEntry
from perilune.databases.sad import Lifetime, SadEntry
from perilune.databases.spd import SpdEntry
from perilune.dataplane.events import Acquire
from perilune.dataplane.interface import DataPlane
from perilune.dataplane.stats import DataPlaneStats
from perilune.ike.status import EndpointStatus
from perilune.model.address import Path
from perilune.model.errors import LocalError
from perilune.model.spi import Spi
from perilune.model.time import Instant
from perilune.shell.clock import MonotonicClock
from perilune.shell.driver import Driver
from perilune.shell.resolver import resolve_path

_LOG = logging.getLogger("perilune.daemon")
_DoTo = Callable[[int, Instant], int]
_WAITS_FOR_A_ROUTE_S = (1, 2, 4, 8, 16, 0)


class LiveNode:
    """The running daemon; an `agent.node.Node`.

    Args:
        facts: What it is.
        settings: The configuration in force.
        driver: Where inputs of the endpoint go.
        data_plane: Whose counters are shown.
        manual: SAs with manual keys.
        clock: Real time.
        reload: Reads the configuration again and returns it.
        stop: Begins the shutdown.
        audit: Tells how the audit log stands.
    """

    def __init__(  # noqa: PLR0913 - the parts of the daemon that commands reach
        self,
        *,
        facts: NodeFacts,
        settings: Settings,
        driver: Driver,
        data_plane: DataPlane,
        manual: ManualSas,
        clock: MonotonicClock,
        reload: Callable[[], Settings],
        stop: Callable[[], None],
        audit: Callable[[], AuditState | None],
    ) -> None:
        self._facts = facts
        self._settings = settings
        self._driver = driver
        self._data_plane = data_plane
        self._manual = manual
        self._clock = clock
        self._reload = reload
        self._stop = stop
        self._audit = audit
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        """Events of IKE, by kind."""

    @property
    def facts(self) -> NodeFacts:
        """See `Node.facts`."""
        return self._facts

    @property
    def connections(self) -> Sequence[PadEntry]:
        """See `Node.connections`."""
        return self._settings.connections

    @property
    def audit(self) -> AuditState | None:
        """See `Node.audit`."""
        return self._audit()

    @property
    def policies(self) -> Sequence[SpdEntry]:
        """See `Node.policies`; in the order in which they are asked."""
        return sorted(self._driver.policies.values(), key=lambda entry: (entry.priority, entry.id))

    @property
    def sad(self) -> Sequence[SadEntry]:
        """See `Node.sad`."""
        return list(self._driver.sad.values())

    @property
    def exchanges(self) -> Mapping[str, int]:
        """See `Node.exchanges`."""
        return dict(sorted((self.counts + self._driver.failures).items()))

    def now(self) -> Instant:
        """See `Node.now`."""
        return self._clock.now()

    def status(self) -> EndpointStatus:
        """See `Node.status`."""
        return self._driver.endpoint.status()

    def stats(self) -> DataPlaneStats:
        """See `Node.stats`."""
        return self._data_plane.stats()

    def lifetime(self, spi_in: Spi) -> Lifetime | None:
        """See `Node.lifetime`."""
        return self._driver.lifetimes.get(spi_in)

    def initiate(self, connection: str, child: str | None, on_settled: Callable[[str], None]) -> None:
        """See `Node.initiate`."""
        self._spawn(self._initiate(connection, child, on_settled))

    def want(self, connection: str, child: str) -> None:
        """Initiate a child that is to be up."""
        self._spawn(self._keep_trying(connection, child))

    def acquire(self, event: Acquire) -> None:
        """Set up the child that a packet wants."""
        self._spawn(self._acquire(event))

    def add_sa(self, name: str, values: Mapping[str, str]) -> None:
        """See `Node.add_sa`."""
        self._manual.add(name, values)

    def remove_sa(self, name: str) -> None:
        """See `Node.remove_sa`."""
        self._manual.remove(name)

    def terminate(self, chosen: ChosenSas) -> int:
        """See `Node.terminate`."""
        endpoint = self._driver.endpoint
        return self._each(chosen, endpoint.terminate_ike, endpoint.terminate_child)

    def rekey(self, chosen: ChosenSas) -> int:
        """See `Node.rekey`."""
        endpoint = self._driver.endpoint
        return self._each(chosen, endpoint.rekey_ike, endpoint.rekey_child)

    def _each(self, chosen: ChosenSas, do_ike: _DoTo, do_child: _DoTo) -> int:
        """Do something to each that is chosen.

        Returns:
            How many they are.
        """
        status, now = self.status(), self.now()
        ike_sas, children = chosen.ike_sas(status), chosen.children(status)
        for ike in ike_sas:
            do_ike(ike.id, now)
        for child in children:
            do_child(child.id, now)
        asyncio.get_running_loop().call_soon(self._driver.drain)
        return len(ike_sas) + len(children)

    def reload(self) -> None:
        """See `Node.reload`."""
        self._settings = self._reload()

    def stop(self) -> None:
        """See `Node.stop`."""
        self._stop()

    def cancel(self) -> None:
        """End what waits for addresses."""
        for task in self._tasks:
            task.cancel()

    async def _initiate(self, connection: str, child: str | None, on_settled: Callable[[str], None]) -> None:
        try:
            path = await self._path_of(connection)
            if self._driver.endpoint.initiate(connection, child, path, self.now()).already_up:
                on_settled("")
        except LocalError as error:
            on_settled(str(error))
        self._driver.drain()

    async def _keep_trying(self, connection: str, child: str) -> None:
        """Initiate as soon as there is an address and a route; the endpoint asks again after a minute."""
        for wait_s in _WAITS_FOR_A_ROUTE_S:
            failures: list[str] = []
            await self._initiate(connection, child, failures.append)
            if not any(failures):
                return
            _LOG.warning("%s/%s cannot be initiated now: %s", connection, child, failures[0])
            await asyncio.sleep(wait_s)

    async def _acquire(self, event: Acquire) -> None:
        policy = self._driver.policies.get(event.policy)
        if policy is None:
            return
        try:
            connection = self._driver.endpoint.connection_of(event.policy)
            path = await self._path_of(connection or policy.name)
            self._driver.endpoint.acquire(event.policy, event.flow, self.now(), path)
        except LocalError as error:
            _LOG.warning("%s wants an SA for %s: %s", event.flow, policy.name, error)
        self._driver.drain()

    async def _path_of(self, connection: str) -> Path:
        entry = next((entry for entry in self.connections if entry.name == connection), None)
        if entry is None:
            raise LocalError(f"there is no connection '{connection}' in the configuration")
        daemon = self._settings.daemon
        return await resolve_path(entry, port=daemon.port, mark=daemon.fwmark)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
