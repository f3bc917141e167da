"""IKE_SA_INIT as its responder (RFC 7296, sections 1.2, 2.6 and 2.7)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from perilune.databases.pad import Fragmentation, PadEntry
from perilune.ike.auth_methods import method_notifies
from perilune.ike.context import Context
from perilune.ike.events import CookieDemanded, Dropped, IkeKeysDerived, MessageReceived, MessageSent
from perilune.ike.exchanges.fresh import Reply
from perilune.ike.exchanges.ike_auth_answer import HalfOpen
from perilune.ike.exchanges.init_done import InitDone, may_fragment
from perilune.ike.half_open import HalfOpenTable
from perilune.ike.keyed import KeyedSa
from perilune.ike.names import IkeName
from perilune.ike.nat import Nat, find_nat, nat_notifies
from perilune.ike.negotiation import Choice, choose, that_need_no_additional
from perilune.ike.pad_index import Candidates
from perilune.ike.received import find_notify, require
from perilune.ike.refusal import Refusal, refused_by_us
from perilune.ike.signature_hashes import AgreedHashes, hash_notifies
from perilune.ike.vendor import vendor_payloads
from perilune.model.address import Path
from perilune.model.errors import PeerError
from perilune.model.iana import ExchangeType, NotifyType
from perilune.model.proposal import Proposal
from perilune.model.spi import NO_IKE_SPI, IkeSpi
from perilune.model.time import Instant
from perilune.wire.header import Flags, Header
from perilune.wire.message import Message, encode_message
from perilune.wire.payloads import KePayload, NoncePayload, NotifyPayload, Payload, SaPayload


def answer(context: Context, table: HalfOpenTable, message: Message, path: Path, now: Instant) -> None:
    """Answer a request that anyone may have sent."""
    table.forget_failed(now)
    try:
        _check_header(context, message.header)
        digest = sha256(message.octets).digest()
        known = table.find(digest, path.remote.address)
        if isinstance(known, HalfOpen):
            known.repeat_init(path)
        elif _may_begin(context, table, message, path, now):
            _begin(context, table, message, path, now)
    except PeerError as error:
        context.outbox.tell(Dropped(path, str(error)))


def _check_header(context: Context, header: Header) -> None:
    if context.registry.find(header.spi_i) is not None:
        raise PeerError("its SPI is ours: it is a request of our own that came back")
    if header.spi_i == NO_IKE_SPI or header.message_id or not header.flags.initiator:
        raise PeerError("its header is not that of a first request")


def _may_begin(context: Context, table: HalfOpenTable, message: Message, path: Path, now: Instant) -> bool:
    """Whether an IKE SA may begin; else a cookie may have been asked for."""
    remote = path.remote.address
    if not table.has_room(remote):
        raise PeerError("there are too many half-open IKE SAs")
    if not table.wants_cookies:
        return True
    spi_i, nonce = message.header.spi_i, require(message.payloads, NoncePayload).nonce
    cookie = find_notify(message.payloads, NotifyType.COOKIE)
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.6
    ##% When one party receives an IKE_SA_INIT request containing a cookie
    ##% whose contents do not match the value expected, that party MUST
    ##% ignore the cookie and process the message as if no cookie had been
    ##% included
    if cookie is not None and table.accepts(cookie.data, nonce, remote, spi_i, now):
        return True
    context.outbox.tell(CookieDemanded(_name(message.header), by_peer=False, path=path))
    wanted = NotifyPayload(NotifyType.COOKIE, table.cookie(nonce, remote, spi_i, now))
    _respond(context, message.header, NO_IKE_SPI, (wanted,), path)
    return False


def _begin(context: Context, table: HalfOpenTable, message: Message, path: Path, now: Instant) -> None:
    try:
        candidates = context.pad.candidates(path)
        entry, choice = _choose(candidates, message.payloads, path)
        reply = Reply.to(choice.key_exchange, message.payloads, context.rng)
        spi_r = context.spis.new_ike_spi()
        keyed = _keyed(choice, reply, spi_r, message)
        hashes = AgreedHashes.of_messages(candidates.signature_hashes, message.payloads)
    except PeerError as error:
        if error.notify is not NotifyType.INVALID_KE_PAYLOAD:
            table.add_failed(path.remote.address, now)
            context.outbox.tell(refused_by_us(_name(message.header), "IKE SA", error))
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-3.10.1
        ##% To avoid a DoS
        ##% attack using forged messages, this status may only be
        ##% returned for and in an encrypted packet
        if error.notify not in {None, NotifyType.INVALID_SYNTAX}:
            refusal = NotifyPayload(error.notify, error.notify_data)
            _respond(context, message.header, NO_IKE_SPI, (refusal,), path)
        return
    _tell_received(context, message)
    payloads = _payloads(entry, choice, reply, message, (spi_r, path))
    announced = candidates.announcements(digital_signature=hashes.of_us is not None)
    payloads += (*hash_notifies(hashes.of_us or ()), *method_notifies(announced))
    payloads += vendor_payloads(candidates.modes)
    response = _respond(context, message.header, spi_r, payloads, path)
    done = _done(entry, choice, keyed, hashes, message, response, path)
    half_open = HalfOpen(context, table, done, candidates, now)
    context.registry.put(half_open)
    if context.settings.export_keys and not keyed.suite.additional_key_exchanges:
        context.outbox.tell(IkeKeysDerived(half_open.name, keyed.suite, keyed.keys))


def _choose(candidates: Candidates, payloads: Sequence[Payload], path: Path) -> tuple[PadEntry, Choice]:
    """Choose algorithms, and the first entry that allows them."""
    offered = require(payloads, SaPayload).proposals
    method = require(payloads, KePayload).method
    refusal: Refusal | None = None
    intermediate = find_notify(payloads, NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED) is not None
    for entry in candidates.offers():
        try:
            hint = f"connections.{entry.name}.proposals"
            ours = entry.proposals if intermediate else _without_intermediate(entry, hint)
            return entry, choose(ours, offered, preferred=method, hint=hint)
        except Refusal as error:
            refusal = refusal or error
    raise refusal or Refusal(
        f"no connection is from {path.local.address} to {path.remote.address}",
        NotifyType.NO_PROPOSAL_CHOSEN,
        hint="connections.*.remote_addrs",
    )


def _without_intermediate(entry: PadEntry, hint: str) -> tuple[Proposal, ...]:
    """Return what a connection allows with a peer that has no IKE_INTERMEDIATE."""
    left = that_need_no_additional(entry.proposals)
    if left:
        return left
    raise Refusal(
        "the peer has no IKE_INTERMEDIATE to run additional key exchanges in",
        NotifyType.NO_PROPOSAL_CHOSEN,
        ours=" | ".join(map(str, entry.proposals)),
        hint=hint,
    )


def _keyed(choice: Choice, reply: Reply, spi_r: IkeSpi, message: Message) -> KeyedSa:
    nonce_i = require(message.payloads, NoncePayload).nonce
    if reply.shared is None:
        raise PeerError("an IKE SA needs a key exchange", notify=NotifyType.NO_PROPOSAL_CHOSEN)
    spis, nonces = (message.header.spi_i, spi_r), (nonce_i, reply.nonce)
    return KeyedSa.of_first_exchange(choice.ike_suite, nonces, reply.shared, spis, original_initiator=False)


def _payloads(
    entry: PadEntry, choice: Choice, reply: Reply, message: Message, there: tuple[IkeSpi, Path]
) -> tuple[Payload, ...]:
    spi_r, path = there
    nonce, *ke = reply.payloads
    payloads: list[Payload] = [SaPayload((choice.proposal,)), *ke, nonce]
    payloads += nat_notifies(message.header.spi_i, spi_r, path, pretend=entry.encap)
    if _announces_fragmentation(entry, message):
        payloads.append(NotifyPayload(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED))
    if choice.additional_key_exchanges:
        payloads.append(NotifyPayload(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED))
    return tuple(payloads)


def _announces_fragmentation(entry: PadEntry, message: Message) -> bool:
    theirs = find_notify(message.payloads, NotifyType.IKEV2_FRAGMENTATION_SUPPORTED)
    return theirs is not None and entry.fragmentation is not Fragmentation.NO


def _done(  # noqa: PLR0913, PLR0917 - all that the exchange led to
    entry: PadEntry,
    choice: Choice,
    keyed: KeyedSa,
    hashes: AgreedHashes,
    message: Message,
    response: bytes,
    path: Path,
) -> InitDone:
    nat = find_nat(message.payloads, keyed.spi_i, NO_IKE_SPI, path, pretend=entry.encap)
    return InitDone(
        keyed=keyed,
        nat=nat or Nat(),
        fragmentation=_announces_fragmentation(entry, message) and may_fragment(entry),
        local_message=response,
        remote_message=message.octets,
        path=path,
        chosen=choice.proposal,
        hashes=hashes,
    )


def _respond(
    context: Context, request: Header, spi_r: IkeSpi, payloads: tuple[Payload, ...], path: Path
) -> bytes:
    flags = Flags(initiator=False, response=True)
    header = Header(request.spi_i, spi_r, ExchangeType.IKE_SA_INIT, flags, 0)
    octets = encode_message(header, payloads)
    types = tuple(payload.payload_type for payload in payloads)
    context.outbox.tell(MessageSent(_name(header), ExchangeType.IKE_SA_INIT, True, 0, types, len(octets)))
    context.outbox.send(path, octets)
    return octets


def _tell_received(context: Context, message: Message) -> None:
    types = tuple(payload.payload_type for payload in message.payloads)
    octets = len(message.octets)
    context.outbox.tell(
        MessageReceived(_name(message.header), ExchangeType.IKE_SA_INIT, False, 0, types, octets)
    )


def _name(header: Header) -> IkeName:
    return IkeName("", 0, header.spi_i, header.spi_r)
