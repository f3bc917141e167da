"""CREATE_CHILD_SA that replaces the IKE SA: both sides of it (RFC 7296, sections 1.3.2, 2.8.2 and 2.18).

Additional key exchanges follow in IKE_FOLLOWUP_KE (RFC 9370, section 2.2.4):

    HDR, SK {SA, Ni, KEi}  -->
                           <--  HDR, SK {SA, Nr, KEr, N(ADDITIONAL_KEY_EXCHANGE)(link 1)}
    HDR, SK {KEi(1), N(ADDITIONAL_KEY_EXCHANGE)(link 1)}  -->
                           <--  HDR, SK {KEr(1), N(ADDITIONAL_KEY_EXCHANGE)(link 2)}
    and so on; the last response has no link, and with it the new IKE SA exists.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from perilune.crypto.ike_keys import derive_rekeyed_ike_keys
from perilune.crypto.key_exchange import KeyExchange, respond
from perilune.ike.child_offer import asked_key_exchange
from perilune.ike.events import DownReason, IkeKeysDerived
from perilune.ike.exchanges.create_child import CreateChild
from perilune.ike.exchanges.fresh import Fresh, Reply
from perilune.ike.exchanges.ike_intermediate import require_ke
from perilune.ike.exchanges.informational import DeleteChild, DeleteIke
from perilune.ike.exchanges.outcome import TEMPORARY_FAILURE, Outcome
from perilune.ike.followup import Followup
from perilune.ike.ike_sa import IkeSa
from perilune.ike.keyed import KeyedSa
from perilune.ike.negotiation import (
    Choice,
    choose,
    key_exchanges,
    offer,
    require_chosen,
    with_prf,
)
from perilune.ike.received import find, find_error, find_notify, require
from perilune.ike.refusal import Refusal, refused_by_peer, refused_by_us
from perilune.model.errors import PeerError
from perilune.model.iana import ExchangeType, KeId, NotifyType
from perilune.model.proposal import Proposal
from perilune.model.secret import Secret
from perilune.model.spi import IkeSpi
from perilune.model.time import Instant
from perilune.wire.payloads import KePayload, NoncePayload, NotifyPayload, Payload, SaPayload

_SPI_OCTETS: Final = 8
_LINK_OCTETS: Final = 16
_WHAT: Final = "rekeying of the IKE SA"


@dataclass(frozen=True, slots=True)
class _Attempt:
    spi: IkeSpi
    proposals: tuple[Proposal, ...]
    fresh: Fresh


@dataclass(frozen=True, slots=True)
class _Following:
    """Our rekeying between its CREATE_CHILD_SA and its last IKE_FOLLOWUP_KE."""

    so_far: Followup
    begun: KeyExchange

    @property
    def payloads(self) -> tuple[Payload, ...]:
        link = NotifyPayload(NotifyType.ADDITIONAL_KEY_EXCHANGE, self.so_far.link)
        return KePayload(self.begun.method, self.begun.share), link


@dataclass(slots=True)
class RekeyIke:
    """Replace the IKE SA by a new one that inherits all children."""

    sa_id: int
    """Id of the IKE SA to replace; a successor that inherits the task has no use for it."""

    method: KeId | None = field(default=None, compare=False)
    """The key exchange method that the peer asked for."""

    rival: IkeSa | None = field(default=None, compare=False)
    """Set while the request is under way, if the peer rekeys too: the successor that it made."""

    _attempt: _Attempt | None = field(default=None, init=False, compare=False, repr=False)
    _following: _Following | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def exchange(self) -> ExchangeType:
        """The exchange of the next request."""
        return ExchangeType.IKE_FOLLOWUP_KE if self._following else ExchangeType.CREATE_CHILD_SA

    def begin(self, sa: IkeSa, now: Instant) -> Sequence[Payload] | None:
        """Return the request, unless the IKE SA is replaced or about to end."""
        if not sa.is_current or sa.id != self.sa_id:
            return None
        if self._following is not None:
            return self._following.payloads
        method = self.method or sa.keyed.suite.key_exchange
        spi = sa.context.spis.new_ike_spi()
        # Where the PRF changes, strongSwan 5.9 comes to other keys than section 2.18 gives.
        ours = with_prf(sa.peer.entry.proposals, sa.keyed.suite.prf)
        proposals = offer(ours, spi.to_bytes(_SPI_OCTETS), method)
        self._attempt = _Attempt(spi, proposals, Fresh.begin(method, sa.context.rng))
        return (SaPayload(proposals), *self._attempt.fresh.payloads)

    def finish(self, sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> None:
        """Let the new IKE SA take over, go on with the next key exchange, or see to a refusal."""
        attempt, self._attempt = self._attempt, None
        following, self._following = self._following, None
        error = find_error(payloads)
        if error is not None:
            self._refused(sa, error, now)
            return
        try:
            if following is not None:
                so_far = _followed_up(sa, following, payloads, now)
            elif attempt is not None:
                so_far = _begun_by_us(sa, attempt, payloads, now)
            else:
                return
        except Refusal as refusal:
            sa.context.outbox.tell(refused_by_us(sa.name, _WHAT, refusal))
            self.abandon(sa, now)
            sa.enqueue_end(DeleteIke(DownReason.REFUSED), now)
            return
        self._go_on(sa, so_far, now)

    def _go_on(self, sa: IkeSa, so_far: Followup, now: Instant) -> None:
        if so_far.is_complete:
            self._settle(sa, _new_ike_sa(sa, _keyed(sa, so_far, began_here=True), now), now)
        elif sa.followup is not None and so_far.lowest_nonce < sa.followup.lowest_nonce:
            # Of two rekeyings at once the one with the lowest nonce is superfluous, and leaves nothing behind
            # yet. Should the peer not go on with its own, there is another try.
            sa.enqueue(RekeyIke(sa.id), now, sa.context.settings.timers.followup + sa.retry_wait())
        else:
            sa.followup = None
            self._following = _Following(so_far, KeyExchange.begin(so_far.method, sa.context.rng))
            sa.tasks.add_first(self, now)

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
        self._attempt = self._following = None
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
        (*with_prf(entry.proposals, sa.keyed.suite.prf), *entry.proposals),
        sa_payload.proposals,
        preferred=ke.method if ke else None,
        hint=f"connections.{entry.name}.proposals",
    )
    reply = Reply.to(choice.key_exchange, payloads, sa.context.rng)
    spi = sa.context.spis.new_ike_spi()
    _peer_spi(choice)
    begun = Followup(
        choice=choice,
        spi=spi,
        nonces=(require(payloads, NoncePayload).nonce, reply.nonce),
        secrets=(_required(reply.shared),),
        link=sa.context.rng.octets(_LINK_OCTETS) if choice.additional_key_exchanges else b"",
        until=now + sa.context.settings.timers.followup,
    )
    sa_payload = SaPayload((choice.proposal.with_spi(spi.to_bytes(_SPI_OCTETS)),))
    return Outcome((sa_payload, *reply.payloads, *_answered(sa, begun, now)))


def follow_up(sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> Outcome:
    """Run the next key exchange of a rekeying that the peer began (RFC 9370, section 2.2.4).

    Raises:
        PeerError: We know of no such rekeying; the notify is STATE_NOT_FOUND. Or the KE payload is bad.
    """
    followup, link = sa.followup, find_notify(payloads, NotifyType.ADDITIONAL_KEY_EXCHANGE)
    known = followup is not None and link is not None and hmac.compare_digest(link.data, followup.link)
    if followup is None or not known or not sa.is_current:
        raise Refusal("it follows nothing that is known here", NotifyType.STATE_NOT_FOUND)
    reply = respond(followup.method, require_ke(payloads, followup.method).data, sa.context.rng)
    until = now + sa.context.settings.timers.followup
    so_far = followup.with_secret(reply.secret, sa.context.rng.octets(_LINK_OCTETS), until)
    return Outcome((KePayload(reply.method, reply.share), *_answered(sa, so_far, now)))


def _answered(sa: IkeSa, so_far: Followup, now: Instant) -> tuple[Payload, ...]:
    """Remember a rekeying of the peer and return the link to its next request, or let it take effect."""
    if not so_far.is_complete:
        sa.followup = so_far
        return (NotifyPayload(NotifyType.ADDITIONAL_KEY_EXCHANGE, so_far.link),)
    sa.followup = None
    new = _new_ike_sa(sa, _keyed(sa, so_far, began_here=False), now)
    active = sa.tasks.active
    if isinstance(active, RekeyIke):
        active.rival = new
    else:
        sa.hand_over(new, now)
    return ()


def _has_rival(sa: IkeSa) -> bool:
    return isinstance(sa.tasks.active, RekeyIke) and sa.tasks.active.rival is not None


def _begun_by_us(sa: IkeSa, attempt: _Attempt, payloads: Sequence[Payload], now: Instant) -> Followup:
    """Return where we are behind the response to CREATE_CHILD_SA."""
    hint = f"connections.{sa.peer.entry.name}.proposals"
    choice = require_chosen(attempt.proposals, require(payloads, SaPayload).proposals, hint=hint)
    _peer_spi(choice)
    so_far = Followup(
        choice=choice,
        spi=attempt.spi,
        nonces=(attempt.fresh.nonce, require(payloads, NoncePayload).nonce),
        secrets=(_required(attempt.fresh.finish(choice.key_exchange, payloads)),),
        link=b"",
        until=now,
    )
    return so_far if so_far.is_complete else replace(so_far, link=_link(payloads))


def _followed_up(sa: IkeSa, following: _Following, payloads: Sequence[Payload], now: Instant) -> Followup:
    """Return where we are behind the response to IKE_FOLLOWUP_KE."""
    ke = require_ke(payloads, following.begun.method)
    so_far = following.so_far.with_secret(following.begun.finish(ke.data), b"", now)
    return so_far if so_far.is_complete else replace(so_far, link=_link(payloads))


def _link(payloads: Sequence[Payload]) -> bytes:
    link = find_notify(payloads, NotifyType.ADDITIONAL_KEY_EXCHANGE)
    if link is None:
        raise PeerError("there is no link to the next key exchange", notify=NotifyType.INVALID_SYNTAX)
    return link.data


def _required(shared: Secret | None) -> Secret:
    if shared is None:
        raise PeerError("an IKE SA needs a key exchange", notify=NotifyType.NO_PROPOSAL_CHOSEN)
    return shared


def _keyed(sa: IkeSa, so_far: Followup, *, began_here: bool) -> KeyedSa:
    """Derive the keys of a successor once all key exchanges are done."""
    theirs = _peer_spi(so_far.choice)
    spis = (so_far.spi, theirs) if began_here else (theirs, so_far.spi)
    old, suite = sa.keyed, so_far.choice.ike_suite
    keys = derive_rekeyed_ike_keys(suite, old.suite.prf, old.keys.sk_d, *so_far.nonces, so_far.secrets, *spis)
    return KeyedSa(
        spi_i=spis[0],
        spi_r=spis[1],
        original_initiator=began_here,
        suite=suite,
        nonce_i=so_far.nonces[0],
        nonce_r=so_far.nonces[1],
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
