"""Which IKE SA a datagram is for, and what answers one that is for none (RFC 7296, section 2.21.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from perilune.ike import established, upkeep
from perilune.ike.afterglow import Afterglow
from perilune.ike.context import Context
from perilune.ike.events import DownReason, Dropped
from perilune.ike.exchanges import ike_sa_init_answer
from perilune.ike.exchanges.farewell import Farewell
from perilune.ike.exchanges.ike_auth import Authentication
from perilune.ike.exchanges.ike_auth_answer import HalfOpen
from perilune.ike.exchanges.ike_intermediate import Intermediate
from perilune.ike.exchanges.ike_sa_init import Initiation
from perilune.ike.exchanges.init_done import InitDone
from perilune.ike.half_open import HalfOpenTable
from perilune.ike.ike_sa import IkeSa
from perilune.ike.rate_limit import RateLimit
from perilune.ike.received import find_notify
from perilune.ike.registry import Conversation
from perilune.model.address import Path
from perilune.model.errors import DecodeError, PeerError
from perilune.model.iana import ExchangeType, NotifyType
from perilune.model.spi import NO_IKE_SPI
from perilune.model.time import Duration, Instant
from perilune.wire.header import HEADER_OCTETS, Flags, Header
from perilune.wire.message import Message, decode_header, encode_message
from perilune.wire.payloads import NotifyPayload


class Reception:
    """Brings datagrams and timeouts to conversations, and conversations from one state to the next.

    Args:
        context: The endpoint's.
    """

    def __init__(self, context: Context) -> None:
        self.half_open: Final = HalfOpenTable(context.settings, context.rng)
        self._context: Final = context
        self._answers: Final = RateLimit(burst=20, period=Duration.milliseconds(100))
        self._hints: Final = RateLimit(burst=5, period=Duration.seconds(2))

    def receive(self, data: bytes, path: Path, now: Instant) -> None:
        """Act on a datagram."""
        try:
            header = decode_header(data)
            conversation = self._find(header)
            if conversation is None and not _begins(header):
                self._answer_unknown(header, path, now)
                return
            message = Message.decode_behind(header, data)
        except DecodeError as error:
            self._context.outbox.tell(Dropped(path, str(error)))
            self._answer_undecodable(data, error, path, now)
            return
        if conversation is None:
            ike_sa_init_answer.answer(self._context, self.half_open, message, path, now)
        else:
            self._dispatch(conversation, message, path, now)

    def handle_timeout(self, now: Instant) -> None:
        """Call every conversation whose time has come."""
        self.half_open.forget_failed(now)
        for conversation in self._context.registry.take_due(now):
            match conversation:
                case IkeSa():
                    upkeep.handle_timeout(conversation, now)
                case Initiation() | Intermediate() | Authentication() | HalfOpen() | Farewell() | Afterglow():
                    conversation.handle_timeout(now)

    def initiations(self, connection: str) -> Iterator[Initiation]:
        """Yield what we began for a connection and is not established."""
        for conversation in self._context.registry.of_connection(connection):
            if isinstance(conversation, Initiation):
                yield conversation
            elif isinstance(conversation, Intermediate | Authentication):
                yield conversation.initiation

    def abandon(self, conversation: Conversation, now: Instant) -> None:
        """Give up what we began and is not established."""
        if isinstance(conversation, Initiation | Intermediate | Authentication):
            conversation.give_up(DownReason.LOCAL, now)

    def _find(self, header: Header) -> Conversation | None:
        local_spi = header.spi_r if header.flags.initiator else header.spi_i
        return self._context.registry.find(local_spi)

    def _dispatch(self, conversation: Conversation, message: Message, path: Path, now: Instant) -> None:
        self._context.registry.touch(conversation)
        match conversation:
            case IkeSa():
                if message.encrypted is None:
                    self._take_hint(conversation, message, path, now)
                else:
                    established.receive(conversation, message, path, now)
            case Initiation():
                done = conversation.receive(message, path, now)
                if done is not None:
                    self._follow_init(conversation, done, now)
            case Intermediate():
                done = conversation.receive(message, path, now)
                if done is not None:
                    initiation, channel = conversation.initiation, conversation.channel
                    Authentication(self._context, initiation, done, channel).start(now)
            case Authentication() | HalfOpen() | Farewell() | Afterglow():
                conversation.receive(message, path, now)

    def _follow_init(self, initiation: Initiation, done: InitDone, now: Instant) -> None:
        """Begin what comes behind IKE_SA_INIT."""
        channel = initiation.channel(done)
        if done.keyed.suite.additional_key_exchanges:
            Intermediate(self._context, initiation, done, channel).start(now)
        else:
            Authentication(self._context, initiation, done, channel).start(now)

    def _take_hint(self, sa: IkeSa, message: Message, path: Path, now: Instant) -> None:
        """Ask the peer whether it lives, if somebody says that it does not know us."""
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.21.4
        ##% A node should treat such a message (and also a
        ##% network message like ICMP destination unreachable) as a hint that
        ##% there might be problems with SAs to that IP address and should
        ##% initiate a liveness check for any such IKE SA.
        self._context.outbox.tell(Dropped(path, "it is not protected"))
        told = find_notify(message.payloads, NotifyType.INVALID_IKE_SPI) is not None
        if told and message.header.flags.response and sa.channel.is_idle and self._hints.allow(now):
            upkeep.ask_liveness(sa, now)

    def _answer_unknown(self, header: Header, path: Path, now: Instant) -> None:
        self._context.outbox.tell(Dropped(path, "it belongs to no IKE SA"))
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.21.4
        ##% The response MUST NOT be cryptographically
        ##% protected and MUST contain an INVALID_IKE_SPI Notify payload.
        if not header.flags.response:
            self._notify(header, NotifyPayload(NotifyType.INVALID_IKE_SPI), path, now)

    def _answer_undecodable(self, data: bytes, error: PeerError, path: Path, now: Instant) -> None:
        if len(data) < HEADER_OCTETS:
            return
        header = Header.decode(data)
        if header.flags.response:
            return
        critical = error.notify is NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD and _begins(header)
        if error.notify and (error.notify is NotifyType.INVALID_MAJOR_VERSION or critical):
            self._notify(header, NotifyPayload(error.notify, error.notify_data), path, now)

    def _notify(self, request: Header, notify: NotifyPayload, path: Path, now: Instant) -> None:
        """Answer a request outside of any IKE SA, in moderation."""
        if not self._answers.allow(now):
            return
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-1.5
        ##% The message is a response message, and thus it
        ##% is sent to the IP address and port from whence it came with the same
        ##% IKE SPIs and the Message ID and Exchange Type are copied from the
        ##% request.
        flags = Flags(initiator=not request.flags.initiator, response=True)
        header = Header(request.spi_i, request.spi_r, request.exchange_type, flags, request.message_id)
        self._context.outbox.send(path, encode_message(header, (notify,)))


def _begins(header: Header) -> bool:
    """Whether a message is the first request of an IKE SA."""
    return (
        header.exchange_type == ExchangeType.IKE_SA_INIT
        and header.spi_r == NO_IKE_SPI
        and not header.flags.response
    )
