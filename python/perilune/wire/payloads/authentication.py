"""The Authentication payload (RFC 7296, section 3.8).

```
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
| Auth Method   |                RESERVED                       |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
~                      Authentication Data                      ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from perilune.model.iana import AuthMethod, PayloadType
from perilune.wire.reading import require

_FIXED_OCTETS: Final = 4
_METHODS: Final[dict[int, AuthMethod]] = {member.value: member for member in AuthMethod}


@dataclass(frozen=True, slots=True)
class AuthPayload:
    """Proof that the sender has the key of its identity."""

    payload_type: ClassVar[PayloadType] = PayloadType.AUTH

    method: int
    data: bytes

    def encode(self) -> bytes:
        """Return the payload's body."""
        return bytes((self.method, 0, 0, 0)) + self.data

    @classmethod
    def decode(cls, body: bytes, offset: int) -> Self:
        """Read the payload's body, which lies at `offset` in the datagram.

        Raises:
            DecodeError: It is shorter than its fixed part.
        """
        require(body, _FIXED_OCTETS, offset, "Authentication payload")
        return cls(_METHODS.get(body[0], body[0]), body[_FIXED_OCTETS:])
