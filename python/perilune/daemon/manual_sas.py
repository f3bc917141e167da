"""SAs with manual keys in a running daemon: from the configuration, and from the command `sa add`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from perilune.config.manual_sas import manual_sa_of
from perilune.config.settings import DaemonSettings
from perilune.databases.changes import AddPolicy, AddSa, RemovePolicy, RemoveSa, ReserveSequence
from perilune.databases.manual import ManualKeys, ManualSa, conflicts, outermost_first
from perilune.databases.sad import Direction, SadEntry, SaName, SequenceState
from perilune.databases.spd import Action, PolicyId, SpdEntry
from perilune.dataplane.events import HardExpire, SequenceExhausted, SequenceLow, SoftExpire
from perilune.dataplane.interface import DataPlane
from perilune.ike.policies import LAST_OWN_POLICY, priority_of
from perilune.model.errors import LocalError, ResourceError
from perilune.model.iana import SnId
from perilune.model.time import Duration, Instant
from perilune.shell.clock import MonotonicClock
from perilune.shell.driver import Driver
from perilune.shell.sequence_file import SequenceFile, key_name

_LOG = logging.getLogger("perilune.daemon")
_FIRST_BLOCK: Final = 1 << 16
_LARGEST_BLOCK: Final = 1 << 24
"""Sequence numbers reserved at once; what a daemon that was killed did not use is lost."""

_BUSY: Final = Duration.seconds(10)
"""A block that does not last so long is followed by one of twice the size."""

_LAST_SEQUENCE: Final = {SnId.SEQUENTIAL_32: 2**32 - 1, SnId.PARTIALLY_TRANSMITTED_64: 2**64 - 1}


@dataclass(slots=True)
class _Installed:
    sa: ManualSa
    policy: PolicyId
    is_configured: bool
    reserved: int | None
    """The last sequence number that may be used; None where nobody counts."""

    block: int = _FIRST_BLOCK
    reserved_at: Instant | None = None


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
        self._sequences = sequences
        self._installed: dict[str, _Installed] = {}
        self._last_policy = LAST_OWN_POLICY

    def load(self, sas: Sequence[ManualSa]) -> None:
        """Have the configuration's SAs installed, and none that it named before; others stay as they are."""
        wanted = {sa.name: sa for sa in sas}
        for name in self._outdated(wanted):
            self._remove(name)
        for sa in outermost_first(sas):
            if sa.name in self._installed:
                self._installed[sa.name].is_configured = True
                continue
            try:
                self._check_beside_others(sa)
                self._install(sa, is_configured=True)
            except (LocalError, ResourceError) as error:
                _LOG.error("SA %s is not installed: %s", sa.name, error)

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
        self._remove(name)

    def on_sequence_low(self, event: SequenceLow) -> None:
        """Reserve more sequence numbers."""
        entry = next((one for one in self._installed.values() if one.policy == event.policy), None)
        if entry is None or entry.reserved is None or entry.sa.outbound is None:
            return
        now = self._clock.now()
        if entry.reserved_at is not None and now - entry.reserved_at < _BUSY:
            entry.block = min(2 * entry.block, _LARGEST_BLOCK)
        until = min(entry.reserved + entry.block, _LAST_SEQUENCE[entry.sa.suite.sequence_numbers])
        try:
            self._reserve(entry.sa.outbound, until)
            self._driver.change([ReserveSequence(event.spi, entry.sa.path, until)])
        except (LocalError, ResourceError) as error:
            _LOG.error("SA %s gets no more sequence numbers: %s", entry.sa.name, error)
            return
        entry.reserved, entry.reserved_at = until, now

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
        if self._sequences is None:
            return
        tops = {
            sa.spi: sa.sequence for sa in self._data_plane.stats().sas if sa.direction is Direction.INBOUND
        }
        self._sequences.note_received(
            {
                key_name(keys.counter_key): tops.get(keys.spi, 0)
                for entry in self._installed.values()
                if (keys := entry.sa.inbound) is not None and _is_followed(entry.sa)
            }
        )

    def close(self) -> None:
        """Note what was received, and let go of the file."""
        try:
            self.note_received()
        except ResourceError as error:
            _LOG.error("%s", error)
        if self._sequences is not None:
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
        policy = self._new_policy_id()
        spd = SpdEntry(
            id=policy,
            name=f"sas/{sa.name}",
            priority=sa.priority
            if sa.priority is not None
            else priority_of(Action.PROTECT, sa.local, sa.remote),
            action=Action.PROTECT,
            local=sa.local,
            remote=sa.remote,
            acquires=False,
        )
        entries = [self._entry(sa, policy, *one) for one in sa.directions]
        self._driver.change([AddPolicy(spd), *map(AddSa, entries)])
        reserved = next((one.sequence.reserved for one in entries if one.sequence.reserved), None)
        self._installed[sa.name] = _Installed(sa, policy, is_configured, reserved)
        self._keep_ike_off_spis()
        _LOG.info(
            "SA %s is installed: %s %s %s", sa.name, sa.protocol.name, sa.processing.mode.value, sa.suite
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
            sequence=self._sequence(sa, direction, keys),
            lifetime=sa.lifetime,
            peer_spi=(other or keys).spi,
        )

    def _outer(self, sa: ManualSa, direction: Direction) -> SaName | None:
        if sa.within is None:
            return None
        outer = self._installed[sa.within].sa
        keys = outer.inbound if direction is Direction.INBOUND else outer.outbound
        return None if keys is None else SaName(keys.spi, outer.path)

    def _sequence(self, sa: ManualSa, direction: Direction, keys: ManualKeys) -> SequenceState:
        """Return where sequence numbers go on, behind having reserved those that may be used now."""
        name = key_name(keys.counter_key)
        if direction is Direction.INBOUND:
            is_known = self._sequences is not None and _is_followed(sa)
            return SequenceState(
                used=self._sequences.use(name).received if self._sequences and is_known else 0
            )
        if not sa.needs_sequence:
            return SequenceState(cycles=sa.sequence_cycles)
        if self._sequences is None:
            raise LocalError("there is no file for its sequence numbers; daemon.sequence_file names one")
        used, last = self._sequences.use(name).sent, _LAST_SEQUENCE[sa.suite.sequence_numbers]
        if used >= last:
            raise LocalError("its key has used all its sequence numbers; give it a new one")
        reserved = min(used + _FIRST_BLOCK, last)
        self._reserve(keys, reserved)
        return SequenceState(used=used, reserved=reserved)

    def _reserve(self, keys: ManualKeys, until: int) -> None:
        if self._sequences is not None:
            self._sequences.reserve(key_name(keys.counter_key), until)

    def _remove(self, name: str) -> None:
        try:
            self.note_received()
        except ResourceError as error:
            _LOG.error("%s", error)
        entry = self._installed.pop(name)
        removals = [RemoveSa(direction, keys.spi, entry.sa.path) for direction, keys in entry.sa.directions]
        self._driver.change([*removals, RemovePolicy(entry.policy)])
        self._keep_ike_off_spis()
        _LOG.info("SA %s is removed", name)

    def _keep_ike_off_spis(self) -> None:
        keys = (entry.sa.inbound for entry in self._installed.values())
        self._driver.endpoint.leave_spis_alone(frozenset(one.spi for one in keys if one is not None))

    def _new_policy_id(self) -> PolicyId:
        self._last_policy += 1
        return PolicyId(self._last_policy)


def _is_followed(sa: ManualSa) -> bool:
    """Whether a receiver has to know what it received before, for replays or the high half of a number."""
    return sa.replay_window_packets > 0 or sa.suite.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64
