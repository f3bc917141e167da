"""IKE_AUTH as its initiator (RFC 7296, sections 1.2, 2.15 and 2.21.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from perilune.databases.pad import SharedSecret
from perilune.databases.proof import NoProof, SharedKey
from perilune.ike.auth_methods import announcements, method_notifies
from perilune.ike.authenticated import Authenticated
from perilune.ike.channel import Channel, Malformed, Response
from perilune.ike.child_agreement import Nonces, agree
from perilune.ike.child_authorization import require_authorized
from perilune.ike.child_offer import ChildOffer
from perilune.ike.child_selectors import selectors_to_offer
from perilune.ike.context import Context
from perilune.ike.events import AuthenticationFailed, DownReason, Dropped
from perilune.ike.exchanges import simultaneous
from perilune.ike.exchanges.create_child import CreateChild, DeleteUnwanted, ask_for_packet
from perilune.ike.exchanges.farewell import Farewell
from perilune.ike.exchanges.ike_sa_init import Initiation
from perilune.ike.exchanges.init_done import InitDone, WantedChild
from perilune.ike.ike_sa import IkeSa
from perilune.ike.peer_lookup import hint_for_us, key_of, local_identity
from perilune.ike.proofs import prove, require_proof
from perilune.ike.received import find, find_error, require, require_identity
from perilune.ike.refusal import NotAuthentic, not_authentic, refused_by_peer, refused_by_us
from perilune.ike.status import IkeSaState, IkeSaStatus
from perilune.model.address import Path
from perilune.model.errors import PeerError
from perilune.model.iana import ExchangeType, NotifyType, PayloadType
from perilune.model.identity import NOBODY, Identity
from perilune.model.secret import Secret
from perilune.model.spi import IkeSpi
from perilune.model.time import Instant
from perilune.wire.message import Message
from perilune.wire.payloads import AuthPayload, IdPayload, NotifyPayload, Payload


class Authentication:
    """IKE_AUTH under way: our proof is out, the peer's is not here.

    Args:
        context: The endpoint's.
        initiation: The IKE_SA_INIT that led here.
        done: What it led to, with IKE_INTERMEDIATE behind it.
        channel: Its messages.
    """

    def __init__(self, context: Context, initiation: Initiation, done: InitDone, channel: Channel) -> None:
        self._context: Final = context
        self.initiation: Final = initiation
        self._done: Final = done
        self._channel: Final = channel
        self.name: Final = channel.name
        self.local_spi: Final[IkeSpi] = channel.keyed.local_spi
        self._local_id: Final = local_identity(initiation.entry, channel.path)
        self._offer: ChildOffer | None = None
        self._secret: SharedSecret | None = None
        """Where either end is to prove itself by one."""

        self._local_auth = ""

    @property
    def _wanted(self) -> list[WantedChild]:
        return self.initiation.wanted

    def status(self) -> IkeSaStatus:
        """Return a snapshot."""
        return IkeSaStatus(
            name=self.name,
            state=IkeSaState.CONNECTING,
            original_initiator=True,
            path=self._channel.path,
            local_id=self._local_id,
            suite=self._done.keyed.suite,
            nat=self._done.nat,
        )

    def next_timeout(self) -> Instant | None:
        """Return when to call `handle_timeout`."""
        return self._channel.next_timeout()

    def handle_timeout(self, now: Instant) -> None:
        """Repeat the request, begin anew, or give up."""
        if not self._channel.handle_timeout(now):
            self._give_spi_back()
            self._context.registry.remove(self)
            self.initiation.begin_anew(now)

    def start(self, now: Instant) -> None:
        """Send the request."""
        entry = self.initiation.entry
        self._context.registry.put(self)
        id_i = IdPayload(PayloadType.ID_I, self._local_id)
        try:
            if SharedKey() in (entry.local_proof, entry.remote_proof):
                self._secret = self._context.pad.secret_for(entry, self._local_id, self._channel.path)
            proof = prove(entry, self._done, id_i, self._secret, self._done.liked)
        except PeerError as error:
            self._not_authentic(error, now)
            return
        self._local_auth = proof.by
        payloads: list[Payload] = [id_i]
        if not self._knows_peer():
            payloads.append(NotifyPayload(NotifyType.INITIAL_CONTACT))
        if entry.definite_remote_id is not None:
            payloads.append(IdPayload(PayloadType.ID_R, entry.definite_remote_id))
        payloads.append(proof.payload)
        signed = self._done.hashes.of_us is not None
        payloads += method_notifies(announcements(entry.remote_proof, digital_signature=signed))
        self._offer = self._make_offer()
        payloads += self._offer.payloads
        self._channel.request(ExchangeType.IKE_AUTH, payloads, now)
        self._context.registry.touch(self)

    def _knows_peer(self) -> bool:
        """Whether there is another IKE SA between the same identities, of any connection (section 2.4)."""
        remote_id = self.initiation.entry.definite_remote_id
        registry, remote = self._context.registry, self._channel.path.remote.address
        if remote_id is not None:
            return bool(registry.between((self._local_id, remote_id)))
        return any(
            isinstance(other, IkeSa)
            and other.peer.local_id == self._local_id
            and other.path.remote.address == remote
            for other in registry
        )

    def _make_offer(self) -> ChildOffer:
        wanted, path = self._wanted[0], self._channel.path
        selectors = selectors_to_offer(wanted.policy, path, wanted.flow)
        name, spis = self.initiation.entry.name, self._context.spis
        offer = ChildOffer.of_policy(name, wanted.policy, self._done.nat, spis, selectors)
        return offer.without_key_exchange()

    def receive(self, message: Message, path: Path, now: Instant) -> None:
        """Act on a message."""
        if not message.header.flags.response:
            self._context.outbox.tell(Dropped(path, "a request before the peer is authenticated"))
            return
        incoming = self._channel.receive(message, path, now)
        match incoming:
            case Response():
                self._finish(incoming.payloads, now)
            case Malformed():
                self._fail(DownReason.REFUSED, now)
            case _:
                self._context.registry.touch(self)

    def _finish(self, payloads: Sequence[Payload], now: Instant) -> None:
        error = find_error(payloads)
        if error is not None and find(payloads, AuthPayload) is None:
            self._refused(error, now)
            return
        try:
            remote_id, remote_auth = self._verify(payloads)
        except PeerError as failure:
            self._not_authentic(failure, now)
            return
        self._establish(remote_id, remote_auth, payloads, now)

    def _verify(self, payloads: Sequence[Payload]) -> tuple[Identity, str]:
        """Return who the peer is, and by what it proved that.

        Raises:
            PeerError: It is not, or is somebody else than is wanted.
        """
        entry = self.initiation.entry
        id_r = require_identity(payloads, PayloadType.ID_R)
        auth = require(payloads, AuthPayload)
        claimed = id_r.identity
        if not entry.accepts(claimed):
            why = f"the peer is '{claimed}', not '{entry.remote_id}'"
            raise NotAuthentic(why, f"{key_of(entry)}.remote.id")

        def shared() -> SharedSecret:
            return self._context.pad.secret(self._local_id, claimed)

        by = require_proof(entry, self._done, id_r, auth, shared)
        if isinstance(entry.remote_proof, SharedKey) and shared().secret != self._called_secret:
            # Where any identity is accepted, a secret of one peer does not make it the one that we called.
            why = f"the secret of '{claimed}' is not that of the peer that we called"
            raise NotAuthentic(why, f"{key_of(entry)}.remote.id")
        return NOBODY if isinstance(entry.remote_proof, NoProof) else claimed, by

    @property
    def _called_secret(self) -> Secret | None:
        """The secret of the peer that we called, as far as it is known."""
        return self._secret.secret if self._secret else None

    def _establish(
        self, remote_id: Identity, remote_auth: str, payloads: Sequence[Payload], now: Instant
    ) -> None:
        peer = Authenticated(
            entry=self.initiation.entry,
            local_id=self._local_id,
            local_auth=self._local_auth,
            remote_id=remote_id,
            remote_auth=remote_auth,
            init_path=self._done.path,
            nat=self._done.nat,
            fragmentation=self._done.fragmentation,
            began_at=self.initiation.began_at,
        )
        sa = IkeSa(self._context, self._channel, peer, self.initiation.id, now)
        self._context.registry.put(sa, peer.identities)
        self._context.outbox.tell(sa.up_event())
        self._set_up_child(sa, payloads, now)
        for wanted in self._wanted[1:]:
            sa.enqueue(CreateChild(wanted.policy, flow=wanted.flow), now)
        simultaneous.close_redundant(sa, now)

    def _set_up_child(self, sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> None:
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.21.2
        ##% If authentication has succeeded in the IKE_AUTH exchange, the IKE SA
        ##% is established; however, establishing the Child SA or requesting
        ##% configuration information may still fail.  This failure does not
        ##% automatically cause the IKE SA to be deleted.
        offer = self._offer
        if offer is None:
            return
        what, key = f"child {offer.policy.name}", (sa.peer.entry.name, offer.policy.name)
        error = find_error(payloads)
        if error is not None:
            ours, hint = offer.describe_refusal(error, sa.peer.nat)
            self._context.outbox.tell(refused_by_peer(sa.name, what, error, ours=ours, hint=hint))
            if self._is_asked_again(sa, error, now):
                return
        else:
            try:
                nonces = Nonces(sa.keyed.nonce_i, sa.keyed.nonce_r)
                terms = offer.accept(payloads, sa.peer)
                require_authorized(sa.peer, terms.policy, terms.remote)
                sa.install_child(agree(sa.keyed, nonces, terms, began_here=True), now)
                return
            except PeerError as refusal:
                self._context.outbox.tell(refused_by_us(sa.name, what, refusal))
                sa.enqueue(DeleteUnwanted.of_offer(offer), now)
        self._context.spis.give_back_inbound(offer.spi_in)
        self._context.wishes.failed(key, now)

    def _is_asked_again(self, sa: IkeSa, error: NotifyPayload, now: Instant) -> bool:
        """Ask for the child anew in CREATE_CHILD_SA, if the peer told how."""
        wanted = self._wanted[0]
        single_pair = error.type == NotifyType.SINGLE_PAIR_REQUIRED
        if not single_pair or not ask_for_packet(sa, wanted.policy, wanted.flow, now):
            return False
        self._give_spi_back()
        return True

    def _refused(self, error: NotifyPayload, now: Instant) -> None:
        if error.type == NotifyType.AUTHENTICATION_FAILED:
            ours = self._local_auth or str(self.initiation.entry.local_proof)
            reason = f"it does not accept '{self._local_id}' by our {ours}; its log tells more"
            hint = hint_for_us(self.initiation.entry, self._secret)
            self._context.outbox.tell(AuthenticationFailed(self.name, True, reason, self._channel.path, hint))
        else:
            self._context.outbox.tell(refused_by_peer(self.name, "IKE_AUTH", error))
        self._fail(DownReason.REFUSED, now)

    def _not_authentic(self, error: PeerError, now: Instant) -> None:
        """Give up, and say so to a peer that thinks otherwise (section 2.21.2)."""
        asked = not self._channel.is_idle or self._offer is not None
        self._context.outbox.tell(not_authentic(self.name, error, self._channel.path))
        self._fail(DownReason.REFUSED, now)
        if asked:
            Farewell(self._context, self._channel).start(now)

    def _fail(self, reason: DownReason, now: Instant) -> None:
        self._give_spi_back()
        self._context.registry.remove(self)
        self.initiation.fail_as(self.name, reason, now)

    def give_up(self, reason: DownReason, now: Instant) -> None:
        """End, because nobody wants it any more."""
        self._fail(reason, now)

    def _give_spi_back(self) -> None:
        if self._offer is not None:
            self._context.spis.give_back_inbound(self._offer.spi_in)
