"""The Child SAs of one IKE SA, and their place in the data plane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from perilune.databases.sad import Direction, Encapsulation
from perilune.databases.spd import PolicyId
from perilune.ike.child_agreement import ChildAgreement
from perilune.ike.child_sa import ChildSa
from perilune.ike.context import Context
from perilune.ike.policies import PolicyWish
from perilune.ike.status import ChildSaState
from perilune.model.address import Path
from perilune.model.spi import IkeSpi, Spi
from perilune.model.time import Instant


@dataclass(frozen=True, slots=True)
class _Lingering:
    """An SA that only still receives."""

    until: Instant
    child: ChildSa


class ChildTable:
    """Child SAs by id; adding and removing one changes the data plane.

    Args:
        context: The endpoint's.
        connection: Name of the connection.
        owner: Our SPI of the IKE SA.
    """

    def __init__(self, context: Context, connection: str, owner: IkeSpi) -> None:
        self._context: Final = context
        self._connection: Final = connection
        self._owner: Final = owner
        self._children: dict[int, ChildSa] = {}
        self._lingering: list[_Lingering] = []

    def __iter__(self) -> Iterator[ChildSa]:
        return iter(list(self._children.values()))

    def __contains__(self, child: ChildSa) -> bool:
        return child.id in self._children

    @property
    def installed(self) -> int:
        """How many there are in the data plane, those included that only still receive."""
        return len(self._children) + len(self._lingering)

    def with_inbound(self, spi: Spi) -> ChildSa | None:
        """Return the child that we receive with an SPI."""
        return next((child for child in self._children.values() if child.spi_in == spi), None)

    def with_outbound(self, spi: Spi) -> ChildSa | None:
        """Return the child that we send with an SPI."""
        return next((child for child in self._children.values() if child.spi_out == spi), None)

    def current(self, name: str) -> ChildSa | None:
        """Return a child of a name that has no successor and is not about to end."""
        found = (child for child in self._children.values() if child.policy.name == name and child.is_current)
        return next(found, None)

    def install(
        self,
        agreement: ChildAgreement,
        path: Path,
        now: Instant,
        *,
        encapsulation: Encapsulation,
        old: ChildSa | None = None,
    ) -> ChildSa:
        """Install both directions of what was agreed on, so that they are in place before the peer sends.

        Args:
            agreement: The new child.
            path: Where its packets go.
            now: The time.
            encapsulation: How they go.
            old: The child that it replaces.

        Raises:
            PeerError: The peer's SPI is in use; nothing was installed.
        """
        self._context.spis.take_outbound(agreement.spi_out, path.remote.address)
        child = ChildSa(
            id=self._context.registry.new_id(),
            agreement=agreement,
            policy_id=self._hold_policy(agreement, old),
            encapsulation=encapsulation,
            installed_at=now,
            path=path,
        )
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.8
        ##% The
        ##% responder to a CREATE_CHILD_SA MUST be prepared to accept messages on
        ##% an SA before sending its response to the creation request, so there
        ##% is no ambiguity for the initiator.
        ready_after = None if agreement.began_here or old is None else agreement.spi_in
        self._context.outbox.change(*child.additions(self._context.rng, ready_after))
        self._children[child.id] = child
        self._context.child_index.add(child, self._owner)
        return child

    def close_outbound(self, child: ChildSa) -> None:
        """Send nothing more on a child."""
        if child.outbound_open:
            child.outbound_open = False
            self._context.outbox.change(child.removal(Direction.OUTBOUND))
            self._context.spis.give_back_outbound(child.spi_out, child.path.remote.address)

    def remove(self, child: ChildSa, until: Instant | None = None) -> None:
        """Remove a child; `until` some instant packets under way are still received."""
        if self._children.pop(child.id, None) is None:
            return
        self._context.child_index.remove(child)
        child.state = ChildSaState.DELETING
        self.close_outbound(child)
        if until is None:
            self._close_inbound(child)
        else:
            self._lingering.append(_Lingering(until, child))

    def remove_all(self) -> list[ChildSa]:
        """Remove every child at once, and return those that had no successor."""
        ended = [child for child in self if child.state is not ChildSaState.REKEYED]
        for child in self:
            self.remove(child)
        for lingering in self._lingering:
            self._close_inbound(lingering.child)
        self._lingering.clear()
        return ended

    def move_all(self, new: Path) -> None:
        """Put every child on another path, except where the peer has another with the same SPI there."""
        lingering = [entry.child for entry in self._lingering]
        for child in [*self, *lingering]:
            free = not child.outbound_open or self._context.spis.move_outbound(
                child.spi_out, child.path.remote.address, new.remote.address
            )
            if free:
                self._context.outbox.change(*child.moves(new))
                child.path = new

    def inherit(self, other: ChildTable) -> None:
        """Take over all children of another IKE SA (RFC 7296, section 2.8)."""
        for child in other:
            self._context.child_index.add(child, self._owner)
        self._children.update(other._children)
        self._lingering.extend(other._lingering)
        other._children.clear()
        other._lingering.clear()

    def next_timeout(self) -> Instant | None:
        """Return when to call `handle_timeout`."""
        return min((entry.until for entry in self._lingering), default=None)

    def handle_timeout(self, now: Instant) -> None:
        """Remove what lingered long enough."""
        due = [entry for entry in self._lingering if entry.until <= now]
        self._lingering = [entry for entry in self._lingering if entry.until > now]
        for entry in due:
            self._close_inbound(entry.child)

    def _close_inbound(self, child: ChildSa) -> None:
        self._context.outbox.change(child.removal(Direction.INBOUND))
        self._context.spis.give_back_inbound(child.spi_in)
        self._context.policies.release(child.policy_id)

    def _hold_policy(self, agreement: ChildAgreement, old: ChildSa | None) -> PolicyId:
        """Return the SPD entry that a child serves: its predecessor's, unless the selectors changed."""
        if old is not None and (old.agreement.local, old.agreement.remote) == (
            agreement.local,
            agreement.remote,
        ):
            return self._context.policies.hold_same(old.policy_id)
        wish = PolicyWish.of_child(
            self._connection, agreement.policy, agreement.local, agreement.remote, acquires=False
        )
        return self._context.policies.hold(wish)
