"""The Extensible Authentication Protocol payload (RFC 7296, section 3.16): its body is an EAP message.

```
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|     Code      | Identifier    |           Length              |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|     Type      | Type_Data...
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from perilune.model.errors import DecodeError
from perilune.model.iana import PayloadType
from perilune.wire.reading import require

_FIXED_OCTETS: Final = 4


@dataclass(frozen=True, slots=True)
class EapPayload:
    """An EAP message whose Length field is right."""

    payload_type: ClassVar[PayloadType] = PayloadType.EAP

    message: bytes
    """The message from Code on."""

    def encode(self) -> bytes:
        """Return the payload's body."""
        return self.message

    @classmethod
    def decode(cls, body: bytes, offset: int) -> Self:
        """Read the payload's body, which lies at `offset` in the datagram.

        Raises:
            DecodeError: It is shorter than an EAP header, or its Length is wrong.
        """
        require(body, _FIXED_OCTETS, offset, "EAP message")
        length = int.from_bytes(body[2:4])
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-3.16
        ##% MUST be four less than the Payload Length of the
        ##% encapsulating payload.
        if length != len(body):
            raise DecodeError(
                f"is {length}, the message has {len(body)} octets", offset=offset + 2, field="EAP Length"
            )
        return cls(body)
