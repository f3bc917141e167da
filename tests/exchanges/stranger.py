"""A peer that nobody knows: it begins an IKE SA, and then sends whatever it likes."""

from __future__ import annotations

from collections.abc import Sequence

from exchanges.link import Datagram
from exchanges.pair import Pair
from exchanges.settings import LEFT
from perilune.crypto.auth import psk_auth, signed_octets
from perilune.crypto.int_auth import IntAuth
from perilune.crypto.key_exchange import KeyExchange
from perilune.ike.keyed import KeyedSa
from perilune.ike.negotiation import require_chosen
from perilune.model.address import IKE_PORT, Endpoint
from perilune.model.iana import AuthMethod, ExchangeType, KeId, NotifyType, PayloadType
from perilune.model.identity import Identity
from perilune.model.proposal import Proposal
from perilune.model.spi import NO_IKE_SPI, IkeSpi
from perilune.model.time import Duration
from perilune.wire.header import Flags, Header
from perilune.wire.message import Message, decode_chain, encode_message
from perilune.wire.payloads import (
    AuthPayload,
    IdPayload,
    KePayload,
    NoncePayload,
    NotifyPayload,
    Payload,
    SaPayload,
)
from support.rng import SeededRng

REQUEST, RESPONSE = Flags(initiator=True, response=False), Flags(initiator=False, response=True)
NONCE = bytes(range(32))


class Stranger:
    """Speaks to the right side of a pair from the left side's address, which is mute."""

    def __init__(self, pair: Pair, proposals: tuple[Proposal, ...], spi: int = 1) -> None:
        self.pair = pair
        self.rng = SeededRng(spi)
        self.spi_i = IkeSpi(spi)
        pair.link.cut()
        begun = KeyExchange.begin(KeId.CURVE25519, self.rng)
        payloads = (
            SaPayload(proposals),
            KePayload(begun.method, begun.share),
            NoncePayload(NONCE),
            NotifyPayload(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED),
            NotifyPayload(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED),
        )
        header = Header(self.spi_i, NO_IKE_SPI, ExchangeType.IKE_SA_INIT, REQUEST, 0)
        self.first_message = encode_message(header, payloads)
        (answer,) = self._send(self.first_message)
        sa, ke, nonce = (
            next(p for p in answer.payloads if isinstance(p, kind))
            for kind in (SaPayload, KePayload, NoncePayload)
        )
        self.keyed = KeyedSa.of_first_exchange(
            require_chosen(proposals, sa.proposals).ike_suite,
            (NONCE, nonce.nonce),
            begun.finish(ke.data),
            (self.spi_i, answer.header.spi_r),
            original_initiator=True,
        )
        self.protection = self.keyed.protection(self.rng)
        self.int_auth = IntAuth()

    def sealed(
        self, exchange: int, message_id: int, payloads: Sequence[Payload], longest: int | None = None
    ) -> tuple[bytes, ...]:
        """Return a request, in fragments of `longest` octets if it is longer."""
        header = Header(self.keyed.spi_i, self.keyed.spi_r, exchange, REQUEST, message_id)
        return self.protection.seal(header, payloads, longest)

    def request(
        self, exchange: int, message_id: int, payloads: Sequence[Payload]
    ) -> tuple[Payload, ...] | None:
        """Send a request and return what answers it."""
        (octets,) = self.sealed(exchange, message_id, payloads)
        for answer in self._send(octets):
            if answer.encrypted is not None:
                return decode_chain(answer.encrypted.inner_type, self.protection.open(answer))
        return None

    def send(self, octets: bytes) -> None:
        """Send octets, whatever they are."""
        self._send(octets)

    def intermediate(self, message_id: int, method: int, share: bytes) -> tuple[Payload, ...] | None:
        """Send the KE payload of an additional key exchange."""
        return self.request(ExchangeType.IKE_INTERMEDIATE, message_id, (KePayload(method, share),))

    def run(self, message_id: int, method: KeId) -> None:
        """Run an additional key exchange as it should be, and use the new keys."""
        begun = KeyExchange.begin(method, self.rng)
        answer = self.intermediate(message_id, method, begun.share)
        assert answer is not None
        ke = next(p for p in answer if isinstance(p, KePayload))
        keys, prf = self.keyed.keys, self.keyed.suite.prf
        request = self._clear(REQUEST, message_id, KePayload(method, begun.share))
        self.int_auth = self.int_auth.with_request(prf, keys.sk_pi, request)
        response = self._clear(RESPONSE, message_id, ke)
        self.int_auth = self.int_auth.with_response(prf, keys.sk_pr, response)
        self.keyed = self.keyed.updated(begun.finish(ke.data))
        self.protection = self.keyed.protection(self.rng)

    def authenticate(self, message_id: int, int_auth: bytes) -> tuple[Payload, ...] | None:
        """Prove that this is the left side after all, with its secret; there is no child."""
        id_i = IdPayload(PayloadType.ID_I, Identity.parse("left.example"))
        keyed, shared = self.keyed, self.pair.left_secret.secret
        sk_pi, prf = keyed.keys.sk_pi, keyed.suite.prf
        octets = signed_octets(prf, self.first_message, keyed.nonce_r, sk_pi, id_i.encode(), int_auth)
        auth = AuthPayload(AuthMethod.SHARED_KEY_MIC, psk_auth(prf, shared, octets))
        return self.request(ExchangeType.IKE_AUTH, message_id, (id_i, auth))

    def _clear(self, flags: Flags, message_id: int, ke: KePayload) -> bytes:
        """Return a message of IKE_INTERMEDIATE as AUTH signs it (RFC 9242, figure 1)."""
        body = ke.encode()
        chain = bytes(2) + (4 + len(body)).to_bytes(2) + body
        header = Header(
            self.keyed.spi_i,
            self.keyed.spi_r,
            ExchangeType.IKE_INTERMEDIATE,
            flags,
            message_id,
            PayloadType.SK,
            length=32 + len(chain),
        )
        return header.encode() + bytes((PayloadType.KE, 0)) + (4 + len(chain)).to_bytes(2) + chain

    def _send(self, octets: bytes) -> list[Message]:
        sent = len(self.pair.link.sent)
        source, destination = Endpoint(self.pair.left.address, IKE_PORT), self.pair.left.remote
        assert str(source.address) == LEFT
        self.pair.link.inject(Datagram(source, destination, octets, encapsulated=False), self.pair.now)
        self.pair.run(Duration.milliseconds(1))
        return [Message.decode(reply.data) for reply in self.pair.link.sent[sent:]]
