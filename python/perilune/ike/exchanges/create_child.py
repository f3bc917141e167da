"""CREATE_CHILD_SA as its initiator: a new Child SA, or one instead of another (RFC 7296, section 1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from perilune.databases.pad import ChildPolicy
from perilune.dataplane.events import Flow
from perilune.ike.child_agreement import ChildAgreement, Nonces, agree
from perilune.ike.child_authorization import require_authorized
from perilune.ike.child_offer import SPI_OCTETS, ChildOffer, asked_key_exchange
from perilune.ike.child_sa import ChildSa
from perilune.ike.child_selectors import for_single_pair, selectors_to_offer
from perilune.ike.events import DownReason
from perilune.ike.exchanges.fresh import Fresh
from perilune.ike.exchanges.informational import DeleteChild, DeleteIke
from perilune.ike.ike_sa import IkeSa
from perilune.ike.negotiation import key_exchanges
from perilune.ike.received import find_error, require
from perilune.ike.refusal import Refusal, refused_by_peer, refused_by_us
from perilune.model.errors import PeerError
from perilune.model.iana import ExchangeType, KeId, NotifyType
from perilune.model.time import Instant
from perilune.wire.payloads import DeletePayload, NoncePayload, NotifyPayload, Payload


@dataclass(frozen=True, slots=True)
class Rival:
    """A successor that the peer made of the SA that we are rekeying (section 2.8.1)."""

    child: ChildSa
    lowest_nonce: bytes


@dataclass(frozen=True, slots=True)
class _Attempt:
    offer: ChildOffer
    fresh: Fresh


@dataclass(slots=True)
class CreateChild:
    """Ask for a Child SA.

    Two are equal, and the second is superfluous, where they are for the same child and predecessor.
    """

    policy: ChildPolicy
    old: ChildSa | None = None
    """The Child SA to replace; None asks for one more."""

    flow: Flow | None = field(default=None, compare=False)
    """The packet that wants it."""

    method: KeId | None = field(default=None, compare=False)
    """The key exchange method that the peer asked for."""

    rival: Rival | None = field(default=None, compare=False)
    """Set while the request is under way, if the peer rekeys the same Child SA."""

    exchange: ExchangeType = field(default=ExchangeType.CREATE_CHILD_SA, init=False)
    _attempt: _Attempt | None = field(default=None, init=False, compare=False, repr=False)

    def begin(self, sa: IkeSa, now: Instant) -> Sequence[Payload] | None:
        """Return the request, unless the child has what it needs already."""
        if self.old is not None and not (self.old in sa.children and self.old.is_current):
            return None
        if self.old is None and self.flow is None and sa.children.current(self.policy.name):
            return None
        offer = self._offer(sa)
        methods = key_exchanges(self.policy.proposals)
        method = self.method or (methods[0] if methods else KeId.NONE)
        fresh = Fresh.begin(method, sa.context.rng)
        self._attempt = _Attempt(offer, fresh)
        notifies = (*self._rekey_notify(), *offer.form.payloads)
        return (*notifies, offer.sa_payload, *fresh.payloads, *offer.ts_payloads)

    def _offer(self, sa: IkeSa) -> ChildOffer:
        if self.old is not None:
            ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.9.2
            ##% When the initiator attempts to rekey the Child SA, the proposed
            ##% Traffic Selectors SHOULD be either the same as, or a superset of, the
            ##% Traffic Selectors used in the old Child SA.
            local, remote = self.old.agreement.local, self.old.agreement.remote
        else:
            local, remote = selectors_to_offer(self.policy, sa.peer.init_path, self.flow)
        spis = sa.context.spis
        return ChildOffer.of_policy(sa.peer.entry.name, self.policy, sa.peer.nat, spis, (local, remote))

    def _rekey_notify(self) -> tuple[Payload, ...]:
        if self.old is None:
            return ()
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-1.3.3
        ##% The Protocol ID field of the REKEY_SA notification is set to match the
        ##% protocol of the SA we are rekeying
        spi = self.old.spi_in.to_bytes(SPI_OCTETS)
        return (NotifyPayload(NotifyType.REKEY_SA, b"", self.old.protocol, spi),)

    def finish(self, sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> None:
        """Install what was granted, or see to what was not."""
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        error = find_error(payloads)
        if error is not None:
            sa.context.spis.give_back_inbound(attempt.offer.spi_in)
            self._refused(sa, attempt, error, now)
            return
        try:
            child = sa.install_child(self._agree(sa, attempt, payloads), now, self.old)
        except PeerError as refusal:
            self._refuse(sa, attempt, refusal, now)
            return
        self._settle(sa, child, now)

    def _agree(self, sa: IkeSa, attempt: _Attempt, payloads: Sequence[Payload]) -> ChildAgreement:
        terms = attempt.offer.accept(payloads, sa.peer)
        require_authorized(sa.peer, terms.policy, terms.remote)
        shared = attempt.fresh.finish(terms.suite.key_exchange, payloads)
        nonces = Nonces(attempt.fresh.nonce, require(payloads, NoncePayload).nonce, shared)
        return agree(sa.keyed, nonces, terms, began_here=True)

    def _settle(self, sa: IkeSa, child: ChildSa, now: Instant) -> None:
        """Close what is superfluous now."""
        if self.old is None:
            return
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.8.1
        ##% If redundant SAs are created through such a collision, the SA
        ##% created with the lowest of the four nonces used in the two exchanges
        ##% SHOULD be closed by the endpoint that created it.
        rival = self.rival if self.rival is not None and self.rival.child in sa.children else None
        if rival is not None and child.agreement.lowest_nonce < rival.lowest_nonce:
            sa.enqueue(DeleteChild(child, DownReason.REDUNDANT), now)
        else:
            sa.enqueue(DeleteChild(self.old, DownReason.REKEYED), now)

    def _refuse(self, sa: IkeSa, attempt: _Attempt, error: PeerError, now: Instant) -> None:
        """Turn down what the peer made of our request, and close it there."""
        sa.context.spis.give_back_inbound(attempt.offer.spi_in)
        sa.context.outbox.tell(refused_by_us(sa.name, self._what, error))
        sa.enqueue(DeleteUnwanted.of_offer(attempt.offer), now)
        self._failed(sa, now)

    def _refused(self, sa: IkeSa, attempt: _Attempt, error: NotifyPayload, now: Instant) -> None:
        """See to an error notify (sections 1.3 and 2.25)."""
        ours, hint = attempt.offer.describe_refusal(error, sa.peer.nat)
        sa.context.outbox.tell(refused_by_peer(sa.name, self._what, error, ours=ours, hint=hint))
        match error.type:
            case NotifyType.INVALID_KE_PAYLOAD:
                self._retry_with_method(sa, error, now)
            case NotifyType.CHILD_SA_NOT_FOUND if self.old is not None:
                self._not_found(sa, self.old, now)
            case NotifyType.SINGLE_PAIR_REQUIRED if ask_for_packet(sa, self.policy, self.flow, now):
                pass
            case NotifyType.NO_ADDITIONAL_SAS:
                self._no_additional_sas(sa, now)
            case NotifyType.TEMPORARY_FAILURE:
                sa.enqueue(replace(self, rival=None), now, sa.retry_wait())
            case _:
                self._failed(sa, now)

    def _retry_with_method(self, sa: IkeSa, error: NotifyPayload, now: Instant) -> None:
        try:
            method = asked_key_exchange(error, key_exchanges(self.policy.proposals))
        except Refusal as refusal:
            sa.context.outbox.tell(refused_by_us(sa.name, self._what, refusal))
            self._failed(sa, now)
            return
        if self.method is not None:  # asked once already: a peer that never has enough has to wait
            self._failed(sa, now)
        else:
            sa.enqueue(replace(self, method=method, rival=None), now)

    def _not_found(self, sa: IkeSa, old: ChildSa, now: Instant) -> None:
        """Make anew what the peer does not have."""
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.25
        ##% A peer that receives a CHILD_SA_NOT_FOUND notification
        ##% SHOULD silently delete the Child SA (if it still exists) and send a
        ##% request to create a new Child SA from scratch (if the Child SA does
        ##% not yet exist).
        if old not in sa.children:
            return
        replaced = not old.is_current
        sa.remove_child(old, DownReason.REKEYED if replaced else DownReason.PEER, now)
        if not replaced:
            sa.enqueue(CreateChild(self.policy), now)

    def _no_additional_sas(self, sa: IkeSa, now: Instant) -> None:
        """Begin anew with a peer that has room for no more (section 4)."""
        names = {child.policy.name for child in sa.children if child.is_current} | {self.policy.name}
        sa.enqueue_end(DeleteIke(DownReason.REFUSED), now)
        for name in sorted(names):
            sa.context.wishes.want_again((sa.peer.entry.name, name), now)

    def _failed(self, sa: IkeSa, now: Instant) -> None:
        if self.old is None:
            sa.context.wishes.failed((sa.peer.entry.name, self.policy.name), now)
        elif self.old in sa.children and self.old.is_current:
            sa.enqueue(CreateChild(self.policy, self.old), now, sa.retry_wait())

    def abandon(self, sa: IkeSa, now: Instant) -> None:
        """Give the SPI back."""
        if self._attempt is not None:
            sa.context.spis.give_back_inbound(self._attempt.offer.spi_in)
            self._attempt = None
        key = (sa.peer.entry.name, self.policy.name)
        if self.old is None and sa.children.current(self.policy.name):
            sa.context.wishes.fulfilled(key)
        elif self.old is None:
            sa.context.wishes.failed(key, now)

    @property
    def _what(self) -> str:
        return f"child {self.policy.name}" if self.old is None else f"rekeying of child {self.policy.name}"


def ask_for_packet(sa: IkeSa, policy: ChildPolicy, flow: Flow | None, now: Instant) -> bool:
    """Ask for a child between a packet's addresses alone, as its peer wants it so.

    Returns:
        Whether there is a packet, and this is not what was refused.
    """
    narrowed = for_single_pair(policy, sa.peer.init_path, flow) if flow is not None else policy
    if narrowed != policy:
        sa.enqueue(CreateChild(narrowed, flow=flow), now)
    return narrowed != policy


@dataclass(frozen=True, slots=True)
class DeleteUnwanted:
    """Close a Child SA that the peer has and that was never installed here."""

    spi_in: bytes
    protocols: tuple[int, ...]
    """All that it may be of: the peer chose one of them."""

    exchange: ExchangeType = field(default=ExchangeType.INFORMATIONAL, init=False)

    @classmethod
    def of_offer(cls, offer: ChildOffer) -> Self:
        """Return the task for what a peer made of an offer."""
        protocols = dict.fromkeys(proposal.protocol for proposal in offer.proposals)
        return cls(offer.spi_in.to_bytes(SPI_OCTETS), tuple(protocols))

    def begin(self, sa: IkeSa, now: Instant) -> Sequence[Payload] | None:
        """Return the request."""
        return tuple(DeletePayload(protocol, (self.spi_in,)) for protocol in self.protocols)

    def finish(self, sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> None:
        """Do nothing: there is nothing here."""

    def abandon(self, sa: IkeSa, now: Instant) -> None:
        """Do nothing."""
