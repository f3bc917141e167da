"""CREATE_CHILD_SA as its responder (RFC 7296, sections 1.3 and 2.25)."""

from __future__ import annotations

from collections.abc import Sequence

from perilune.ike.child_agreement import Nonces, agree
from perilune.ike.child_answer import ChildRequest, grant
from perilune.ike.child_offer import SPI_OCTETS
from perilune.ike.child_sa import ChildSa
from perilune.ike.events import Refused
from perilune.ike.exchanges import rekey_ike
from perilune.ike.exchanges.create_child import CreateChild, Rival
from perilune.ike.exchanges.fresh import Reply
from perilune.ike.exchanges.outcome import TEMPORARY_FAILURE, Outcome
from perilune.ike.exchanges.rekey_ike import RekeyIke
from perilune.ike.ike_sa import IkeSa
from perilune.ike.received import find, find_notify, require
from perilune.ike.refusal import refused_by_us
from perilune.model.errors import PeerError
from perilune.model.iana import NotifyType, ProtocolId
from perilune.model.spi import Spi
from perilune.model.time import Instant
from perilune.wire.payloads import KePayload, NoncePayload, NotifyPayload, Payload, SaPayload


def answer(sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> Outcome:
    """Carry out the peer's request for a Child SA, or for a new IKE SA."""
    if not sa.is_current:
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.25.2
        ##% If a peer receives a request to rekey an IKE SA
        ##% that it is currently trying to close, it SHOULD reply with
        ##% TEMPORARY_FAILURE.
        return TEMPORARY_FAILURE
    try:
        if _is_for_ike(require(payloads, SaPayload)):
            return rekey_ike.answer(sa, payloads, now)
        return _answer_child(sa, payloads, now)
    except PeerError as error:
        sa.context.outbox.tell(refused_by_us(sa.name, _what(payloads), error))
        return Outcome.of_error(error)


def answer_followup(sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> Outcome:
    """Run the next additional key exchange of a rekeying that the peer began."""
    try:
        return rekey_ike.follow_up(sa, payloads, now)
    except PeerError as error:
        sa.context.outbox.tell(refused_by_us(sa.name, "additional key exchange", error))
        return Outcome.of_error(error)


def _is_for_ike(sa_payload: SaPayload) -> bool:
    return sa_payload.proposals[0].protocol == ProtocolId.IKE


def _answer_child(sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> Outcome:
    if isinstance(sa.tasks.active, RekeyIke) or sa.followup is not None:
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.25.2
        ##% If a peer receives a request to create or rekey a Child SA when it is
        ##% currently rekeying the IKE SA, it SHOULD reply with
        ##% TEMPORARY_FAILURE.
        return TEMPORARY_FAILURE
    rekey = find_notify(payloads, NotifyType.REKEY_SA)
    if rekey is None:
        return _create(sa, payloads, now, None)
    old = sa.children.with_outbound(Spi(int.from_bytes(rekey.spi)))
    if old is None or rekey.protocol != old.protocol:
        return _not_found(sa, rekey)
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.25.1
    ##% If a peer receives a request to rekey a Child SA that it is currently
    ##% trying to close, it SHOULD reply with TEMPORARY_FAILURE.
    return _create(sa, payloads, now, old) if old.is_current else TEMPORARY_FAILURE


def _create(sa: IkeSa, payloads: Sequence[Payload], now: Instant, old: ChildSa | None) -> Outcome:
    limit = sa.context.settings.child_limit
    if sa.children.installed >= limit:
        raise PeerError(f"there are {limit} Child SAs already", notify=NotifyType.NO_ADDITIONAL_SAS)
    ke = find(payloads, KePayload)
    granted = grant(
        sa.peer,
        ChildRequest.read(payloads),
        entries=sa.context.policies,
        preferred=ke.method if ke else None,
        only=old.policy.name if old else None,
    )
    reply = Reply.to(granted.choice.key_exchange, payloads, sa.context.rng)
    nonces = Nonces(require(payloads, NoncePayload).nonce, reply.nonce, reply.shared)
    spi_in = sa.context.spis.take_inbound()
    granted = granted.with_compression(sa.context.spis, spi_in)
    try:
        agreement = agree(sa.keyed, nonces, granted.terms(spi_in), began_here=False)
        child = sa.install_child(agreement, now, old)
    except PeerError:
        sa.context.spis.give_back_inbound(spi_in)
        raise
    _note_rival(sa, old, child)
    return Outcome(granted.answer(spi_in, reply.payloads))


def _note_rival(sa: IkeSa, old: ChildSa | None, child: ChildSa) -> None:
    """Let our own rekeying of the same Child SA know, if one is under way (section 2.8.1)."""
    active = sa.tasks.active
    if old is not None and isinstance(active, CreateChild) and active.old is old:
        active.rival = Rival(child, child.agreement.lowest_nonce)


def _not_found(sa: IkeSa, rekey: NotifyPayload) -> Outcome:
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.25.1
    ##% If a peer receives a
    ##% request to rekey a Child SA that does not exist, it SHOULD reply with
    ##% CHILD_SA_NOT_FOUND.
    spi = rekey.spi.hex()
    sa.context.outbox.tell(
        Refused(
            ike=sa.name,
            what="rekeying of a child",
            by_peer=False,
            notify=NotifyType.CHILD_SA_NOT_FOUND.name,
            why=f"there is no child with SPI 0x{spi}",
        )
    )
    notify = NotifyPayload(NotifyType.CHILD_SA_NOT_FOUND, b"", rekey.protocol, rekey.spi[:SPI_OCTETS])
    return Outcome((notify,))


def _what(payloads: Sequence[Payload]) -> str:
    sa_payload = find(payloads, SaPayload)
    return "rekeying of the IKE SA" if sa_payload and _is_for_ike(sa_payload) else "a child"
