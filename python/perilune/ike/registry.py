"""The IKE SAs of an endpoint, found by our own SPI, and when each wants to be called."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar

from perilune.ike.names import IkeName
from perilune.ike.status import IkeSaStatus
from perilune.model.identity import Identity
from perilune.model.spi import IkeSpi
from perilune.model.time import Instant

K = TypeVar("K")

_OUTDATED: Final = 64
"""Outdated entries of the queue that are no matter; of more there are at most as many as valid ones."""


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


Identities = tuple[Identity, Identity]
"""Who we are and who the peer is, once both are proved."""


class Registry:
    """A table of conversations with a queue of their timeouts.

    Whoever changes a conversation calls `touch`; the queue may hold outdated entries, which are recognised
    when they come up, or thrown out together when they are the greater part.
    """

    def __init__(self) -> None:
        self._conversations: dict[IkeSpi, Conversation] = {}
        self._by_connection: _Index[str] = _Index()
        self._by_identities: _Index[Identities] = _Index()
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

    def of_connection(self, name: str) -> list[Conversation]:
        """Return the conversations of a connection, the oldest first."""
        return [self._conversations[spi] for spi in self._by_connection.spis(name)]

    def between(self, identities: Identities) -> list[Conversation]:
        """Return the conversations of two ends that proved who they are, the oldest first."""
        return [self._conversations[spi] for spi in self._by_identities.spis(identities)]

    def put(self, conversation: Conversation, identities: Identities | None = None) -> None:
        """Add a conversation, or replace the one with the same SPI by what became of it.

        Args:
            conversation: What to add.
            identities: Of its ends, where they are proved.
        """
        spi = conversation.local_spi
        self._conversations[spi] = conversation
        self._by_connection.put(spi, conversation.name.connection)
        self._by_identities.put(spi, identities)
        self.touch(conversation)

    def remove(self, conversation: Conversation) -> None:
        """Forget a conversation; one that was replaced meanwhile stays."""
        spi = conversation.local_spi
        if self._conversations.get(spi) is conversation:
            del self._conversations[spi]
            self._touched[spi] = None
            self._by_connection.put(spi, None)
            self._by_identities.put(spi, None)

    def touch(self, conversation: Conversation) -> None:
        """Note that the next timeout may have changed."""
        self._touched[conversation.local_spi] = None

    def next_timeout(self) -> Instant | None:
        """Return when the first conversation wants to be called."""
        self._requeue_touched()
        while self._queue:
            ns, spi = self._queue[0]
            if self._queued.get(spi) == ns:
                return Instant(ns)
            heapq.heappop(self._queue)
        return None

    def take_due(self, now: Instant) -> Iterator[Conversation]:
        """Yield the conversations whose time has come; each is touched, and so queued anew."""
        due: list[Conversation] = []
        while (at := self.next_timeout()) is not None and at <= now:
            _, spi = heapq.heappop(self._queue)
            del self._queued[spi]
            due.append(self._conversations[spi])
        for conversation in due:
            if self._conversations.get(conversation.local_spi) is conversation:
                self.touch(conversation)
                timeout = conversation.next_timeout()
                if timeout is not None and timeout <= now:
                    yield conversation

    def _requeue_touched(self) -> None:
        for spi in self._touched:
            timeout = self._timeout_of(spi)
            if timeout is None:
                self._queued.pop(spi, None)
            elif self._queued.get(spi) != timeout.ns:
                heapq.heappush(self._queue, (timeout.ns, spi))
                self._queued[spi] = timeout.ns
        self._touched.clear()
        if len(self._queue) > 2 * len(self._queued) + _OUTDATED:
            self._queue = [(ns, spi) for spi, ns in self._queued.items()]
            heapq.heapify(self._queue)

    def _timeout_of(self, spi: IkeSpi) -> Instant | None:
        conversation = self._conversations.get(spi)
        return conversation.next_timeout() if conversation else None


class _Index(Generic[K]):
    """The SPIs that have a key in common, in the order in which they came."""

    def __init__(self) -> None:
        self._spis: dict[K, dict[IkeSpi, None]] = {}
        self._keys: dict[IkeSpi, K] = {}

    def spis(self, key: K) -> list[IkeSpi]:
        return list(self._spis.get(key, ()))

    def put(self, spi: IkeSpi, key: K | None) -> None:
        """Give an SPI a key in place of the one it had; None takes it out."""
        old = self._keys.pop(spi, None)
        if old is not None:
            del self._spis[old][spi]
            if not self._spis[old]:
                del self._spis[old]
        if key is not None:
            self._keys[spi] = key
            self._spis.setdefault(key, {})[spi] = None
