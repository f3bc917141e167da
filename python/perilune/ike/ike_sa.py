"""An established IKE SA: its channel, its Child SAs, and what it has yet to ask the peer for.

```
                  our rekeying is answered, or the peer's is
    ESTABLISHED ---------------------------------------------> REKEYED
         |                                                         |
         |  our Delete is sent                                     |  our Delete is sent
         +-----------------------> DELETING <----------------------+
                                      |
              every state: `end` <----+   (answered, the peer's Delete, no answer, lifetime over)
```

What it means is in `exchanges/`; `established.py` has the way of a message and `upkeep.py` that of time.
"""

from __future__ import annotations

from typing import Final

from perilune.databases.sad import Encapsulation
from perilune.ike import child_events
from perilune.ike.authenticated import Authenticated
from perilune.ike.channel import Channel
from perilune.ike.child_agreement import ChildAgreement
from perilune.ike.child_sa import ChildSa
from perilune.ike.child_table import ChildTable
from perilune.ike.context import Context
from perilune.ike.events import DownReason, IkeSaDown, IkeSaRekeyed, IkeSaUp, PeerMoved
from perilune.ike.followup import Followup
from perilune.ike.keyed import KeyedSa
from perilune.ike.message_window import MessageWindow
from perilune.ike.names import IkeName
from perilune.ike.status import ChildSaState, IkeSaState, IkeSaStatus
from perilune.ike.tasks import Task, TaskQueue
from perilune.ike.timers import random_below
from perilune.model.address import Path
from perilune.model.spi import IkeSpi
from perilune.model.time import Duration, Instant, earliest


class IkeSa:
    """One IKE SA whose peer is authenticated; only such a one has children.

    Args:
        context: The endpoint's.
        channel: Its messages.
        peer: Proof of who the peer is.
        id_: Its number in names.
        now: The time.
    """

    def __init__(
        self, context: Context, channel: Channel, peer: Authenticated, id_: int, now: Instant
    ) -> None:
        self.context: Final = context
        self.channel: Final = channel
        self.peer: Final = peer
        self.id: Final = id_
        self.established_at: Final = now
        self.children: Final = ChildTable(context, peer.entry.name, channel.keyed.local_spi)
        self.tasks: Final = TaskQueue()
        self.state = IkeSaState.ESTABLISHED
        self.heard_at = now
        """When something authentic last came from the peer, by IKE or ESP."""

        self.kept_alive_at = now
        """When a NAT's mapping was last refreshed."""

        self.followup: Followup | None = None
        """The peer's rekeying of this IKE SA, while it has key exchanges to come: we ask for nothing then."""

        self.rekey_at: Instant | None = None
        self.ends_at: Instant | None = None
        """When it ends, whatever happens."""

        self._set_lifetime(now)
        channel.name = self.name
        channel.fragments = peer.fragmentation

    @property
    def name(self) -> IkeName:
        """How events name it."""
        keyed = self.channel.keyed
        return IkeName(self.peer.entry.name, self.id, keyed.spi_i, keyed.spi_r)

    @property
    def local_spi(self) -> IkeSpi:
        """The SPI that we chose."""
        return self.channel.keyed.local_spi

    @property
    def keyed(self) -> KeyedSa:
        """Its keys."""
        return self.channel.keyed

    @property
    def path(self) -> Path:
        """Where its messages go, and its children's packets."""
        return self.channel.path

    @property
    def encapsulation(self) -> Encapsulation:
        """How its children's packets go."""
        return Encapsulation.UDP if self.peer.nat.between else Encapsulation.NONE

    @property
    def is_current(self) -> bool:
        """Whether it has no successor and is not about to end."""
        return self.state is IkeSaState.ESTABLISHED

    @property
    def has_ended(self) -> bool:
        """Whether it is no more."""
        return self.context.registry.find(self.local_spi) is not self

    def up_event(self) -> IkeSaUp:
        """Return the event that tells that it is established."""
        peer = self.peer
        return IkeSaUp(
            self.name,
            peer.local_id,
            peer.remote_id,
            self.keyed.suite,
            self.path,
            peer.nat,
            peer.local_auth,
            peer.remote_auth,
        )

    def with_same_peer(self) -> list[IkeSa]:
        """Return the IKE SAs between the same two identities, this one among them, the oldest first.

        Peers that proved nothing are told apart by their addresses. Whoever has a name by a connection that
        asks for another proof may be somebody else: a name is worth no more than its proof.
        """
        return [
            other
            for other in self.context.registry.between(self.peer.identities)
            if isinstance(other, IkeSa)
            and self.peer.is_proved_as(other.peer)
            and (not self.peer.is_anonymous or other.path.remote.address == self.path.remote.address)
        ]

    def status(self) -> IkeSaStatus:
        """Return a snapshot."""
        return IkeSaStatus(
            name=self.name,
            state=self.state,
            original_initiator=self.keyed.original_initiator,
            path=self.path,
            local_id=self.peer.local_id,
            local_auth=self.peer.local_auth,
            remote_id=self.peer.remote_id,
            remote_auth=self.peer.remote_auth,
            suite=self.keyed.suite,
            nat=self.peer.nat,
            established_at=self.established_at,
            rekey_at=self.rekey_at,
            children=tuple(child.status() for child in self.children),
        )

    def enqueue(self, task: Task, now: Instant, wait: Duration | None = None) -> None:
        """Ask the peer for something, behind what we ask for already; nothing is asked twice."""
        if not self.is_current or self.has_ended:
            task.abandon(self, now)
        elif task not in self.tasks:
            self.tasks.add(task, now + wait if wait else now)
            self.pump(now)

    def enqueue_end(self, task: Task, now: Instant) -> None:
        """Ask the peer to close this IKE SA, which is the last thing asked of it."""
        self.followup = None
        for waiting, _ in self.tasks.take_waiting():
            waiting.abandon(self, now)
        self.tasks.add_first(task, now)
        self.pump(now)

    def pump(self, now: Instant) -> None:
        """Send the next request if none is under way."""
        self.context.registry.touch(self)
        if self.followup is not None:
            return
        while self.channel.is_idle and self.tasks.active is None and (task := self.tasks.take(now)):
            payloads = task.begin(self, now)
            if payloads is not None:
                self.channel.request(task.exchange, payloads, now)
                self.kept_alive_at = now
                return
            self.tasks.active = None
            task.abandon(self, now)

    def retry_wait(self) -> Duration:
        """Return how long to wait after TEMPORARY_FAILURE; random, so that both sides seldom meet again."""
        retry = self.context.settings.timers.retry
        return retry + random_below(retry * 0.5, self.context.rng)

    def install_child(self, agreement: ChildAgreement, now: Instant, old: ChildSa | None = None) -> ChildSa:
        """Install a Child SA, and tell so.

        Args:
            agreement: What was negotiated.
            now: The time.
            old: The child that it replaces.

        Raises:
            PeerError: The peer's SPI is in use.
        """
        if old is not None and old not in self.children:
            old = None
        child = self.children.install(agreement, self.path, now, encapsulation=self.encapsulation, old=old)
        self.context.wishes.fulfilled((self.peer.entry.name, child.policy.name))
        child_events.tell_up(self.context, self.name, child, old)
        if old is not None and old.state is ChildSaState.INSTALLED:
            old.state = ChildSaState.REKEYED
        return child

    def remove_child(self, child: ChildSa, reason: DownReason, now: Instant) -> None:
        """Remove a Child SA; one that was rekeyed still receives for a while."""
        if child not in self.children:
            return
        replaced = child.state is ChildSaState.REKEYED or reason in {
            DownReason.REKEYED,
            DownReason.REDUNDANT,
        }
        linger = self.context.settings.timers.child_linger
        self.children.remove(child, now + linger if replaced else None)
        self.context.registry.touch(self)
        if reason is DownReason.REKEYED:
            return
        child_events.tell_down(self.context, self.name, child, reason)
        if self.children.current(child.policy.name) is None:
            child_events.bring_back(self.context, self.peer, child, reason, now)

    def move(self, new: Path) -> None:
        """Use another path from now on, children and all (RFC 7296, section 2.23)."""
        if new == self.path:
            return
        self.context.outbox.tell(PeerMoved(self.name, self.path, new))
        self.channel.path = new
        self.children.move_all(new)

    def successor(self, keyed: KeyedSa, now: Instant) -> IkeSa:
        """Return a new IKE SA to the same peer, which has nothing yet (RFC 7296, section 2.18)."""
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.18
        ##% The new IKE SA MUST reset its message counters to 0.
        id_ = self.context.registry.new_id()
        name = IkeName(self.peer.entry.name, id_, keyed.spi_i, keyed.spi_r)
        channel = Channel(self.context, name, keyed, self.path, MessageWindow())
        new = IkeSa(self.context, channel, self.peer, id_, now)
        self.context.registry.put(new, new.peer.identities)
        return new

    def hand_over(self, new: IkeSa, now: Instant) -> None:
        """Let a successor have all children and all that waits to be asked.

        It asks at its next timeout, so that a response that is yet to be sent here comes first.
        """
        self.supersede(now)
        new.channel.path = self.path
        new.children.inherit(self.children)
        self.context.outbox.tell(IkeSaRekeyed(self.name, new.name, new.keyed.suite))
        for task, at in self.tasks.take_waiting():
            new.tasks.add(task, at)
        self.context.registry.touch(new)

    def supersede(self, now: Instant) -> None:
        """Wait for the end: another IKE SA has the children."""
        self.state = IkeSaState.REKEYED
        self.ends_at = now + self.context.settings.timers.ike_linger
        self.rekey_at = None
        self.context.registry.touch(self)

    def end(self, reason: DownReason, now: Instant) -> None:
        """Forget this IKE SA and all its children at once; the peer is told nothing."""
        if self.has_ended:
            return
        self.context.registry.remove(self)
        active, self.tasks.active = self.tasks.active, None
        for task in [*([active] if active else []), *(task for task, _ in self.tasks.take_waiting())]:
            task.abandon(self, now)
        for child in self.children.remove_all():
            child_events.tell_down(self.context, self.name, child, reason)
            child_events.bring_back(self.context, self.peer, child, reason, now)
        if self.state is not IkeSaState.REKEYED:
            self.context.outbox.tell(IkeSaDown(self.name, reason))

    def next_timeout(self) -> Instant | None:
        """Return when `upkeep` has something to do."""
        timers = self.context.settings.timers
        keepalive = self.kept_alive_at + timers.keepalive if self.needs_keepalive else None
        dpd_delay = self.peer.entry.dpd_delay
        idle = self.channel.is_idle and self.followup is None
        return earliest(
            self.channel.next_timeout(),
            self.children.next_timeout(),
            self.tasks.next_start() if idle else None,
            self.heard_at + dpd_delay if dpd_delay and idle and self.is_current else None,
            self.rekey_at,
            self.ends_at,
            self.followup.until if self.followup else None,
            keepalive,
        )

    @property
    def needs_keepalive(self) -> bool:
        """Whether a NAT on our side has to be kept from forgetting us."""
        return self.peer.nat.local_behind and self.is_current and bool(self.context.settings.timers.keepalive)

    def _set_lifetime(self, now: Instant) -> None:
        entry = self.peer.entry
        if entry.rekey_time:
            jitter = random_below(min(entry.rand_time, entry.rekey_time), self.context.rng)
            self.rekey_at = now + (entry.rekey_time - jitter)
            self.ends_at = now + entry.rekey_time + entry.over_time
