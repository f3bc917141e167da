"""The sequence numbers of SAs with manual keys: reserved before they are used, remembered when received."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from perilune.databases.manual import ManualKeys, ManualSa
from perilune.databases.sad import Direction, SequenceState
from perilune.databases.spd import PolicyId
from perilune.dataplane.stats import SaStats
from perilune.model.errors import LocalError
from perilune.model.iana import SnId
from perilune.model.time import Duration, Instant
from perilune.shell.sequence_file import SequenceFile, key_name

_FIRST_BLOCK: Final = 1 << 16
_LARGEST_BLOCK: Final = 1 << 24
"""Sequence numbers reserved at once; what a daemon that was killed did not use is lost."""

_BUSY: Final = Duration.seconds(10)
"""A block that does not last so long is followed by one of twice the size."""

_LAST_SEQUENCE: Final = {SnId.SEQUENTIAL_32: 2**32 - 1, SnId.PARTIALLY_TRANSMITTED_64: 2**64 - 1}


@dataclass(slots=True)
class _Block:
    """The numbers that a key may be used with now."""

    last: int
    size: int
    """How many numbers were reserved at once."""

    since: Instant | None = None


class ManualSequences:
    """Keeps count for every key.

    Args:
        file: Where numbers outlive the daemon, opened; None where the configuration names none.

    Raises:
        ResourceError: From every method but `close`: the file cannot be written.
    """

    def __init__(self, file: SequenceFile | None) -> None:
        self._file = file
        self._blocks: dict[str, _Block] = {}

    def begin(self, sa: ManualSa, direction: Direction, keys: ManualKeys) -> SequenceState:
        """Return where the numbers of an SA go on, having reserved those that may be used now.

        Raises:
            LocalError: There is no file, or no number is left for the key.
        """
        name = _name(sa, direction, keys)
        if direction is Direction.INBOUND:
            is_known = self._file is not None and _is_followed(sa)
            return SequenceState(used=self._file.use(name).received if self._file and is_known else 0)
        if not sa.needs_sequence:
            return SequenceState(cycles=sa.sequence_cycles)
        if self._file is None:
            raise LocalError("there is no file for its sequence numbers; daemon.sequence_file names one")
        used, last = self._file.use(name).sent, _LAST_SEQUENCE[sa.suite.sequence_numbers]
        if used >= last:
            raise LocalError("its key has used all its sequence numbers; give it a new one")
        block = _Block(min(used + _FIRST_BLOCK, last), _FIRST_BLOCK)
        self._file.reserve(name, block.last)
        self._blocks[name] = block
        return SequenceState(used=used, reserved=block.last)

    def reserve_more(self, sa: ManualSa, now: Instant) -> int | None:
        """Reserve the next block; return its last number, or None where an SA's numbers are not counted."""
        if sa.outbound is None or self._file is None:
            return None
        name = _name(sa, Direction.OUTBOUND, sa.outbound)
        block = self._blocks.get(name)
        if block is None:
            return None
        if block.since is not None and now - block.since < _BUSY:
            block.size = min(2 * block.size, _LARGEST_BLOCK)
        until = min(block.last + block.size, _LAST_SEQUENCE[sa.suite.sequence_numbers])
        self._file.reserve(name, until)
        block.last, block.since = until, now
        return until

    def note_received(self, sas: Mapping[PolicyId, ManualSa], stats: Sequence[SaStats]) -> None:
        """Have the file know which numbers were received.

        Args:
            sas: Each with the SPD entry that is its alone: groups may have SAs of one SPI.
            stats: Counters of all SAs.
        """
        if self._file is None:
            return
        tops = {one.policy: one.sequence for one in stats if one.direction is Direction.INBOUND}
        self._file.note_received(
            {
                _name(sa, Direction.INBOUND, sa.inbound): tops.get(policy, 0)
                for policy, sa in sas.items()
                if sa.inbound is not None and _is_followed(sa)
            }
        )

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()


def _name(sa: ManualSa, direction: Direction, keys: ManualKeys) -> str:
    """Return under which name the file has the numbers of one direction.

    A counter mode's sender counts for its key, whatever the SA is called; all others count for the SA.
    """
    if direction is Direction.OUTBOUND and sa.suite.uses_counter:
        return key_name(keys.counter_key)
    return key_name(keys.spi.to_bytes(4) + keys.counter_key)


def _is_followed(sa: ManualSa) -> bool:
    """Whether a receiver has to know what it received before, for replays or the high half of a number."""
    return sa.replay_window_packets > 0 or sa.suite.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64
