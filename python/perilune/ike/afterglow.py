"""What is left of an IKE SA that ended with an answer: the answer, in case that it got lost.

It has no keys: a request that is repeated is recognised by its octets, which are the same.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

from perilune.ike.context import Context
from perilune.ike.events import Dropped
from perilune.ike.names import IkeName
from perilune.model.address import Path
from perilune.model.spi import IkeSpi
from perilune.model.time import Instant
from perilune.wire.message import Message


class Afterglow:
    """Repeats one answer for a while.

    Args:
        context: The endpoint's.
        name: How events named the IKE SA.
        local_spi: Our SPI of it.
        request: The request, or the fragment that completed it.
        answer: The datagrams that answered it.
        until: When to forget it.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - all that is left
        self,
        context: Context,
        name: IkeName,
        local_spi: IkeSpi,
        request: bytes,
        answer: tuple[bytes, ...],
        until: Instant,
    ) -> None:
        self.name: Final = name
        self.local_spi: Final = local_spi
        self._context: Final = context
        self._digest: Final = sha256(request).digest()
        self._answer: Final = answer
        self._until: Final = until

    def receive(self, message: Message, path: Path, now: Instant) -> None:
        """Answer the request that was answered before."""
        if not hmac.compare_digest(self._digest, sha256(message.octets).digest()):
            self._context.outbox.tell(Dropped(path, "its IKE SA has ended"))
            return
        for datagram in self._answer:
            self._context.outbox.send(path, datagram)

    def next_timeout(self) -> Instant | None:
        """Return when to forget it."""
        return self._until

    def handle_timeout(self, now: Instant) -> None:
        """Forget it."""
        if self._until <= now:
            self._context.registry.remove(self)

    def status(self) -> None:
        """Return nothing: the IKE SA is no more."""
