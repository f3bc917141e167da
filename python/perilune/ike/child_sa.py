"""An installed Child SA: what the data plane has of it, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from perilune.databases.changes import AddSa, MoveSa, RemoveSa
from perilune.databases.pad import ChildPolicy
from perilune.databases.sad import Direction, Encapsulation, EspKeys, Lifetime, Limits, SadEntry
from perilune.databases.spd import PolicyId
from perilune.ike.child_agreement import ChildAgreement
from perilune.ike.names import ChildName
from perilune.ike.status import ChildSaState, ChildSaStatus
from perilune.ike.timers import random_below, random_number
from perilune.model.address import Path
from perilune.model.iana import ProtocolId, SnId
from perilune.model.random import Rng
from perilune.model.spi import Spi
from perilune.model.time import Duration, Instant

LAST_CALL_PACKETS: Final = (1 << 32) - (1 << 28)
"""After so many packets an SA with sequence numbers of 32 bits wants a successor; what is left lasts
ten seconds at 20 million packets a second."""


@dataclass(slots=True, eq=False, kw_only=True)
class ChildSa:
    """A pair of SAs, one for each direction."""

    id: Final[int]
    agreement: Final[ChildAgreement]
    policy_id: Final[PolicyId]
    encapsulation: Final[Encapsulation]
    installed_at: Final[Instant]
    path: Path
    state: ChildSaState = ChildSaState.INSTALLED
    outbound_open: bool = True
    """Whether the outbound SA is still installed."""

    @property
    def name(self) -> ChildName:
        """How events name it."""
        return ChildName(self.policy.name, self.id, self.agreement.spi_in, self.agreement.spi_out)

    @property
    def policy(self) -> ChildPolicy:
        """What it was made for."""
        return self.agreement.policy

    @property
    def protocol(self) -> ProtocolId:
        """ESP or AH."""
        return self.agreement.form.protocol

    @property
    def spi_in(self) -> Spi:
        """What we receive with."""
        return self.agreement.spi_in

    @property
    def spi_out(self) -> Spi:
        """What we send with."""
        return self.agreement.spi_out

    @property
    def is_current(self) -> bool:
        """Whether it has no successor and is not about to end."""
        return self.state is ChildSaState.INSTALLED

    def status(self) -> ChildSaStatus:
        """Return a snapshot."""
        return ChildSaStatus(
            name=self.name,
            state=self.state,
            policy=self.policy_id,
            suite=self.agreement.suite,
            protocol=self.protocol,
            mode=self.agreement.form.mode,
            cpi_in=self.agreement.form.cpi_in,
            cpi_out=self.agreement.form.cpi_out,
            local=self.agreement.local,
            remote=self.agreement.remote,
            encapsulation=self.encapsulation,
            installed_at=self.installed_at,
        )

    def additions(self, rng: Rng, ready_after: Spi | None) -> tuple[AddSa, AddSa]:
        """Return the changes that install it, inbound first; see `SadEntry.ready_after`."""
        lifetime = jittered(self.policy, rng)
        inbound = self._entry(Direction.INBOUND, lifetime, None)
        outbound = self._entry(Direction.OUTBOUND, self._while_numbers_last(lifetime), ready_after)
        return AddSa(inbound), AddSa(outbound)

    def _while_numbers_last(self, lifetime: Lifetime) -> Lifetime:
        """Return a lifetime in which the sender's counter does not reach its end (RFC 4303, section 2.2)."""
        if self.agreement.suite.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64:
            return lifetime
        soft = lifetime.soft
        packets = min(soft.packets or LAST_CALL_PACKETS, LAST_CALL_PACKETS)
        return Lifetime(soft=Limits(octets=soft.octets, packets=packets, time=soft.time), hard=lifetime.hard)

    def _entry(self, direction: Direction, lifetime: Lifetime, ready_after: Spi | None) -> SadEntry:
        inbound = direction is Direction.INBOUND
        agreement = self.agreement
        return SadEntry(
            spi=agreement.spi_in if inbound else agreement.spi_out,
            direction=direction,
            policy=self.policy_id,
            path=self.path,
            encapsulation=self.encapsulation,
            protocol=agreement.form.security_protocol,
            stateful_fragments=agreement.form.fragments,
            processing=agreement.form.processing(
                agreement.policy.form, direction, agreement.local, agreement.remote
            ),
            suite=agreement.suite,
            keys=agreement.inbound if inbound else agreement.outbound,
            local=agreement.local,
            remote=agreement.remote,
            replay_window_packets=agreement.policy.replay_window_packets
            if agreement.suite.has_integrity
            else 0,
            allow_insecure=agreement.policy.allow_insecure,
            lifetime=lifetime,
            peer_spi=agreement.spi_out if inbound else agreement.spi_in,
            ready_after=ready_after,
        )

    @property
    def keys(self) -> tuple[EspKeys, EspKeys]:
        """Inbound and outbound keys."""
        return self.agreement.inbound, self.agreement.outbound

    def removal(self, direction: Direction) -> RemoveSa:
        """Return the change that removes one direction."""
        return RemoveSa(direction, self.spi_in if direction is Direction.INBOUND else self.spi_out, self.path)

    def moves(self, new: Path) -> tuple[MoveSa, ...]:
        """Return the changes that put it on another path."""
        inbound = MoveSa(Direction.INBOUND, self.spi_in, self.path, new)
        if not self.outbound_open:
            return (inbound,)
        return inbound, MoveSa(Direction.OUTBOUND, self.spi_out, self.path, new)


def jittered(policy: ChildPolicy, rng: Rng) -> Lifetime:
    """Return a child's lifetime with soft limits that come a random bit earlier (section 2.8.1)."""
    soft = policy.lifetime.soft
    if soft == Limits():
        return policy.lifetime
    limits = Limits(
        octets=_less(soft.octets, policy.rand_octets, rng),
        packets=_less(soft.packets, policy.rand_packets, rng),
        time=_earlier(soft.time, policy.rand_time, rng),
    )
    return Lifetime(soft=limits, hard=policy.lifetime.hard)


def _less(limit: int | None, most: int, rng: Rng) -> int | None:
    return None if limit is None else max(1, limit - random_number(most, rng))


def _earlier(limit: Duration | None, most: Duration, rng: Rng) -> Duration | None:
    return None if limit is None else max(Duration(1), limit - random_below(most, rng))
