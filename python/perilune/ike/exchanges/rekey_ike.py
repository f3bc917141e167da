"""CREATE_CHILD_SA that replaces the IKE SA: both sides of it (RFC 7296, sections 1.3.2, 2.8.2 and 2.18)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from perilune.crypto.ike_keys import derive_rekeyed_ike_keys
from perilune.ike.child_offer import asked_key_exchange
from perilune.ike.events import DownReason, IkeKeysDerived
from perilune.ike.exchanges.create_child import CreateChild
from perilune.ike.exchanges.fresh import Fresh, Reply
from perilune.ike.exchanges.informational import DeleteChild, DeleteIke
from perilune.ike.exchanges.outcome import TEMPORARY_FAILURE, Outcome
from perilune.ike.ike_sa import IkeSa
from perilune.ike.keyed import KeyedSa
from perilune.ike.negotiation import (
    Choice,
    choose,
    key_exchanges,
    offer,
    require_chosen,
    with_one_key_exchange,
)
from perilune.ike.received import find, find_error, require
from perilune.ike.refusal import Refusal, refused_by_peer, refused_by_us
from perilune.model.errors import PeerError
from perilune.model.iana import ExchangeType, KeId, NotifyType
from perilune.model.proposal import Proposal
from perilune.model.secret import Secret
from perilune.model.spi import IkeSpi
from perilune.model.time import Instant
from perilune.wire.payloads import KePayload, NoncePayload, NotifyPayload, Payload, SaPayload

_SPI_OCTETS: Final = 8
_WHAT: Final = "rekeying of the IKE SA"


@dataclass(frozen=True, slots=True)
class _Attempt:
    spi: IkeSpi
    proposals: tuple[Proposal, ...]
    fresh: Fresh


@dataclass(slots=True)
class RekeyIke:
    """Replace the IKE SA by a new one that inherits all children."""

    sa_id: int
    """Id of the IKE SA to replace; a successor that inherits the task has no use for it."""

    method: KeId | None = field(default=None, compare=False)
    """The key exchange method that the peer asked for."""

    rival: IkeSa | None = field(default=None, compare=False)
    """Set while the request is under way, if the peer rekeys too: the successor that it made."""

    exchange: ExchangeType = field(default=ExchangeType.CREATE_CHILD_SA, init=False)
    _attempt: _Attempt | None = field(default=None, init=False, compare=False, repr=False)

    def begin(self, sa: IkeSa, now: Instant) -> Sequence[Payload] | None:
        """Return the request, unless the IKE SA is replaced or about to end."""
        if not sa.is_current or sa.id != self.sa_id:
            return None
        method = self.method or sa.keyed.suite.key_exchange
        spi = sa.context.spis.new_ike_spi()
        ours = with_one_key_exchange(sa.peer.entry.proposals)
        proposals = offer(ours, spi.to_bytes(_SPI_OCTETS), method)
        self._attempt = _Attempt(spi, proposals, Fresh.begin(method, sa.context.rng))
        return (SaPayload(proposals), *self._attempt.fresh.payloads)

    def finish(self, sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> None:
        """Let the new IKE SA take over, or see to a refusal."""
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        error = find_error(payloads)
        if error is not None:
            self._refused(sa, error, now)
            return
        try:
            keyed = _keyed_by_us(sa, attempt, payloads)
        except Refusal as refusal:
            sa.context.outbox.tell(refused_by_us(sa.name, _WHAT, refusal))
            sa.enqueue_end(DeleteIke(DownReason.REFUSED), now)
            return
        self._settle(sa, _new_ike_sa(sa, keyed, now), now)

    def _settle(self, sa: IkeSa, new: IkeSa, now: Instant) -> None:
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.8.2
        ##% The new IKE SA containing the lowest nonce SHOULD be deleted by
        ##% the node that created it, and the other surviving new IKE SA MUST
        ##% inherit all the Child SAs.
        rival = self._living_rival
        if rival is not None and new.keyed.lowest_nonce < rival.keyed.lowest_nonce:
            sa.hand_over(rival, now)
            new.enqueue_end(DeleteIke(DownReason.REDUNDANT), now)
            return
        sa.hand_over(new, now)
        if rival is not None:
            rival.supersede(now)
        sa.enqueue_end(DeleteIke(DownReason.REKEYED), now)

    def _refused(self, sa: IkeSa, error: NotifyPayload, now: Instant) -> None:
        sa.context.outbox.tell(refused_by_peer(sa.name, _WHAT, error))
        rival = self._living_rival
        if rival is not None:
            sa.hand_over(rival, now)
        elif error.type == NotifyType.INVALID_KE_PAYLOAD:
            self._retry_with_method(sa, error, now)
        else:
            sa.enqueue(RekeyIke(sa.id), now, sa.retry_wait())

    def _retry_with_method(self, sa: IkeSa, error: NotifyPayload, now: Instant) -> None:
        try:
            method = asked_key_exchange(error, key_exchanges(sa.peer.entry.proposals))
        except Refusal as refusal:
            sa.context.outbox.tell(refused_by_us(sa.name, _WHAT, refusal))
            sa.enqueue(RekeyIke(sa.id), now, sa.retry_wait())
            return
        wait = sa.retry_wait() if self.method is not None else None
        sa.enqueue(replace(self, method=method), now, wait)

    def abandon(self, sa: IkeSa, now: Instant) -> None:
        """Forget our rekeying; if the peer's succeeded meanwhile, that is the successor."""
        self._attempt = None
        rival = self._living_rival
        if rival is not None and sa.is_current:
            sa.hand_over(rival, now)

    @property
    def _living_rival(self) -> IkeSa | None:
        """The peer's successor, unless the peer closed it already: then it can inherit nothing."""
        return self.rival if self.rival is not None and not self.rival.has_ended else None


def answer(sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> Outcome:
    """Make a successor for a peer that rekeys the IKE SA.

    Raises:
        PeerError: What the peer offers does not fit or is malformed.
    """
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.25.1
    ##% If a peer receives a request to rekey the IKE SA, and it is currently
    ##% creating, rekeying, or closing a Child SA of that IKE SA, it SHOULD
    ##% reply with TEMPORARY_FAILURE.
    active = sa.tasks.active
    if isinstance(active, CreateChild | DeleteChild) or _has_rival(sa):
        return TEMPORARY_FAILURE
    entry, sa_payload = sa.peer.entry, require(payloads, SaPayload)
    ke = find(payloads, KePayload)
    choice = choose(
        with_one_key_exchange(entry.proposals),
        sa_payload.proposals,
        preferred=ke.method if ke else None,
        hint=f"connections.{entry.name}.proposals",
    )
    reply = Reply.to(choice.key_exchange, payloads, sa.context.rng)
    spi = sa.context.spis.new_ike_spi()
    new = _new_ike_sa(sa, _keyed_by_peer(sa, choice, reply, spi, payloads), now)
    if isinstance(active, RekeyIke):
        active.rival = new
    else:
        sa.hand_over(new, now)
    return Outcome((SaPayload((choice.proposal.with_spi(spi.to_bytes(_SPI_OCTETS)),)), *reply.payloads))


def _has_rival(sa: IkeSa) -> bool:
    return isinstance(sa.tasks.active, RekeyIke) and sa.tasks.active.rival is not None


def _keyed_by_us(sa: IkeSa, attempt: _Attempt, payloads: Sequence[Payload]) -> KeyedSa:
    hint = f"connections.{sa.peer.entry.name}.proposals"
    choice = require_chosen(attempt.proposals, require(payloads, SaPayload).proposals, hint=hint)
    shared = attempt.fresh.finish(choice.key_exchange, payloads)
    nonces = attempt.fresh.nonce, require(payloads, NoncePayload).nonce
    return _keyed(sa, choice, nonces, (attempt.spi, _peer_spi(choice)), shared)


def _keyed_by_peer(
    sa: IkeSa, choice: Choice, reply: Reply, spi: IkeSpi, payloads: Sequence[Payload]
) -> KeyedSa:
    nonces = require(payloads, NoncePayload).nonce, reply.nonce
    keyed = _keyed(sa, choice, nonces, (_peer_spi(choice), spi), reply.shared)
    return replace(keyed, original_initiator=False)


def _keyed(
    sa: IkeSa, choice: Choice, nonces: tuple[bytes, bytes], spis: tuple[IkeSpi, IkeSpi], shared: Secret | None
) -> KeyedSa:
    """Derive the keys of a successor; we are its original initiator."""
    if shared is None:
        raise PeerError("an IKE SA needs a key exchange", notify=NotifyType.NO_PROPOSAL_CHOSEN)
    old, suite = sa.keyed, choice.ike_suite
    keys = derive_rekeyed_ike_keys(suite, old.suite.prf, old.keys.sk_d, *nonces, shared, *spis)
    return KeyedSa(
        spi_i=spis[0],
        spi_r=spis[1],
        original_initiator=True,
        suite=suite,
        nonce_i=nonces[0],
        nonce_r=nonces[1],
        keys=keys,
    )


def _peer_spi(choice: Choice) -> IkeSpi:
    spi = choice.proposal.spi
    if len(spi) != _SPI_OCTETS or not any(spi):
        raise PeerError(f"'{spi.hex()}' is no SPI of an IKE SA", notify=NotifyType.INVALID_SYNTAX)
    return IkeSpi(int.from_bytes(spi))


def _new_ike_sa(sa: IkeSa, keyed: KeyedSa, now: Instant) -> IkeSa:
    new = sa.successor(keyed, now)
    if sa.context.settings.export_keys:
        sa.context.outbox.tell(IkeKeysDerived(new.name, keyed.suite, keyed.keys))
    return new
