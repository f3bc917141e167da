"""Telling a peer that it failed to authenticate itself (RFC 7296, section 2.21.2)."""

from __future__ import annotations

from typing import Final

from perilune.ike.channel import Channel
from perilune.ike.context import Context
from perilune.ike.names import IkeName
from perilune.model.address import Path
from perilune.model.iana import ExchangeType, NotifyType
from perilune.model.spi import IkeSpi
from perilune.model.time import Instant
from perilune.wire.message import Message
from perilune.wire.payloads import NotifyPayload


class Farewell:
    """One last request on an IKE SA that was never established here; the peer thinks it was.

    Args:
        context: The endpoint's.
        channel: Its messages; no request is under way.
    """

    def __init__(self, context: Context, channel: Channel) -> None:
        self._context: Final = context
        self._channel: Final = channel
        self.name: Final[IkeName] = channel.name
        self.local_spi: Final[IkeSpi] = channel.keyed.local_spi

    def start(self, now: Instant) -> None:
        """Send the request."""
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.21.2
        ##% If the error occurs on the initiator, the notification MAY be
        ##% returned in a separate INFORMATIONAL exchange, usually with no other
        ##% payloads.
        self._context.registry.put(self)
        self._channel.request(
            ExchangeType.INFORMATIONAL, (NotifyPayload(NotifyType.AUTHENTICATION_FAILED),), now
        )

    def receive(self, message: Message, path: Path, now: Instant) -> None:
        """End with the response, whatever it says; requests are not answered."""
        if message.header.flags.response and self._channel.receive(message, path, now):
            self._context.registry.remove(self)

    def next_timeout(self) -> Instant | None:
        """Return when to call `handle_timeout`."""
        return self._channel.next_timeout()

    def handle_timeout(self, now: Instant) -> None:
        """Repeat the request or end."""
        if not self._channel.handle_timeout(now):
            self._context.registry.remove(self)

    def status(self) -> None:
        """Return nothing: this is no IKE SA."""
