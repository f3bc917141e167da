"""Putting the fragments of a message together (RFC 7383, section 2.6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from perilune.model.time import Duration, Instant
from perilune.wire.payloads import EncryptedFragment

MAX_FRAGMENTS: Final = 128
"""More are not accepted for one message."""

MAX_OCTETS: Final = 65536
"""Content that is kept for one message at most (RFC 7383, section 5)."""


@dataclass(frozen=True, slots=True)
class Whole:
    """What an encrypted message holds, whether it came in fragments or not."""

    prefix: bytes
    """The octets before the content of its encrypted payload, or of the first fragment's."""

    inner_type: int
    """Type of the first payload."""

    chain: bytes
    """The payloads."""


@dataclass(slots=True)
class _Queue:
    message_id: int
    total: int
    since: Instant
    pieces: dict[int, bytes] = field(default_factory=dict)
    octets: int = 0
    prefix: bytes = b""
    inner_type: int = 0


class Reassembly:
    """The fragments of one direction's message under way; their checksums are known to be right.

    Args:
        patience: Age at which an incomplete message is forgotten.
    """

    __slots__ = ("_patience", "_queue")

    def __init__(self, patience: Duration) -> None:
        self._patience = patience
        self._queue: _Queue | None = None

    def wants(self, message_id: int, fragment: EncryptedFragment, now: Instant) -> bool:
        """Whether a fragment is worth decrypting: it is none that we have, and of no smaller message."""
        queue = self._current(message_id, now)
        if fragment.total > MAX_FRAGMENTS:
            return False
        if queue is None or fragment.total > queue.total:
            return True
        ##= https://www.rfc-editor.org/rfc/rfc7383#section-2.6
        ##% If an IKE Fragment message with the same Message
        ##% ID, Fragment Number, and Total Fragments fields is already present
        ##% in the reassembling queue, this message is considered a replay and
        ##% MUST be silently discarded.
        return fragment.total == queue.total and fragment.number not in queue.pieces

    def add(self, message_id: int, fragment: EncryptedFragment, piece: Whole, now: Instant) -> Whole | None:
        """Keep an authentic fragment that was wanted.

        Args:
            message_id: Of its message.
            fragment: It.
            piece: What it holds.
            now: The time.

        Returns:
            What its message holds, where this fragment completes it.
        """
        queue = self._queue_for(message_id, fragment.total, now)
        queue.octets += len(piece.chain)
        if queue.octets > MAX_OCTETS:
            self._queue = None
            return None
        queue.pieces[fragment.number] = piece.chain
        if fragment.number == 1:
            queue.prefix, queue.inner_type = piece.prefix, piece.inner_type
        if len(queue.pieces) < queue.total:
            return None
        self._queue = None
        chain = b"".join(octets for _, octets in sorted(queue.pieces.items()))
        return Whole(queue.prefix, queue.inner_type, chain)

    def _queue_for(self, message_id: int, total: int, now: Instant) -> _Queue:
        queue = self._current(message_id, now)
        if queue is None or total > queue.total:
            queue = self._queue = _Queue(message_id, total, now)
        return queue

    def _current(self, message_id: int, now: Instant) -> _Queue | None:
        """Return the queue of a message, unless it is too old."""
        queue = self._queue
        if queue is None or queue.message_id != message_id or now - queue.since > self._patience:
            return None
        return queue
