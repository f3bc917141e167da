"""IKE_INTERMEDIATE as its initiator: additional key exchanges (RFC 9242; RFC 9370, section 2.2.2).

IKE_SA_INIT, then for each additional key exchange n, in the order of their transform types
HDR, SK {KEi(n)}  -->
<--  HDR, SK {KEr(n)}        and both have new keys
then IKE_AUTH
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from perilune.crypto.key_exchange import KeyExchange
from perilune.ike.channel import Channel, Malformed, Response
from perilune.ike.context import Context
from perilune.ike.events import DownReason, Dropped, IkeKeysDerived
from perilune.ike.exchanges.ike_sa_init import Initiation
from perilune.ike.exchanges.init_done import InitDone
from perilune.ike.keyed import KeyedSa
from perilune.ike.received import find_error, require
from perilune.ike.refusal import refused_by_peer, refused_by_us
from perilune.ike.status import IkeSaState, IkeSaStatus
from perilune.model.address import Path
from perilune.model.errors import PeerError
from perilune.model.iana import ExchangeType, KeId, NotifyType
from perilune.model.spi import IkeSpi
from perilune.model.time import Instant
from perilune.wire.message import Message
from perilune.wire.payloads import KePayload, Payload


class Intermediate:
    """IKE_INTERMEDIATE under way: there are keys, and the peer may be anyone.

    Args:
        context: The endpoint's.
        initiation: The IKE_SA_INIT that led here.
        done: What it led to; there are additional key exchanges to be run.
        channel: Its messages.
    """

    def __init__(self, context: Context, initiation: Initiation, done: InitDone, channel: Channel) -> None:
        self._context: Final = context
        self.initiation: Final = initiation
        self.channel: Final = channel
        self.name: Final = channel.name
        self.local_spi: Final[IkeSpi] = channel.keyed.local_spi
        self._done: Final = done
        self._waiting: Final[list[KeId]] = list(channel.keyed.suite.additional_key_exchanges)
        self._begun: KeyExchange

    def start(self, now: Instant) -> None:
        """Send the first request."""
        self._context.registry.put(self)
        self._ask(now)

    def _ask(self, now: Instant) -> None:
        self._begun = KeyExchange.begin(self._waiting.pop(0), self._context.rng)
        ke = KePayload(self._begun.method, self._begun.share)
        self.channel.request(ExchangeType.IKE_INTERMEDIATE, (ke,), now)
        self._context.registry.touch(self)

    def status(self) -> IkeSaStatus:
        """Return a snapshot."""
        return IkeSaStatus(
            name=self.name,
            state=IkeSaState.CONNECTING,
            original_initiator=True,
            path=self.channel.path,
            suite=self.channel.keyed.suite,
            nat=self._done.nat,
        )

    def next_timeout(self) -> Instant | None:
        """Return when to call `handle_timeout`."""
        return self.channel.next_timeout()

    def handle_timeout(self, now: Instant) -> None:
        """Repeat the request, begin anew, or give up."""
        if not self.channel.handle_timeout(now):
            self._context.registry.remove(self)
            self.initiation.begin_anew(now)

    def give_up(self, reason: DownReason, now: Instant) -> None:
        """End, because nobody wants it any more, or it was refused."""
        self._context.registry.remove(self)
        self.initiation.fail_as(self.name, reason, now)

    def receive(self, message: Message, path: Path, now: Instant) -> InitDone | None:
        """Act on a message; the response to the last request leads to IKE_AUTH."""
        if not message.header.flags.response:
            self._context.outbox.tell(Dropped(path, "a request before the peer is authenticated"))
            return None
        incoming = self.channel.receive(message, path, now)
        match incoming:
            case Response():
                return self._finish(incoming.payloads, now)
            case Malformed():
                self.give_up(DownReason.REFUSED, now)
            case _:
                self._context.registry.touch(self)
        return None

    def _finish(self, payloads: Sequence[Payload], now: Instant) -> InitDone | None:
        error = find_error(payloads)
        if error is not None:
            self._context.outbox.tell(refused_by_peer(self.name, "IKE_INTERMEDIATE", error))
            self.give_up(DownReason.REFUSED, now)
            return None
        try:
            keyed = self._updated(payloads)
        except PeerError as refusal:
            self._context.outbox.tell(refused_by_us(self.name, "IKE_INTERMEDIATE", refusal))
            self.give_up(DownReason.REFUSED, now)
            return None
        self.channel.use_keys(keyed)
        if self._waiting:
            self._ask(now)
            return None
        if self._context.settings.export_keys:
            self._context.outbox.tell(IkeKeysDerived(self.name, keyed.suite, keyed.keys))
        return replace(self._done, keyed=keyed, int_auth=self.channel.int_auth.octets)

    def _updated(self, payloads: Sequence[Payload]) -> KeyedSa:
        """Return the keys that follow from the peer's KE payload."""
        ke = require_ke(payloads, self._begun.method)
        return self.channel.keyed.updated(self._begun.finish(ke.data))


def require_ke(payloads: Sequence[Payload], method: KeId) -> KePayload:
    """Return the KE payload of an additional key exchange.

    Raises:
        PeerError: There is none, or it has not the method that was chosen; the notify is INVALID_SYNTAX.
    """
    ke = require(payloads, KePayload)
    if ke.method != method:
        why = f"a KE payload with method {ke.method}, where {method.name} was chosen"
        raise PeerError(why, notify=NotifyType.INVALID_SYNTAX)
    return ke
