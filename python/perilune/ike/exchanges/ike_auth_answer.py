"""IKE_AUTH as its responder (RFC 7296, sections 1.2, 2.15 and 2.21.2).

IKE_INTERMEDIATE comes before it, as often as additional key exchanges were chosen (RFC 9242, RFC 9370).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final

from perilune.crypto.key_exchange import respond
from perilune.databases.pad import PadEntry, SharedSecret
from perilune.databases.proof import NoProof, SharedKey
from perilune.ike.afterglow import Afterglow
from perilune.ike.auth_methods import announced_identifiers
from perilune.ike.authenticated import Authenticated
from perilune.ike.channel import Channel, Malformed, Request
from perilune.ike.child_agreement import Nonces, agree
from perilune.ike.child_answer import ChildRequest, grant
from perilune.ike.context import Context
from perilune.ike.events import DownReason, Dropped, IkeKeysDerived
from perilune.ike.exchanges import simultaneous
from perilune.ike.exchanges.ike_intermediate import require_ke
from perilune.ike.exchanges.init_done import InitDone
from perilune.ike.half_open import HalfOpenTable
from perilune.ike.ike_sa import IkeSa
from perilune.ike.message_window import MessageWindow
from perilune.ike.names import IkeName
from perilune.ike.negotiation import choose
from perilune.ike.pad_index import Candidates
from perilune.ike.peer_lookup import key_of, local_identity
from perilune.ike.proofs import prove, require_proof, wrong_method
from perilune.ike.received import find, find_identity, find_notify, require_identity
from perilune.ike.refusal import NotAuthentic, Refusal, not_authentic, refused_by_us
from perilune.model.address import IpAddress, Path
from perilune.model.errors import PeerError
from perilune.model.iana import ExchangeType, NotifyType, PayloadType
from perilune.model.identity import NOBODY
from perilune.model.spi import IkeSpi
from perilune.model.time import Instant
from perilune.wire.message import Message
from perilune.wire.payloads import (
    AuthPayload,
    IdPayload,
    KePayload,
    NotifyPayload,
    Payload,
    SaPayload,
)

_EXPECTED: Final = frozenset({ExchangeType.IKE_AUTH, ExchangeType.IKE_INTERMEDIATE})


class HalfOpen:
    """An IKE SA that a peer began: it has keys, and waits for IKE_INTERMEDIATE or IKE_AUTH.

    It waits for as many IKE_INTERMEDIATE exchanges as there are key exchanges to run, seven at most.

    Args:
        context: The endpoint's.
        table: The half-open IKE SAs, this one among them from now on.
        done: What IKE_SA_INIT led to.
        candidates: The connections that the peer's address fits.
        now: The time.
    """

    def __init__(
        self,
        context: Context,
        table: HalfOpenTable,
        done: InitDone,
        candidates: Candidates,
        now: Instant,
    ) -> None:
        self._context: Final = context
        self._table: Final = table
        self._done = done
        self._candidates: Final = candidates
        self._began_at: Final = now
        self._id: Final = context.registry.new_id()
        keyed = done.keyed
        self.digest = sha256(done.remote_message).digest()
        self.remote: IpAddress = done.path.remote.address
        self.name: Final = IkeName("", self._id, keyed.spi_i, keyed.spi_r)
        self.local_spi: Final[IkeSpi] = keyed.local_spi
        self._channel: Final = Channel(context, self.name, keyed, done.path, MessageWindow(next_expected=1))
        self._channel.fragments = done.fragmentation
        self._heard_at = now
        self._waiting: Final = list(keyed.suite.additional_key_exchanges)
        """Key exchanges that come before IKE_AUTH."""

        table.add(self)

    def status(self) -> None:
        """Return nothing: anyone may have begun it."""

    def next_timeout(self) -> Instant | None:
        """Return when to forget it."""
        return self._heard_at + self._context.settings.timers.half_open

    def handle_timeout(self, now: Instant) -> None:
        """Forget it."""
        self._context.registry.remove(self)
        self._table.remove(self)

    def repeat_init(self, path: Path) -> None:
        """Send the response to IKE_SA_INIT again: the request came again."""
        self._context.outbox.send(path, self._done.local_message)

    def receive(self, message: Message, path: Path, now: Instant) -> None:
        """Act on a message: IKE_AUTH leads to an `IkeSa`, IKE_INTERMEDIATE towards it, others to the end."""
        header = message.header
        if header.flags.response or header.exchange_type not in _EXPECTED:
            self._context.outbox.tell(Dropped(path, "the peer is not authenticated"))
            return
        incoming = self._channel.receive(message, path, now)
        match incoming:
            case Request() if incoming.exchange == ExchangeType.IKE_INTERMEDIATE:
                self._answer_intermediate(incoming, message, now)
            case Request():
                self._answer(incoming, message, now)
            case Malformed():
                self._end(message, now)

    def _answer_intermediate(self, request: Request, message: Message, now: Instant) -> None:
        """Run the next additional key exchange (RFC 9370, section 2.2.2)."""
        try:
            if not self._waiting:
                raise PeerError("IKE_INTERMEDIATE where none is due", notify=NotifyType.INVALID_SYNTAX)
            ke = require_ke(request.payloads, self._waiting[0])
            answer = respond(self._waiting[0], ke.data, self._context.rng)
        except PeerError as error:
            self._context.outbox.tell(refused_by_us(self.name, "IKE_INTERMEDIATE", error))
            notify = NotifyPayload(error.notify or NotifyType.INVALID_SYNTAX, error.notify_data)
            self._channel.respond(request, (notify,))
            self._end(message, now)
            return
        del self._waiting[0]
        self._heard_at = now
        self._channel.respond(request, (KePayload(answer.method, answer.share),))
        keyed = self._done.keyed.updated(answer.secret)
        self._channel.use_keys(keyed)
        self._done = replace(self._done, keyed=keyed, int_auth=self._channel.int_auth.octets)
        if self._context.settings.export_keys and not self._waiting:
            self._context.outbox.tell(IkeKeysDerived(self.name, keyed.suite, keyed.keys))

    def _answer(self, request: Request, message: Message, now: Instant) -> None:
        self._channel.path = request.path
        try:
            peer, id_r, auth = self._authenticate(request)
        except PeerError as error:
            self._context.outbox.tell(not_authentic(self.name, error, self._channel.path))
            notify = NotifyPayload(error.notify or NotifyType.AUTHENTICATION_FAILED, error.notify_data)
            self._channel.respond(request, (notify,))
            self._end(message, now)
            return
        sa = self._establish(peer, now)
        ##= https://www.rfc-editor.org/rfc/rfc7619#section-2.3
        ##% For that reason, the INITIAL_CONTACT
        ##% notifications MUST NOT be used to delete any other IKE SAs based on
        ##% the same peer identity without additional verification that the
        ##% existing IKE SAs with matching identity are actually stale.
        if not peer.is_anonymous and find_notify(request.payloads, NotifyType.INITIAL_CONTACT):
            self._forget_others(sa, now)
        self._forget_oldest(sa, now)
        child = self._set_up_child(sa, request.payloads, now)
        self._channel.respond(request, (id_r, auth, *child))
        simultaneous.close_redundant(sa, now)

    def _authenticate(self, request: Request) -> tuple[Authenticated, IdPayload, AuthPayload]:
        """Return who the peer is, and our own identity and AUTH.

        Raises:
            PeerError: The peer is not who it says, or is nobody we know, or we cannot prove who we are.
        """
        if self._waiting:
            raise PeerError("IKE_AUTH before the additional key exchanges", notify=NotifyType.INVALID_SYNTAX)
        payloads, path, pad = request.payloads, request.path, self._context.pad
        id_i = require_identity(payloads, PayloadType.ID_I)
        asked = find_identity(payloads, PayloadType.ID_R)
        auth = find(payloads, AuthPayload)
        method = auth.method if auth else None
        claimed = id_i.identity
        entry = pad.entry_of(self._candidates, claimed, asked.identity if asked else None, path, method)
        if auth is None:
            raise wrong_method(entry, None)
        local_id = local_identity(entry, path)
        # Whoever proves nothing could otherwise have us use the secret of anybody, and guess it.
        peer_id = NOBODY if isinstance(entry.remote_proof, NoProof) else claimed

        def shared() -> SharedSecret:
            return pad.secret(local_id, peer_id)

        remote_auth = require_proof(entry, self._done, id_i, auth, shared)
        self._require_suite(entry)
        id_r = IdPayload(PayloadType.ID_R, local_id)
        secret = shared() if isinstance(entry.local_proof, SharedKey) else None
        ours = prove(entry, self._done, id_r, secret, announced_identifiers(payloads))
        peer = Authenticated(
            entry=entry,
            local_id=local_id,
            local_auth=ours.by,
            remote_id=peer_id,
            remote_auth=remote_auth,
            init_path=self._done.path,
            nat=self._done.nat,
            fragmentation=self._done.fragmentation,
            began_at=self._began_at,
        )
        return peer, id_r, ours.payload

    def _require_suite(self, entry: PadEntry) -> None:
        """Make sure that the connection allows the algorithms, chosen before it was known."""
        try:
            choose(entry.proposals, (self._done.chosen,))
        except Refusal as refusal:
            why = f"connection {entry.name} does not allow {self._done.keyed.suite}: {refusal}"
            raise NotAuthentic(why, f"{key_of(entry)}.proposals") from refusal

    def _establish(self, peer: Authenticated, now: Instant) -> IkeSa:
        self._table.remove(self)
        sa = IkeSa(self._context, self._channel, peer, self._id, now)
        self._context.registry.put(sa, peer.identities)
        self._context.outbox.tell(sa.up_event())
        return sa

    def _forget_others(self, sa: IkeSa, now: Instant) -> None:
        """Forget the IKE SAs that a peer had before it lost its memory (section 2.4).

        One that was established while this one was under way is none of those.
        """
        for other in sa.with_same_peer():
            if other is not sa and other.established_at < self._began_at:
                other.end(DownReason.REPLACED, now)

    def _forget_oldest(self, sa: IkeSa, now: Instant) -> None:
        """Forget IKE SAs that a peer began one after the other and never closed."""
        begun = [other for other in sa.with_same_peer() if not other.keyed.original_initiator]
        begun.sort(key=lambda other: other.id)
        for other in begun[: -self._context.settings.ike_limit_per_peer]:
            other.end(DownReason.REPLACED, now)

    def _set_up_child(self, sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> tuple[Payload, ...]:
        """Return the payloads that answer the request for a child."""
        if find(payloads, SaPayload) is None:
            return ()
        spi_in = self._context.spis.take_inbound()
        try:
            request = ChildRequest.read(payloads, in_ike_auth=True)
            granted = grant(sa.peer, request, entries=self._context.policies)
            granted = granted.with_compression(self._context.spis, spi_in)
            nonces = Nonces(sa.keyed.nonce_i, sa.keyed.nonce_r)
            sa.install_child(agree(sa.keyed, nonces, granted.terms(spi_in), began_here=False), now)
        except PeerError as error:
            self._context.spis.give_back_inbound(spi_in)
            self._context.outbox.tell(refused_by_us(sa.name, "the child of IKE_AUTH", error))
            return (NotifyPayload(error.notify or NotifyType.NO_PROPOSAL_CHOSEN, error.notify_data),)
        return granted.answer(spi_in)

    def _end(self, message: Message, now: Instant) -> None:
        """Be forgotten, but for the answer, which may have to be repeated."""
        self._table.remove(self)
        self._table.add_failed(self.remote, now)
        until = now + self._context.settings.timers.half_open
        answer = self._channel.last_answer
        self._context.registry.put(
            Afterglow(self._context, self.name, self.local_spi, message.octets, answer, until)
        )
