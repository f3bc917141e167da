"""A peer that authenticated itself and then sends whatever it likes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from exchanges.link import Datagram
from exchanges.pair import Pair, Side
from perilune.ike.events import IkeKeysDerived
from perilune.ike.keyed import KeyedSa
from perilune.ike.settings import EndpointSettings
from perilune.model.address import NAT_T_PORT
from perilune.model.iana import ExchangeType
from perilune.model.time import Duration
from perilune.wire.header import Flags, Header
from perilune.wire.message import Message, decode_chain
from perilune.wire.payloads import NoncePayload, Payload
from support.rng import SeededRng


def keyed_sa(derived: IkeKeysDerived) -> KeyedSa:
    """Return the left side's IKE SA from its exported keys."""
    return KeyedSa(
        spi_i=derived.ike.spi_i,
        spi_r=derived.ike.spi_r,
        original_initiator=True,
        suite=derived.suite,
        nonce_i=b"",
        nonce_r=b"",
        keys=derived.keys,
    )


def open_message(derived: IkeKeysDerived, datagram: Datagram) -> tuple[Payload, ...]:
    """Return what a message of either side holds."""
    message = Message.decode(datagram.data)
    ours = replace(keyed_sa(derived), original_initiator=not message.header.flags.initiator)
    assert message.encrypted is not None
    return decode_chain(message.encrypted.inner_type, ours.protection(SeededRng()).open(message))


def creator_of_lowest_nonce(pair: Pair, derived: IkeKeysDerived, sent: int) -> Side:
    """Return which side made the SA with the lowest nonce, both having rekeyed at once.

    Args:
        pair: Whose link carried it.
        derived: Keys of the IKE SA that they did it on.
        sent: How many datagrams there were before.
    """
    # The requests of both sides, then the responses to them in the same order.
    messages = [open_message(derived, datagram) for datagram in pair.link.sent[sent : sent + 4]]
    nonces = [next(p.nonce for p in payloads if isinstance(p, NoncePayload)) for payloads in messages]
    by_left, by_right = min(nonces[0], nonces[2]), min(nonces[1], nonces[3])
    return pair.left if by_left < by_right else pair.right


class Insider:
    """Speaks for the left side of a pair with the keys of its IKE SA, while that side is mute."""

    def __init__(self, pair: Pair | None = None) -> None:
        self.pair = pair or Pair(left_settings=EndpointSettings(export_keys=True))
        self.pair.initiate()
        self.pair.settle()
        derived = self.pair.left.take(IkeKeysDerived)
        self.keyed = keyed_sa(derived)
        self.protection = self.keyed.protection(SeededRng(99))
        self.next_id = 2
        """Message ID of the next request: IKE_AUTH had 1."""

        path = self.pair.right.ike_sa.path
        self.source, self.destination = path.remote, path.local
        self._encapsulated = path.local.port == NAT_T_PORT
        self.pair.link.cut()

    def request(
        self, exchange: int, payloads: Sequence[Payload], message_id: int | None = None
    ) -> tuple[Payload, ...] | None:
        """Send a request and return what answers it."""
        number = self.next_id if message_id is None else message_id
        self.next_id = number + 1
        flags = Flags(initiator=True, response=False)
        header = Header(self.keyed.spi_i, self.keyed.spi_r, exchange, flags, number)
        return self.send(self.protection.seal(header, payloads)[0], number)

    def send(self, octets: bytes, message_id: int) -> tuple[Payload, ...] | None:
        """Send octets and return the payloads of the protected response with a Message ID."""
        sent = len(self.pair.link.sent)
        datagram = Datagram(self.source, self.destination, octets, self._encapsulated)
        self.pair.link.inject(datagram, self.pair.now)
        self.pair.run(Duration.milliseconds(1))
        for reply in self.pair.link.sent[sent:]:
            message = Message.decode(reply.data)
            is_reply = message.header.flags.response and message.header.message_id == message_id
            if is_reply and message.encrypted is not None:
                return decode_chain(message.encrypted.inner_type, self.protection.open(message))
        return None

    def asked(self) -> tuple[Header, tuple[Payload, ...]]:
        """Return the last request of the right side."""
        for datagram in reversed(self.pair.link.sent):
            message = Message.decode(datagram.data)
            if not message.header.flags.initiator and not message.header.flags.response:
                assert message.encrypted is not None
                octets = self.protection.open(message)
                return message.header, decode_chain(message.encrypted.inner_type, octets)
        raise AssertionError("the right side asked for nothing")

    def answer(self, *payloads: Payload) -> None:
        """Answer the last request of the right side."""
        header, _ = self.asked()
        flags = Flags(initiator=True, response=True)
        (octets,) = self.protection.seal(replace(header, flags=flags), payloads)
        datagram = Datagram(self.source, self.destination, octets, self._encapsulated)
        self.pair.link.inject(datagram, self.pair.now)
        self.pair.run(Duration.milliseconds(1))

    def informational(self, *payloads: Payload) -> tuple[Payload, ...] | None:
        return self.request(ExchangeType.INFORMATIONAL, payloads)

    def create_child_sa(self, *payloads: Payload) -> tuple[Payload, ...] | None:
        return self.request(ExchangeType.CREATE_CHILD_SA, payloads)
