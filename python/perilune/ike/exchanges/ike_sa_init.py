"""IKE_SA_INIT as its initiator (RFC 7296, sections 1.2, 2.6 and 2.7)."""

from __future__ import annotations

from typing import Final

from perilune.crypto.key_exchange import KeyExchange
from perilune.databases.pad import Fragmentation, PadEntry
from perilune.ike.auth_methods import announced_identifiers
from perilune.ike.channel import Channel
from perilune.ike.child_offer import asked_key_exchange
from perilune.ike.context import Context
from perilune.ike.events import (
    CookieDemanded,
    DownReason,
    Dropped,
    IkeKeysDerived,
    IkeSaDown,
    MessageReceived,
    MessageSent,
    PeerUnreachable,
    Retransmitted,
)
from perilune.ike.exchanges.fresh import Fresh
from perilune.ike.exchanges.init_done import InitDone, WantedChild, may_fragment
from perilune.ike.keyed import KeyedSa
from perilune.ike.message_window import MessageWindow
from perilune.ike.names import IkeName
from perilune.ike.nat import Nat, find_nat, nat_notifies, nat_t_path
from perilune.ike.negotiation import Choice, key_exchanges, offer, require_chosen, wants_additional
from perilune.ike.received import find, find_error, find_notify, require
from perilune.ike.refusal import Refusal, refused_by_peer, refused_by_us
from perilune.ike.retransmission import Retransmission
from perilune.ike.signature_hashes import AgreedHashes, hash_notifies
from perilune.ike.status import IkeSaState, IkeSaStatus
from perilune.ike.vendor import vendor_payloads
from perilune.model.address import Path
from perilune.model.errors import PeerError
from perilune.model.iana import ExchangeType, NotifyType
from perilune.model.spi import NO_IKE_SPI
from perilune.model.time import Instant, earliest
from perilune.wire.header import Flags, Header
from perilune.wire.message import Message, encode_message
from perilune.wire.payloads import NoncePayload, NotifyPayload, Payload, SaPayload

_MOST_REPEATS: Final = 8
"""Cookies and other key exchange methods that one try goes along with."""

_COOKIE_OCTETS: Final = range(1, 65)


class Initiation:
    """IKE_SA_INIT under way: the request is out, and nothing is known of the peer.

    Args:
        context: The endpoint's.
        entry: The connection.
        path: Where to.
        wanted: The children to set up, the first within IKE_AUTH.
        now: The time.
    """

    def __init__(
        self, context: Context, entry: PadEntry, path: Path, wanted: list[WantedChild], now: Instant
    ) -> None:
        self.entry: Final = entry
        self.path: Final = path
        self.wanted: Final = wanted
        self.began_at: Final = now
        self.id: Final = context.registry.new_id()
        self.tries = 1
        """How many times it was begun."""

        self._context: Final = context
        self._retransmission: Retransmission
        self._begin(now)

    def _begin(self, now: Instant) -> None:
        self.local_spi = self._context.spis.new_ike_spi()
        method = key_exchanges(self.entry.proposals)[0]
        self._fresh = Fresh.begin(method, self._context.rng)
        self._cookie: bytes | None = None
        self._repeats = 0
        self._refused_at: Instant | None = None
        self._context.registry.put(self)
        self._send(now)

    @property
    def name(self) -> IkeName:
        """How events name it."""
        return IkeName(self.entry.name, self.id, self.local_spi, NO_IKE_SPI)

    def status(self) -> IkeSaStatus:
        """Return a snapshot."""
        return IkeSaStatus(
            name=self.name, state=IkeSaState.CONNECTING, original_initiator=True, path=self.path
        )

    def next_timeout(self) -> Instant | None:
        """Return when to call `handle_timeout`."""
        return earliest(self._retransmission.at, self._refused_at)

    def handle_timeout(self, now: Instant) -> None:
        """Repeat the request, begin anew, or give up."""
        if self._refused_at is not None and now >= self._refused_at:
            self.give_up(DownReason.REFUSED, now)
            return
        if now < self._retransmission.at:
            return
        again = self._retransmission.again(now, self._context.settings.timers)
        outbox = self._context.outbox
        if again is None:
            outbox.tell(PeerUnreachable(self.name, ExchangeType.IKE_SA_INIT, self.path))
            self.begin_anew(now)
            return
        self._retransmission = again
        outbox.tell(Retransmitted(self.name, ExchangeType.IKE_SA_INIT, 0, again.attempt))
        outbox.send(self.path, self._request)

    def begin_anew(self, now: Instant) -> None:
        """Try once more from the start, unless it was tried as often as is configured."""
        self._context.registry.remove(self)
        if self.entry.keyingtries and self.tries >= self.entry.keyingtries:
            self.give_up(DownReason.UNREACHABLE, now)
        else:
            self.tries += 1
            self._begin(now)

    def give_up(self, reason: DownReason, now: Instant) -> None:
        """Give up."""
        self._context.registry.remove(self)
        self.fail_as(self.name, reason, now)

    def fail_as(self, name: IkeName, reason: DownReason, now: Instant) -> None:
        """Tell that this came to nothing, under the name that it had in the end."""
        self._context.outbox.tell(IkeSaDown(name, reason))
        for child in self.wanted:
            key = (self.entry.name, child.policy.name)
            if reason is DownReason.LOCAL:
                self._context.wishes.fulfilled(key)
            else:
                self._context.wishes.failed(key, now)

    def _send(self, now: Instant) -> None:
        payloads = self._payloads()
        header = Header(
            self.local_spi, NO_IKE_SPI, ExchangeType.IKE_SA_INIT, Flags(initiator=True, response=False), 0
        )
        self._request = encode_message(header, payloads)
        self._retransmission = Retransmission.begin((self._request,), now, self._context.settings.timers)
        types = tuple(payload.payload_type for payload in payloads)
        octets = len(self._request)
        self._context.outbox.tell(MessageSent(self.name, ExchangeType.IKE_SA_INIT, False, 0, types, octets))
        self._context.outbox.send(self.path, self._request)
        self._context.registry.touch(self)

    def _payloads(self) -> list[Payload]:
        nonce, *ke = self._fresh.payloads
        method = self._fresh.key_exchange.method if self._fresh.key_exchange else None
        payloads: list[Payload] = []
        if self._cookie is not None:
            payloads.append(NotifyPayload(NotifyType.COOKIE, self._cookie))
        payloads += [SaPayload(offer(self.entry.proposals, b"", method)), *ke, nonce]
        payloads += nat_notifies(self.local_spi, NO_IKE_SPI, self.path, pretend=self.entry.encap)
        if self.entry.fragmentation is not Fragmentation.NO:
            payloads.append(NotifyPayload(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED))
        if wants_additional(self.entry.proposals):
            payloads.append(NotifyPayload(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED))
        payloads += hash_notifies(self.entry.signature_hashes)
        return [*payloads, *vendor_payloads(self.entry.modes)]

    def receive(self, message: Message, path: Path, now: Instant) -> InitDone | None:
        """Act on a message that nobody vouches for; an acceptable response ends this exchange."""
        try:
            self._check_header(message.header)
            return self._receive(message, path, now)
        except Refusal as refusal:
            self._context.outbox.tell(refused_by_us(self.name, "IKE SA", refusal))
            self._expect_refusal(now)
        except PeerError as error:
            self._context.outbox.tell(Dropped(path, str(error)))
        return None

    def _check_header(self, header: Header) -> None:
        if header.exchange_type != ExchangeType.IKE_SA_INIT or header.message_id:
            raise PeerError("it is not the response to IKE_SA_INIT")
        if header.flags.initiator or not header.flags.response:
            raise PeerError("its flags are not those of the response to IKE_SA_INIT")

    def _receive(self, message: Message, path: Path, now: Instant) -> InitDone | None:
        header, payloads = message.header, message.payloads
        types = tuple(payload.payload_type for payload in payloads)
        octets = len(message.octets)
        self._context.outbox.tell(MessageReceived(self.name, header.exchange_type, True, 0, types, octets))
        if find(payloads, SaPayload) is not None:
            return self._done(message, path)
        if cookie := find_notify(payloads, NotifyType.COOKIE):
            self._use_cookie(cookie, path, now)
        elif error := find_error(payloads):
            self._refused(error, now)
        else:
            raise PeerError("it neither accepts nor refuses")
        return None

    def _use_cookie(self, cookie: NotifyPayload, path: Path, now: Instant) -> None:
        if len(cookie.data) not in _COOKIE_OCTETS or cookie.data == self._cookie:
            raise PeerError(f"a cookie of {len(cookie.data)} octets that cannot be used")
        self._context.outbox.tell(CookieDemanded(self.name, by_peer=True, path=path))
        self._cookie = cookie.data
        self._repeat(now)

    def _refused(self, error: NotifyPayload, now: Instant) -> None:
        if error.type == NotifyType.INVALID_KE_PAYLOAD:
            self._use_method(error, now)
            return
        hint = f"connections.{self.entry.name}.proposals"
        ours = " | ".join(map(str, self.entry.proposals))
        self._context.outbox.tell(refused_by_peer(self.name, "IKE SA", error, ours=ours, hint=hint))
        self._expect_refusal(now)

    def _use_method(self, error: NotifyPayload, now: Instant) -> None:
        """Go on with the key exchange method that the peer asks for."""
        method = asked_key_exchange(error, key_exchanges(self.entry.proposals))
        if self._fresh.key_exchange and method == self._fresh.key_exchange.method:
            raise PeerError("it asks for the key exchange method that it has")
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.6.1
        ##% Implementations SHOULD support this shorter exchange, but MUST NOT
        ##% fail if other implementations do not support this shorter exchange.
        key_exchange = KeyExchange.begin(method, self._context.rng)
        self._fresh = Fresh(self._fresh.nonce, key_exchange)
        self._repeat(now)

    def _repeat(self, now: Instant) -> None:
        self._repeats += 1
        if self._repeats > _MOST_REPEATS:
            raise PeerError("the peer asks for one repetition after the other")
        self._refused_at = None
        self._send(now)

    def _expect_refusal(self, now: Instant) -> None:
        """Give up soon, unless a better response comes: anyone may have sent this one (section 2.21.1)."""
        if self._refused_at is None:
            self._refused_at = now + self._context.settings.timers.refusal
            self._context.registry.touch(self)

    def _done(self, message: Message, path: Path) -> InitDone:
        choice = self._choice(message)
        keyed = self._keyed(choice, message)
        nat = find_nat(message.payloads, keyed.spi_i, keyed.spi_r, path, pretend=self.entry.encap)
        if self._context.settings.export_keys and not keyed.suite.additional_key_exchanges:
            self._context.outbox.tell(IkeKeysDerived(self._name_with(keyed), keyed.suite, keyed.keys))
        announced = find_notify(message.payloads, NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) is not None
        return InitDone(
            keyed=keyed,
            nat=nat or Nat(),
            fragmentation=announced and may_fragment(self.entry),
            local_message=self._request,
            remote_message=message.octets,
            path=self.path,
            chosen=choice.proposal,
            hashes=AgreedHashes.of_messages(self.entry.signature_hashes, message.payloads),
            liked=announced_identifiers(message.payloads),
        )

    def channel(self, done: InitDone) -> Channel:
        """Return the messages that follow the exchange; behind a NAT they take another port."""
        path = nat_t_path(done.path, self._context.settings.nat_t_port) if done.nat.between else done.path
        name, window = self._name_with(done.keyed), MessageWindow(next_request=1)
        channel = Channel(self._context, name, done.keyed, path, window)
        channel.fragments = done.fragmentation
        return channel

    def _name_with(self, keyed: KeyedSa) -> IkeName:
        return IkeName(self.entry.name, self.id, keyed.spi_i, keyed.spi_r)

    def _choice(self, message: Message) -> Choice:
        if message.header.spi_r == NO_IKE_SPI:
            raise PeerError("it accepts without an SPI")
        method = self._fresh.key_exchange.method if self._fresh.key_exchange else None
        hint = f"connections.{self.entry.name}.proposals"
        chosen = require(message.payloads, SaPayload).proposals
        choice = require_chosen(offer(self.entry.proposals, b"", method), chosen, hint=hint)
        supported = find_notify(message.payloads, NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED) is not None
        if choice.additional_key_exchanges and not supported:
            raise PeerError("it chose additional key exchanges and has no IKE_INTERMEDIATE to run them")
        return choice

    def _keyed(self, choice: Choice, message: Message) -> KeyedSa:
        header, payloads = message.header, message.payloads
        nonce_r = require(payloads, NoncePayload).nonce
        shared = self._fresh.finish(choice.key_exchange, payloads)
        if shared is None:
            raise PeerError("it chose no key exchange")
        spis = (self.local_spi, header.spi_r)
        nonces = (self._fresh.nonce, nonce_r)
        return KeyedSa.of_first_exchange(choice.ike_suite, nonces, shared, spis, original_initiator=True)
