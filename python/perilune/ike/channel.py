"""The protected messages of one IKE SA: numbers, ciphers, fragments, retransmission.

A channel knows nothing of what the messages mean. It turns datagrams into `Request`, `Response` or
`Malformed`, answers a repeated request by itself, and repeats our own request until it is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from perilune.crypto.int_auth import IntAuth
from perilune.ike.context import Context
from perilune.ike.events import Dropped, MessageReceived, MessageSent, PeerUnreachable, Retransmitted
from perilune.ike.keyed import KeyedSa
from perilune.ike.message_window import MessageWindow, PendingRequest, Place
from perilune.ike.names import IkeName
from perilune.ike.reassembly import Reassembly, Whole
from perilune.ike.retransmission import Retransmission
from perilune.model.address import Path
from perilune.model.errors import DecodeError, PeerError
from perilune.model.iana import ExchangeType, NotifyType
from perilune.model.time import Instant
from perilune.wire.header import Flags, Header
from perilune.wire.message import (
    Message,
    clear_octets,
    decode_chain,
    encode_chain,
    encode_encrypted_prefix,
)
from perilune.wire.payloads import EncryptedFragment, NotifyPayload, Payload

_UDP_OCTETS: Final = 8
_IP_OCTETS: Final = {4: 20, 6: 40}
_MARKER_OCTETS: Final = 4


@dataclass(frozen=True, slots=True)
class Request:
    """The peer's next request, authentic; it has to be answered."""

    message_id: int
    exchange: int
    payloads: tuple[Payload, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class Response:
    """The authentic response to our request."""

    request: PendingRequest
    payloads: tuple[Payload, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class Malformed:
    """An authentic message whose content breaks the rules; a request was answered with the notify."""

    error: PeerError
    response: bool

    @property
    def is_fatal(self) -> bool:
        """Whether the IKE SA ends with it (RFC 7296, section 2.21.3)."""
        return self.response or self.error.notify is not NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD


Incoming = Request | Response | Malformed
"""What an authentic message turned out to be."""


class Channel:
    """One side's end of an IKE SA's messages.

    Args:
        context: The endpoint's.
        name: How events name the IKE SA; kept up to date by the owner.
        keyed: Its keys.
        path: Where requests go.
        window: Message IDs to begin with.
    """

    def __init__(
        self, context: Context, name: IkeName, keyed: KeyedSa, path: Path, window: MessageWindow
    ) -> None:
        self.name = name
        self.keyed = keyed
        self.path = path
        self.fragments = False
        """Whether both sides announced fragmentation, and we are to use it."""

        self._context: Final = context
        self._window: Final = window
        self.int_auth = IntAuth()
        """What AUTH signs of the IKE_INTERMEDIATE exchanges so far."""

        self._protection = keyed.protection(context.rng)
        self._answered_under = self._protection
        """What opens the request that was answered last, should it come again."""

        patience = context.settings.timers.reassembly
        self._reassembly: Final = {False: Reassembly(patience), True: Reassembly(patience)}
        self._retransmission: Retransmission | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no request of ours is under way."""
        return self._window.pending is None

    @property
    def is_spent(self) -> bool:
        """Whether Message IDs are about to run out."""
        return self._window.is_spent

    @property
    def last_answer(self) -> tuple[bytes, ...]:
        """The last response, as it was sent; empty where there was none."""
        return self._window.last_answer.datagrams if self._window.last_answer else ()

    def use_keys(self, keyed: KeyedSa) -> None:
        """Protect what follows with other keys (RFC 9242, section 3.3.1)."""
        self.keyed = keyed
        self._protection = keyed.protection(self._context.rng)

    def request(self, exchange: ExchangeType, payloads: Sequence[Payload], now: Instant) -> None:
        """Send a request; the channel has to be idle."""
        message_id = self._window.begin(exchange)
        datagrams = self._seal(exchange, message_id, payloads, response=False)
        self._retransmission = Retransmission.begin(datagrams, now, self._context.settings.timers)
        self._send(datagrams, self.path)

    def respond(self, request: Request, payloads: Sequence[Payload]) -> None:
        """Answer a request, the way it came (RFC 7296, section 2.11)."""
        self._answer(request.message_id, request.exchange, payloads, request.path)

    def forget_request(self) -> None:
        """Give up the request under way."""
        self._window.close_pending()
        self._retransmission = None

    def next_timeout(self) -> Instant | None:
        """Return when to call `handle_timeout`."""
        return self._retransmission.at if self._retransmission else None

    def handle_timeout(self, now: Instant) -> bool:
        """Repeat the request under way if it is time to.

        Returns:
            False where it was repeated as often as is allowed: the peer counts as lost.
        """
        retransmission, pending = self._retransmission, self._window.pending
        if retransmission is None or pending is None or now < retransmission.at:
            return True
        again = retransmission.again(now, self._context.settings.timers)
        if again is None:
            self._context.outbox.tell(PeerUnreachable(self.name, pending.exchange, self.path))
            return False
        self._retransmission = again
        self._context.outbox.tell(
            Retransmitted(self.name, pending.exchange, pending.message_id, again.attempt)
        )
        self._send(again.datagrams, self.path)
        return True

    def receive(self, message: Message, path: Path, now: Instant) -> Incoming | None:
        """Judge and open a message.

        Returns:
            None where there is nothing to do: it was dropped, was a fragment, or was a repeated request.
        """
        try:
            return self._receive(message, path, now)
        except DecodeError as error:
            return self._malformed(message.header, error, path)
        except PeerError as error:
            if error.notify is not None:
                return self._malformed(message.header, error, path)
            self._context.outbox.tell(Dropped(path, str(error)))
            return None

    def _receive(self, message: Message, path: Path, now: Instant) -> Incoming | None:
        header, encrypted = message.header, message.encrypted
        response = header.flags.response
        place = self._place(header)
        if place is Place.ANSWERED:
            self._repeat_answer(message, path)
            return None
        fragment = encrypted if isinstance(encrypted, EncryptedFragment) else None
        if fragment and not self._reassembly[response].wants(header.message_id, fragment, now):
            raise PeerError("a fragment that is here already or does not fit the others")
        inner_type, chain = encrypted.inner_type if encrypted else 0, self._protection.open(message)
        whole: Whole | None = Whole(message.associated_data, inner_type, chain)
        if fragment and whole:
            whole = self._reassembly[response].add(header.message_id, fragment, whole, now)
        if whole is None:
            return None
        payloads = decode_chain(whole.inner_type, whole.chain)
        self._tell_received(message, payloads)
        if header.exchange_type == ExchangeType.IKE_INTERMEDIATE:
            self._note_intermediate(clear_octets(whole.prefix, whole.chain), response=response)
        if not response:
            return Request(header.message_id, header.exchange_type, payloads, path)
        return self._close_request(payloads, path)

    def _place(self, header: Header) -> Place:
        """Return where a message is against the window.

        Raises:
            PeerError: It is to be dropped.
        """
        if (header.spi_i, header.spi_r) != (self.keyed.spi_i, self.keyed.spi_r):
            raise PeerError("one of its SPIs belongs to another IKE SA")
        if header.flags.initiator == self.keyed.original_initiator:
            raise PeerError("its Initiator flag says that we sent it")
        if header.flags.response:
            if not self._window.awaits(header.message_id, header.exchange_type):
                raise PeerError(f"response {header.message_id} answers no request under way")
            return Place.NEXT
        place = self._window.place_of_request(header.message_id)
        if place is Place.OUTSIDE:
            raise PeerError(f"request {header.message_id} is outside the window")
        return place

    def _close_request(self, payloads: tuple[Payload, ...], path: Path) -> Response | None:
        pending = self._window.pending
        if pending is None:
            return None
        self.forget_request()
        return Response(pending, payloads, path)

    def _repeat_answer(self, message: Message, path: Path) -> None:
        ##= https://www.rfc-editor.org/rfc/rfc7383#section-2.6.1
        ##% that event MUST only trigger a retransmission of the response message
        ##% (fragmented or not) if the Fragment Number field in the received
        ##% fragment is set to 1; otherwise, it MUST be ignored.
        encrypted = message.encrypted
        if isinstance(encrypted, EncryptedFragment) and encrypted.number != 1:
            return
        self._answered_under.open(message)
        self._send(self.last_answer, path)

    def _malformed(self, header: Header, error: PeerError, path: Path) -> Malformed:
        """Answer an authentic message that cannot be used (RFC 7296, section 2.21.3)."""
        self._context.outbox.tell(Dropped(path, str(error)))
        if header.flags.response:
            self.forget_request()
        elif error.notify is not None:
            notify = NotifyPayload(error.notify, error.notify_data)
            self._answer(header.message_id, header.exchange_type, (notify,), path)
        return Malformed(error, header.flags.response)

    def _answer(self, message_id: int, exchange: int, payloads: Sequence[Payload], path: Path) -> None:
        datagrams = self._seal(exchange, message_id, payloads, response=True)
        self._window.answered(message_id, datagrams)
        self._answered_under = self._protection
        self._send(datagrams, path)

    def _seal(
        self, exchange: int, message_id: int, payloads: Sequence[Payload], *, response: bool
    ) -> tuple[bytes, ...]:
        keyed = self.keyed
        flags = Flags(initiator=keyed.original_initiator, response=response)
        header = Header(keyed.spi_i, keyed.spi_r, exchange, flags, message_id)
        datagrams = self._protection.seal(header, payloads, self._longest())
        if exchange == ExchangeType.IKE_INTERMEDIATE:
            inner_type, chain = encode_chain(payloads)
            prefix = encode_encrypted_prefix(header, inner_type, len(chain))
            self._note_intermediate(clear_octets(prefix, chain), response=response)
        types = tuple(payload.payload_type for payload in payloads)
        self._context.outbox.tell(
            MessageSent(self.name, exchange, response, message_id, types, sum(map(len, datagrams)))
        )
        return datagrams

    def _note_intermediate(self, octets: bytes, *, response: bool) -> None:
        """Add a message to what AUTH will sign."""
        keyed, so_far = self.keyed, self.int_auth
        if response:
            self.int_auth = so_far.with_response(keyed.suite.prf, keyed.keys.sk_pr, octets)
        else:
            self.int_auth = so_far.with_request(keyed.suite.prf, keyed.keys.sk_pi, octets)

    def _longest(self) -> int | None:
        """Return how long an IKE message may be unfragmented, in octets."""
        if not self.fragments:
            return None
        settings, path = self._context.settings, self.path
        headers = _IP_OCTETS[path.local.address.version] + _UDP_OCTETS
        marker = _MARKER_OCTETS if path.local.port == settings.nat_t_port else 0
        return settings.fragment_octets - headers - marker

    def _send(self, datagrams: tuple[bytes, ...], path: Path) -> None:
        for datagram in datagrams:
            self._context.outbox.send(path, datagram)

    def _tell_received(self, message: Message, payloads: tuple[Payload, ...]) -> None:
        header = message.header
        types = tuple(payload.payload_type for payload in payloads)
        octets = len(message.octets)
        self._context.outbox.tell(
            MessageReceived(
                self.name, header.exchange_type, header.flags.response, header.message_id, types, octets
            )
        )
