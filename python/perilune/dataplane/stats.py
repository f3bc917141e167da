"""What a data plane counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from perilune.databases.sad import Direction, Encapsulation
from perilune.databases.spd import Action, PolicyId
from perilune.model.address import Path
from perilune.model.spi import Spi
from perilune.model.time import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class SaStats:
    """One SA."""

    direction: Direction
    spi: Spi
    peer_spi: Spi
    policy: PolicyId
    path: Path
    encapsulation: Encapsulation
    packets: int
    octets: int
    """Of inner packets."""

    errors: int
    """Packets dropped at this SA, for whatever reason."""

    added: Instant
    """When it was installed."""

    last_used: Instant | None
    """When it carried its last packet; None before the first."""

    sequence: int
    """Outbound, the last number that was used; inbound, the highest that was verified."""

    replay_window_packets: int
    """0 for an outbound SA, and where the check is off."""

    path_mtu: tuple[int, Instant] | None = None
    """Outbound only: a path MTU in octets that was learnt, and when it is forgotten."""

    is_ready: bool
    """Whether packets may use it: an outbound SA may still wait for its `ready_after`."""

    is_expired: bool
    """Whether it reached its end and only waits to be removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStats:
    """One SPD entry."""

    policy: PolicyId
    action: Action
    packets: int
    octets: int
    held: int
    """Packets that wait for an SA now."""


@dataclass(frozen=True, slots=True)
class DropStats:
    """One reason to drop a packet."""

    name: str
    """The counter's name; the same in metrics and in `Audit.reason`."""

    text: str
    """The reason in words."""

    is_auditable: bool
    packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlaneStats:
    """Everything that a data plane counted since it started."""

    sas: tuple[SaStats, ...] = ()
    policies: tuple[PolicyStats, ...] = ()
    drops: tuple[DropStats, ...] = ()
    """Every reason, also those that never happened."""

    events_lost: int = 0
    """Events that found their queue full."""

    work: Mapping[str, int] = field(default_factory=dict)
    """How the workers spent their calls (reads, writes, sends, packets), to see that batches form."""

    def dropped(self, name: str) -> int:
        """Return how many packets were dropped for the reason with this name."""
        return sum(drop.packets for drop in self.drops if drop.name == name)
