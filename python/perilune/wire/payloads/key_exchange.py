"""The Key Exchange payload (RFC 7296, section 3.4).

```
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|   Diffie-Hellman Group Num    |           RESERVED            |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
~                       Key Exchange Data                       ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
```
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Final, Self

from perilune.model.iana import KeId, PayloadType
from perilune.wire.reading import require

_FIXED: Final = Struct("!H2x")
_METHODS: Final[dict[int, KeId]] = {member.value: member for member in KeId}


@dataclass(frozen=True, slots=True)
class KePayload:
    """A public value; its length is judged by who knows the method."""

    payload_type: ClassVar[PayloadType] = PayloadType.KE

    method: int
    """Number of a key exchange method, transform type 4."""

    data: bytes

    def encode(self) -> bytes:
        """Return the payload's body."""
        return _FIXED.pack(self.method) + self.data

    @classmethod
    def decode(cls, body: bytes, offset: int) -> Self:
        """Read the payload's body, which lies at `offset` in the datagram.

        Raises:
            DecodeError: It is shorter than its fixed part.
        """
        require(body, _FIXED.size, offset, "Key Exchange payload")
        (method,) = _FIXED.unpack_from(body)
        return cls(_METHODS.get(method, method), body[_FIXED.size :])
