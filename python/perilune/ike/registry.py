"""The IKE SAs of an endpoint, found by our own SPI, and when each wants to be called."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Protocol

from perilune.ike.names import IkeName
from perilune.ike.status import IkeSaStatus
from perilune.model.spi import IkeSpi
from perilune.model.time import Instant


class Conversation(Protocol):
    """An IKE SA in any state."""

    @property
    def name(self) -> IkeName:
        """How events name it."""
        ...

    @property
    def local_spi(self) -> IkeSpi:
        """The SPI that we chose."""
        ...

    def next_timeout(self) -> Instant | None:
        """Return when it wants to be called."""
        ...

    def status(self) -> IkeSaStatus | None:
        """Return a snapshot; None for what is not worth showing."""
        ...


class Registry:
    """A table of conversations with a queue of their timeouts.

    Whoever changes a conversation calls `touch`; the queue may hold outdated entries, which are recognised
    when they come up.
    """

    def __init__(self) -> None:
        self._conversations: dict[IkeSpi, Conversation] = {}
        self._touched: dict[IkeSpi, None] = {}
        self._queue: list[tuple[int, IkeSpi]] = []
        self._queued: dict[IkeSpi, int] = {}
        self._last_id = 0

    def __iter__(self) -> Iterator[Conversation]:
        return iter(list(self._conversations.values()))

    def new_id(self) -> int:
        """Return a number that no IKE SA or Child SA of this endpoint had before."""
        self._last_id += 1
        return self._last_id

    def find(self, spi: IkeSpi) -> Conversation | None:
        """Return the conversation that has an SPI of ours."""
        return self._conversations.get(spi)

    def put(self, conversation: Conversation) -> None:
        """Add a conversation, or replace the one with the same SPI by what became of it."""
        self._conversations[conversation.local_spi] = conversation
        self.touch(conversation)

    def remove(self, conversation: Conversation) -> None:
        """Forget a conversation; one that was replaced meanwhile stays."""
        if self._conversations.get(conversation.local_spi) is conversation:
            del self._conversations[conversation.local_spi]

    def touch(self, conversation: Conversation) -> None:
        """Note that the next timeout may have changed."""
        self._touched[conversation.local_spi] = None

    def next_timeout(self) -> Instant | None:
        """Return when the first conversation wants to be called."""
        self._requeue_touched()
        while self._queue:
            ns, spi = self._queue[0]
            if self._timeout_of(spi) == Instant(ns):
                return Instant(ns)
            self._pop()
        return None

    def take_due(self, now: Instant) -> Iterator[Conversation]:
        """Yield the conversations whose time has come; each is touched, and so queued anew."""
        due: list[Conversation] = []
        while (at := self.next_timeout()) is not None and at <= now:
            due.append(self._conversations[self._pop()])
        for conversation in due:
            if self._conversations.get(conversation.local_spi) is conversation:
                self.touch(conversation)
                yield conversation

    def _requeue_touched(self) -> None:
        for spi in self._touched:
            timeout = self._timeout_of(spi)
            if timeout is not None and self._queued.get(spi) != timeout.ns:
                heapq.heappush(self._queue, (timeout.ns, spi))
                self._queued[spi] = timeout.ns
        self._touched.clear()

    def _pop(self) -> IkeSpi:
        ns, spi = heapq.heappop(self._queue)
        if self._queued.get(spi) == ns:
            del self._queued[spi]
        return spi

    def _timeout_of(self, spi: IkeSpi) -> Instant | None:
        conversation = self._conversations.get(spi)
        return conversation.next_timeout() if conversation else None
