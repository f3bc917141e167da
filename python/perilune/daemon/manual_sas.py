"""SAs with manual keys in a running daemon: from the configuration, and from the command `sa add`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perilune.config.manual_sas import manual_sa_of
from perilune.config.settings import DaemonSettings
from perilune.daemon.manual_sequences import ManualSequences
from perilune.databases.changes import AddPolicy, AddSa, RemovePolicy, RemoveSa, ReserveSequence
from perilune.databases.manual import ManualKeys, ManualSa, conflicts, outermost_first
from perilune.databases.sad import Direction, SadEntry, SaName
from perilune.databases.spd import Action, PolicyId, SpdEntry
from perilune.dataplane.events import HardExpire, SequenceExhausted, SequenceLow, SoftExpire
from perilune.dataplane.interface import DataPlane
from perilune.ike.policies import LAST_OWN_POLICY, priority_of
from perilune.model.errors import LocalError, ResourceError
from perilune.shell.clock import MonotonicClock
from perilune.shell.driver import Driver
from perilune.shell.sequence_file import SequenceFile

_LOG = logging.getLogger("perilune.daemon")


@dataclass(slots=True)
class _Installed:
    sa: ManualSa
    policy: PolicyId
    is_configured: bool


class ManualSas:
    """The SAs with manual keys that are installed.

    Args:
        driver: Makes changes of the data plane.
        data_plane: Whose counters tell what was received.
        clock: Real time.
        daemon: Settings that an SA of a command is read with.
        sequences: Keeps sequence numbers, opened; None where the configuration names no file.
    """

    def __init__(
        self,
        driver: Driver,
        data_plane: DataPlane,
        clock: MonotonicClock,
        daemon: DaemonSettings,
        sequences: SequenceFile | None,
    ) -> None:
        self._driver = driver
        self._data_plane = data_plane
        self._clock = clock
        self._daemon = daemon
        self._sequences = ManualSequences(sequences)
        self._installed: dict[str, _Installed] = {}
        self._barred: dict[str, PolicyId] = {}
        """SPD entries of the configuration's SAs that could not be installed: their traffic is dropped."""

        self._last_policy = LAST_OWN_POLICY

    def load(self, sas: Sequence[ManualSa]) -> None:
        """Have the configuration's SAs installed, and none that it named before; others stay as they are.

        The SPD entries of those that go stand until the others are there, so that nothing passes in the
        clear in between. That of an SA that cannot be installed stands without it.
        """
        wanted = {sa.name: sa for sa in sas}
        old = [self._take_out(name) for name in self._outdated(wanted)] + list(self._barred.values())
        self._barred = {}
        for sa in outermost_first(sas):
            if sa.name in self._installed:
                self._installed[sa.name].is_configured = True
                continue
            try:
                self._check_beside_others(sa)
                self._install(sa, is_configured=True)
            except (LocalError, ResourceError) as error:
                _LOG.error("SA %s is not installed, and its traffic is dropped: %s", sa.name, error)
                spd = self._new_spd_entry(sa)
                self._driver.change([AddPolicy(spd)])
                self._barred[sa.name] = spd.id
        self._driver.change([RemovePolicy(policy) for policy in old])

    def add(self, name: str, values: Mapping[str, str]) -> None:
        """Install an SA until the daemon ends.

        Args:
            name: A name that no other SA has.
            values: Keys of `sas.<sa>` and their values.

        Raises:
            LocalError: There is such an SA already, or a value is wrong.
            ResourceError: The file of sequence numbers cannot be written.
        """
        if name in self._installed:
            raise LocalError(f"there is an SA '{name}' already")
        sa = manual_sa_of(name, values, self._daemon)
        self._check_beside_others(sa)
        self._install(sa, is_configured=False)
        barred = self._barred.pop(name, None)
        if barred is not None:
            self._driver.change([RemovePolicy(barred)])

    def remove(self, name: str) -> None:
        """Remove an SA; one of the configuration comes back with the next start or reload.

        Raises:
            LocalError: There is no such SA, or others travel in it.
        """
        if name not in self._installed:
            raise LocalError(f"there is no SA '{name}' with manual keys")
        inside = [entry.sa.name for entry in self._installed.values() if entry.sa.within == name]
        if inside:
            raise LocalError(f"SA '{inside[0]}' is within '{name}'; remove it first")
        self._driver.change([RemovePolicy(self._take_out(name))])

    def on_sequence_low(self, event: SequenceLow) -> None:
        """Reserve more sequence numbers."""
        entry = next((one for one in self._installed.values() if one.policy == event.policy), None)
        if entry is None:
            return
        try:
            until = self._sequences.reserve_more(entry.sa, self._clock.now())
            if until is not None:
                self._driver.change([ReserveSequence(event.spi, entry.sa.path, until)])
        except (LocalError, ResourceError) as error:
            _LOG.error("SA %s gets no more sequence numbers: %s", entry.sa.name, error)

    def on_expire(self, event: SoftExpire | HardExpire | SequenceExhausted) -> None:
        """Say that somebody has to give an SA new keys, as nobody negotiates them."""
        entry = next((one for one in self._installed.values() if one.policy == event.policy), None)
        if entry is None:
            return
        match event:
            case SoftExpire(limit=limit):
                why = f"has reached its soft limit of {limit.value} and wants new keys"
            case HardExpire(limit=limit):
                why = f"has reached its hard limit of {limit.value} and has ended"
            case SequenceExhausted():
                why = "has used its last sequence number and has ended"
        _LOG.warning("SA %s %s", entry.sa.name, why)

    def note_received(self) -> None:
        """Have the file know which sequence numbers were received.

        Raises:
            ResourceError: It cannot be written.
        """
        installed = {entry.policy: entry.sa for entry in self._installed.values()}
        self._sequences.note_received(installed, self._data_plane.stats().sas)

    def close(self) -> None:
        """Note what was received, and let go of the file."""
        try:
            self.note_received()
        except ResourceError as error:
            _LOG.error("%s", error)
        self._sequences.close()

    def _outdated(self, wanted: Mapping[str, ManualSa]) -> list[str]:
        """Return the SAs that are to go, with those that travel in them and so name them."""
        gone: dict[str, None] = {}
        for entry in outermost_first([entry.sa for entry in self._installed.values()]):
            is_configured = self._installed[entry.name].is_configured
            is_kept = wanted[entry.name] == entry if entry.name in wanted else not is_configured
            if not is_kept or entry.within in gone:
                gone[entry.name] = None
        return list(reversed(gone))

    def _check_beside_others(self, sa: ManualSa) -> None:
        others = [entry.sa for entry in self._installed.values()]
        for conflict in conflicts([*others, sa]):
            if conflict.sa == sa.name:
                raise LocalError(conflict.reason)

    def _install(self, sa: ManualSa, *, is_configured: bool) -> None:
        spd = self._new_spd_entry(sa)
        entries = [self._entry(sa, spd.id, *one) for one in sa.directions]
        self._driver.change([AddPolicy(spd), *map(AddSa, entries)])
        self._installed[sa.name] = _Installed(sa, spd.id, is_configured)
        self._keep_ike_off_spis()
        _LOG.info(
            "SA %s is installed: %s %s %s", sa.name, sa.protocol.name, sa.processing.mode.value, sa.suite
        )

    def _new_spd_entry(self, sa: ManualSa) -> SpdEntry:
        self._last_policy += 1
        return SpdEntry(
            id=PolicyId(self._last_policy),
            name=f"sas/{sa.name}",
            priority=sa.priority
            if sa.priority is not None
            else priority_of(Action.PROTECT, sa.local, sa.remote),
            action=Action.PROTECT,
            local=sa.local,
            remote=sa.remote,
            acquires=False,
        )

    def _entry(self, sa: ManualSa, policy: PolicyId, direction: Direction, keys: ManualKeys) -> SadEntry:
        other = sa.outbound if direction is Direction.INBOUND else sa.inbound
        return SadEntry(
            spi=keys.spi,
            direction=direction,
            policy=policy,
            path=sa.path,
            encapsulation=sa.encapsulation,
            protocol=sa.protocol,
            processing=sa.processing,
            lookup=sa.lookup,
            within=self._outer(sa, direction),
            suite=sa.suite,
            keys=keys.keys,
            allow_insecure=sa.allow_insecure,
            local=sa.local,
            remote=sa.remote,
            replay_window_packets=sa.replay_window_packets,
            sequence=self._sequences.begin(sa, direction, keys),
            lifetime=sa.lifetime,
            peer_spi=(other or keys).spi,
        )

    def _outer(self, sa: ManualSa, direction: Direction) -> SaName | None:
        if sa.within is None:
            return None
        outer = self._installed[sa.within].sa
        keys = outer.inbound if direction is Direction.INBOUND else outer.outbound
        return None if keys is None else SaName(keys.spi, outer.path)

    def _take_out(self, name: str) -> PolicyId:
        """Remove an SA; return its SPD entry, which is left."""
        try:
            self.note_received()
        except ResourceError as error:
            _LOG.error("%s", error)
        entry = self._installed.pop(name)
        removals = [RemoveSa(direction, keys.spi, entry.sa.path) for direction, keys in entry.sa.directions]
        self._driver.change(removals)
        self._keep_ike_off_spis()
        _LOG.info("SA %s is removed", name)
        return entry.policy

    def _keep_ike_off_spis(self) -> None:
        keys = (entry.sa.inbound for entry in self._installed.values())
        self._driver.endpoint.leave_spis_alone(frozenset(one.spi for one in keys if one is not None))
