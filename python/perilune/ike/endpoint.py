"""All of IKEv2 on one host: what a driver talks to.

A driver hands in datagrams, the time and what the data plane tells. After every call it takes, in this
order, `sa_changes` (able to receive before the peer may send), `transmits`, `next_timeout` and `events`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from perilune.databases.changes import Change
from perilune.databases.pad import ChildPolicy, PadEntry, SharedSecret
from perilune.databases.spd import Action, PolicyId, SpdTemplate
from perilune.dataplane.events import Flow
from perilune.ike import established, upkeep
from perilune.ike.child_sa import ChildSa
from perilune.ike.context import Context
from perilune.ike.events import DownReason, IkeEvent
from perilune.ike.exchanges.create_child import CreateChild
from perilune.ike.exchanges.ike_sa_init import Initiation
from perilune.ike.exchanges.informational import DeleteChild, DeleteIke
from perilune.ike.exchanges.init_done import WantedChild
from perilune.ike.exchanges.rekey_ike import RekeyIke
from perilune.ike.ike_sa import IkeSa
from perilune.ike.outbox import Keepalive, Transmit
from perilune.ike.peer_lookup import Pad
from perilune.ike.policies import PolicyWish
from perilune.ike.population import child_for
from perilune.ike.reception import Reception
from perilune.ike.registry import Conversation
from perilune.ike.settings import EndpointSettings
from perilune.ike.status import EndpointStatus
from perilune.ike.templates import configured_policies, started_children
from perilune.model.address import Path
from perilune.model.errors import LocalError
from perilune.model.random import Rng
from perilune.model.spi import Spi
from perilune.model.time import Instant, earliest

IdOrName = int | str
"""The id of an IKE SA or a Child SA, or the name of a connection or child, which means all that have it."""


@dataclass(frozen=True, slots=True)
class Initiated:
    """What `initiate` did."""

    ike_id: int
    """The IKE SA that has the child, or will have it if all goes well."""

    already_up: bool
    """Whether the child was up before."""


class IkeEndpoint:
    """IKEv2 with any number of peers.

    Args:
        settings: What all IKE SAs share.
        rng: Where SPIs, nonces and keys come from.
    """

    def __init__(self, settings: EndpointSettings, rng: Rng) -> None:
        self._context: Final = Context.new(settings, rng)
        self._reception: Final = Reception(self._context)
        self._closing = False

    def load(
        self,
        pad: Sequence[PadEntry],
        secrets: Sequence[SharedSecret],
        now: Instant,
        *,
        paths: Mapping[str, Path] | None = None,
        policies: Sequence[SpdTemplate] = (),
    ) -> None:
        """Replace the configuration; IKE SAs that exist keep the entry they were made with.

        Policies of trapped, passed and dropped children are installed, and children to be started are asked
        for by `PathWanted`.

        Args:
            pad: The connections.
            secrets: The pre-shared keys.
            now: The time.
            paths: Ways to peers as far as they are known, by connection: so a trapped child's `dynamic`
                selectors have addresses where the connection has none that are definite.
            policies: SPD entries that the configuration has in so many words.
        """
        context = self._context
        context.pad = Pad(tuple(pad), tuple(secrets))
        stand = context.settings.policies_stand
        wishes = [PolicyWish.of_template(policy) for policy in policies]
        written = {(policy.connection, policy.child) for policy in policies}
        wishes += configured_policies(pad, paths or {}, context.outbox, written, stand=stand)
        context.policies.configure(wishes)
        context.wishes.keep_only({(entry.name, child.name) for entry in pad for child in entry.children})
        for key in started_children(pad):
            if not self._has_current_child(*key):
                context.wishes.want(key, now)
        context.wishes.handle_timeout(now)

    def initiate(
        self,
        connection: str,
        child: str | None,
        path: Path,
        now: Instant,
        *,
        flow: Flow | None = None,
    ) -> Initiated:
        """Set up a child, within an IKE SA with the same peer if there is one.

        Args:
            connection: Name of the connection.
            child: Name of its child; None is the first one that is protected.
            path: Where to; the local port is 500, or the NAT traversal port from the start.
            now: The time.
            flow: The packet that wants it.

        Raises:
            LocalError: There is no such connection or child, or the endpoint is closing.
        """
        entry, policy = self._find(connection, child)
        wished = self._context.wishes.under_way((connection, policy.name))
        flow = flow or wished
        if flow is not None:
            wish = self._context.policies.configured_for_flow(connection, policy.name, flow)
            policy = policy if wish is None else child_for(policy, wish, flow)
        return self._set_up(entry, WantedChild(policy, flow), path, now)

    def receive_datagram(self, data: bytes, path: Path, now: Instant) -> None:
        """Act on a datagram for IKE, without its non-ESP marker if it had one; nothing in it is an error."""
        self._reception.receive(data, path, now)

    def acquire(self, policy: PolicyId, flow: Flow | None, now: Instant, path: Path | None = None) -> None:
        """Set up the child of a policy because a packet wants it.

        Args:
            policy: A policy that this endpoint installed; others are ignored.
            flow: The packet.
            now: The time.
            path: Where to; without one, and without an IKE SA, `PathWanted` asks for it.
        """
        wish = self._context.policies.find(policy)
        entry = self._context.pad.entry(wish.connection) if wish else None
        if wish is None or entry is None or entry.child(wish.child) is None or self._closing:
            return
        sa = self._established(wish.connection, path)
        if path is None and sa is not None:
            path = sa.path
        if path is not None:
            _, child = self._find(wish.connection, wish.child)
            self._context.wishes.under_way((wish.connection, wish.child))
            self._set_up(entry, WantedChild(child_for(child, wish, flow), flow), path, now)
        else:
            self._context.wishes.want((wish.connection, wish.child), now, flow)
            self._context.wishes.handle_timeout(now)

    def connection_of(self, policy: PolicyId) -> str | None:
        """Return the connection that protects what a policy selects; None where there is none."""
        wish = self._context.policies.find(policy)
        return wish.connection or None if wish else None

    def expire(self, spi_in: Spi, now: Instant, *, hard: bool) -> None:
        """Rekey a child whose soft limit was reached, or close one that is over.

        Args:
            spi_in: The child's inbound SPI, in whichever direction the limit was; ignored if unknown.
            now: The time.
            hard: Whether the child carries nothing any more.
        """
        found = self._with_inbound(spi_in)
        if found is not None and hard:
            upkeep.child_expired(*found, now)
        elif found is not None:
            upkeep.rekey_child(*found, now)

    def heard(self, spi_in: Spi, now: Instant) -> None:
        """Note that ESP packets were received on an inbound SA: its peer lives (RFC 7296, section 2.4)."""
        found = self._with_inbound(spi_in)
        if found is not None:
            found[0].heard_at = now
            self._context.registry.touch(found[0])

    def leave_spis_alone(self, spis: frozenset[Spi]) -> None:
        """Never choose these SPIs for a child: they are of SAs that are not IKE's."""
        self._context.spis.leave_alone(spis)

    def peer_moved(self, spi_in: Spi, new: Path, now: Instant) -> None:
        """Follow a peer whose newest valid ESP packet came from elsewhere (RFC 7296, section 2.23)."""
        found = self._with_inbound(spi_in)
        if found is not None:
            established.follow(found[0], new)

    def terminate_ike(self, which: IdOrName, now: Instant) -> int:
        """Close IKE SAs with all their children, those being set up included; return how many."""
        registry = self._context.registry
        if isinstance(which, str):
            found = registry.of_connection(which)
            entry = self._context.pad.entry(which)
            for child in entry.children if entry else ():
                self._context.wishes.fulfilled((which, child.name))
        else:
            found = [conversation for conversation in registry if conversation.name.id == which]
        return sum([self._end(conversation, now) for conversation in found])

    def terminate_child(self, which: IdOrName, now: Instant) -> int:
        """Close Child SAs; return how many."""
        found = self._children(which)
        for sa, child in found:
            sa.enqueue(DeleteChild(child, DownReason.LOCAL), now)
        return len(found)

    def rekey_ike(self, which: IdOrName, now: Instant) -> int:
        """Rekey IKE SAs now; return how many."""
        found = [sa for sa in self._ike_sas() if which in {sa.id, sa.name.connection} and sa.is_current]
        for sa in found:
            sa.enqueue(RekeyIke(sa.id), now)
        return len(found)

    def rekey_child(self, which: IdOrName, now: Instant) -> int:
        """Rekey Child SAs now; return how many."""
        found = self._children(which)
        for sa, child in found:
            upkeep.rekey_child(sa, child, now)
        return len(found)

    def shutdown(self, now: Instant) -> None:
        """Close everything, and begin nothing any more; `is_quiet` tells when the peers know."""
        self._closing = True
        self._context.wishes.clear()
        for conversation in self._context.registry:
            self._end(conversation, now)

    @property
    def is_quiet(self) -> bool:
        """Whether there is no IKE SA, established or under way."""
        return all(conversation.status() is None for conversation in self._context.registry)

    def handle_timeout(self, now: Instant) -> None:
        """Do everything whose time has come; to be called at `next_timeout` or later."""
        self._reception.handle_timeout(now)
        if not self._closing:
            self._context.wishes.handle_timeout(now)

    def next_timeout(self) -> Instant | None:
        """Return when to call `handle_timeout`; None where nothing is waited for."""
        return earliest(self._context.registry.next_timeout(), self._context.wishes.next_timeout())

    def sa_changes(self) -> list[Change]:
        """Return what the data plane is to change, in order, since the last call."""
        return self._context.outbox.take_changes()

    def transmits(self) -> list[Transmit | Keepalive]:
        """Return the datagrams to send since the last call."""
        return self._context.outbox.take_transmits()

    def events(self) -> list[IkeEvent]:
        """Return what happened since the last call."""
        return self._context.outbox.take_events()

    def status(self) -> EndpointStatus:
        """Return a snapshot."""
        statuses = [s for conversation in self._context.registry if (s := conversation.status())]
        return EndpointStatus(
            ike_sas=tuple(sorted(statuses, key=lambda status: status.name.id)),
            half_open=len(self._reception.half_open),
        )

    def _end(self, conversation: Conversation, now: Instant) -> bool:
        """Close an IKE SA, or give up one that is under way; return whether it was one."""
        if isinstance(conversation, IkeSa):
            conversation.enqueue_end(DeleteIke(DownReason.LOCAL), now)
            return True
        if conversation.status() is None:
            return False
        self._reception.abandon(conversation, now)
        return True

    def _find(self, connection: str, child: str | None) -> tuple[PadEntry, ChildPolicy]:
        if self._closing:
            raise LocalError("the endpoint is closing")
        entry = self._context.pad.entry(connection)
        if entry is None:
            raise LocalError(f"there is no connection '{connection}'")
        protected = [c for c in entry.children if c.action is Action.PROTECT and child in {None, c.name}]
        if not protected:
            what = f"no protected child '{child}'" if child else "no protected child"
            raise LocalError(f"connection '{connection}' has {what}")
        return entry, protected[0]

    def _set_up(self, entry: PadEntry, wanted: WantedChild, path: Path, now: Instant) -> Initiated:
        """Set up a child within an IKE SA that is there or under way, or else in one of its own."""
        sa = self._established(entry.name, path)
        if sa is not None:
            return self._join(sa, wanted.policy, wanted.flow, now)
        pending = self._pending(entry.name, path)
        if pending is None:
            return Initiated(Initiation(self._context, entry, path, [wanted], now).id, already_up=False)
        if wanted.policy not in [other.policy for other in pending.wanted]:
            pending.wanted.append(wanted)
        return Initiated(pending.id, already_up=False)

    def _join(self, sa: IkeSa, policy: ChildPolicy, flow: Flow | None, now: Instant) -> Initiated:
        if flow is None and sa.children.current(policy.name):
            self._context.wishes.fulfilled((sa.peer.entry.name, policy.name))
            return Initiated(sa.id, already_up=True)
        sa.enqueue(CreateChild(policy, flow=flow), now)
        return Initiated(sa.id, already_up=False)

    def _ike_sas(self) -> list[IkeSa]:
        return [conversation for conversation in self._context.registry if isinstance(conversation, IkeSa)]

    def _of_connection(self, name: str) -> list[IkeSa]:
        return [found for found in self._context.registry.of_connection(name) if isinstance(found, IkeSa)]

    def _established(self, connection: str, path: Path | None) -> IkeSa | None:
        """Return the IKE SA of a connection that new children go to."""
        for sa in self._of_connection(connection):
            same_peer = path is None or sa.path.remote.address == path.remote.address
            if sa.is_current and same_peer:
                return sa
        return None

    def _pending(self, connection: str, path: Path) -> Initiation | None:
        for initiation in self._reception.initiations(connection):
            if initiation.path.remote == path.remote:
                return initiation
        return None

    def _has_current_child(self, connection: str, child: str) -> bool:
        return any(sa.children.current(child) for sa in self._of_connection(connection))

    def _children(self, which: IdOrName) -> list[tuple[IkeSa, ChildSa]]:
        return [
            (sa, child)
            for sa in self._ike_sas()
            for child in sa.children
            if which in {child.id, child.policy.name} and child.is_current
        ]

    def _with_inbound(self, spi_in: Spi) -> tuple[IkeSa, ChildSa] | None:
        owner = self._context.child_index.owner(spi_in)
        sa = self._context.registry.find(owner) if owner is not None else None
        child = sa.children.with_inbound(spi_in) if isinstance(sa, IkeSa) else None
        return (sa, child) if isinstance(sa, IkeSa) and child else None
