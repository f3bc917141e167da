"""What the daemon offers to a management protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Protocol

from perilune.agent.audit.chain import Head
from perilune.databases.pad import PadEntry
from perilune.databases.sad import Lifetime, SadEntry
from perilune.databases.spd import SpdEntry
from perilune.dataplane.stats import DataPlaneStats
from perilune.ike.names import ChildName, IkeName
from perilune.ike.status import ChildSaState, EndpointStatus
from perilune.model.spi import Spi
from perilune.model.time import Duration, Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What does not change while the daemon runs."""

    version: str
    sysname: str
    release: str
    machine: str
    """All three as uname(2) says them."""

    started_at: Instant
    started_text: str
    """The same as a calendar says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenSas:
    """Which SAs a command means: those that fit every field that is given.

    With a child's name or id, children are meant; else IKE SAs with all that is theirs.
    """

    ike: str | None = None
    child: str | None = None
    ike_id: int | None = None
    child_id: int | None = None

    def ike_sas(self, status: EndpointStatus) -> list[IkeName]:
        """Return the IKE SAs that are meant; none where children are."""
        if self.child is not None or self.child_id is not None:
            return []
        return [sa.name for sa in status.ike_sas if self._fits_ike(sa.name)]

    def children(self, status: EndpointStatus) -> list[ChildName]:
        """Return the children that are meant; none where IKE SAs are."""
        if self.child is None and self.child_id is None:
            return []
        children = [child for sa in status.ike_sas if self._fits_ike(sa.name) for child in sa.children]
        return [
            child.name
            for child in children
            if child.state is ChildSaState.INSTALLED and self._fits_child(child.name)
        ]

    def _fits_ike(self, name: IkeName) -> bool:
        return self.ike in {None, name.connection} and self.ike_id in {None, name.id}

    def _fits_child(self, name: ChildName) -> bool:
        return self.child in {None, name.name} and self.child_id in {None, name.id}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditState:
    """How the audit log stands."""

    path: FilePath
    head: Head
    """Of the chain as the daemon itself knows it, whatever became of the file."""

    waiting: int
    """Records that could not be written yet."""

    lost: int
    """Records that found the queue of those full."""

    failure: str
    """Why records wait; empty where none do."""


class Node(Protocol):
    """One IPsec node, seen by whoever manages it."""

    @property
    def facts(self) -> NodeFacts:
        """What it is."""
        ...

    @property
    def connections(self) -> Sequence[PadEntry]:
        """The PAD."""
        ...

    @property
    def audit(self) -> AuditState | None:
        """The audit log; None where there is none."""
        ...

    @property
    def policies(self) -> Sequence[SpdEntry]:
        """The SPD as the data plane has it."""
        ...

    @property
    def sad(self) -> Sequence[SadEntry]:
        """The SAD as the data plane has it."""
        ...

    @property
    def exchanges(self) -> Mapping[str, int]:
        """How often each kind of thing happened in IKE since the start."""
        ...

    def now(self) -> Instant:
        """Return the current instant."""
        ...

    def status(self) -> EndpointStatus:
        """Return the IKE SAs and their children."""
        ...

    def stats(self) -> DataPlaneStats:
        """Return what the data plane counted."""
        ...

    def lifetime(self, spi_in: Spi) -> Lifetime | None:
        """Return the limits of the child that receives with an SPI."""
        ...

    def initiate(self, connection: str, child: str | None, on_settled: Callable[[str], None]) -> None:
        """Begin to set up a child, or the IKE SA of its first one; events tell how it went.

        Args:
            connection: A connection of the PAD.
            child: One of its children.
            on_settled: Told, in words, why it could not even be begun; or "" if there is nothing to be done,
                as the child is up. Else it is not called.
        """
        ...

    def add_sa(self, name: str, values: Mapping[str, str]) -> None:
        """Install an SA with manual keys until the daemon ends.

        Args:
            name: A name that no other has.
            values: Keys of the configuration's section `sas.<sa>` and their values.

        Raises:
            LocalError: It is there already, or a value is wrong.
            ResourceError: The system does not let its sequence numbers be kept.
        """
        ...

    def remove_sa(self, name: str) -> None:
        """Remove an SA with manual keys.

        Raises:
            LocalError: There is none of that name, or another one is within it.
        """
        ...

    def terminate(self, chosen: ChosenSas) -> int:
        """Begin to delete SAs; return of how many."""
        ...

    def rekey(self, chosen: ChosenSas) -> int:
        """Begin to rekey SAs; return of how many."""
        ...

    def reload(self) -> None:
        """Read the configuration again.

        Raises:
            LocalError: It is wrong; the old one stays.
        """
        ...

    def stop(self) -> None:
        """Begin to shut down, as SIGTERM does."""
        ...


LONGEST_WAIT = Duration.seconds(24 * 3600)
"""Longest time that a command may be given."""
