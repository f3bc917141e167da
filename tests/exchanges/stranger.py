"""A peer that nobody knows: it begins an IKE SA, and then sends whatever it likes."""

from __future__ import annotations

from collections.abc import Sequence

from exchanges.link import Datagram
from exchanges.pair import Pair
from exchanges.settings import LEFT
from perilune.crypto.key_exchange import KeyExchange
from perilune.ike.keyed import KeyedSa
from perilune.ike.negotiation import require_chosen
from perilune.model.address import IKE_PORT, Endpoint
from perilune.model.iana import ExchangeType, KeId, NotifyType
from perilune.model.proposal import Proposal
from perilune.model.spi import NO_IKE_SPI, IkeSpi
from perilune.model.time import Duration
from perilune.wire.header import Flags, Header
from perilune.wire.message import Message, decode_chain, encode_message
from perilune.wire.payloads import KePayload, NoncePayload, NotifyPayload, Payload, SaPayload
from support.rng import SeededRng

REQUEST = Flags(initiator=True, response=False)
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
        (answer,) = self._send(encode_message(header, payloads))
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
        self.keyed = self.keyed.updated(begun.finish(ke.data))
        self.protection = self.keyed.protection(self.rng)

    def _send(self, octets: bytes) -> list[Message]:
        sent = len(self.pair.link.sent)
        source, destination = Endpoint(self.pair.left.address, IKE_PORT), self.pair.left.remote
        assert str(source.address) == LEFT
        self.pair.link.inject(Datagram(source, destination, octets, encapsulated=False), self.pair.now)
        self.pair.run(Duration.milliseconds(1))
        return [Message.decode(reply.data) for reply in self.pair.link.sent[sent:]]
