"""The data of SIGNATURE_HASH_ALGORITHMS: identifiers of 16 bits in a row (RFC 7427, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from perilune.model.errors import DecodeError

_ID: Final = Struct("!H")


def encode_signature_hashes(hashes: Sequence[int]) -> bytes:
    """Return the Notification Data for hashes."""
    return b"".join(map(_ID.pack, hashes))


def decode_signature_hashes(data: bytes) -> tuple[int, ...]:
    """Read the Notification Data; what is not known stays a number.

    Raises:
        DecodeError: Half an identifier is at the end; its offset counts from the start of the data.
    """
    if len(data) % _ID.size:
        raise DecodeError("half an identifier", offset=len(data) - 1, field="SIGNATURE_HASH_ALGORITHMS")
    return tuple(number for (number,) in _ID.iter_unpack(data))
