"""SIGNATURE_HASH_ALGORITHMS in IKE_SA_INIT: which hashes each side knows (RFC 7427, section 4)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

from perilune.ike.received import find_notify
from perilune.model.iana import HashId, NotifyType
from perilune.wire.payloads import NotifyPayload, Payload
from perilune.wire.signature_hashes import decode_signature_hashes, encode_signature_hashes


@dataclass(frozen=True, slots=True)
class AgreedHashes:
    """The hashes that each side announced, where both did; else signatures are of the older methods."""

    of_us: frozenset[int] | None = None
    of_peer: frozenset[int] | None = None

    @classmethod
    def of_messages(cls, ours: Collection[HashId], payloads: Sequence[Payload]) -> Self:
        """Return what both sides announced.

        Args:
            ours: What we announced.
            payloads: Of the peer's message.

        Raises:
            DecodeError: The peer's notify is malformed.
        """
        theirs = find_notify(payloads, NotifyType.SIGNATURE_HASH_ALGORITHMS)
        if not ours or theirs is None:
            return cls()
        return cls(frozenset(ours), frozenset(decode_signature_hashes(theirs.data)))


def hash_notifies(hashes: Collection[int]) -> tuple[Payload, ...]:
    """Return the announcement of some hashes; none where there are no signatures."""
    if not hashes:
        return ()
    return (NotifyPayload(NotifyType.SIGNATURE_HASH_ALGORITHMS, encode_signature_hashes(sorted(hashes))),)
