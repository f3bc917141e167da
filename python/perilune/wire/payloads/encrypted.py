"""The Encrypted payload (RFC 7296, section 3.14) and the Encrypted Fragment payload (RFC 7383, section 2.5).

```
                     1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
| Next Payload  |C|  RESERVED   |         Payload Length        |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|        Fragment Number        |        Total Fragments        |  SKF only
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                     Initialization Vector                     |  content
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
~        Encrypted IKE Payloads, Padding, Pad Length            ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
~                    Integrity Checksum Data                    ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
```

Both end their message, and their Next Payload names what comes first inside. The codec does not look into
the content: it is what a cipher seals and opens, and everything before it in the message is the cipher's
associated data (RFC 5282, section 5.1), the numbers of a fragment included.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Final, Self

from perilune.model.errors import DecodeError
from perilune.model.iana import PayloadType
from perilune.wire.reading import require

FRAGMENT: Final = Struct("!HH")
"""Fragment Number and Total Fragments."""


@dataclass(frozen=True, slots=True)
class EncryptedPayload:
    """SK: a sealed chain of payloads."""

    payload_type: ClassVar[PayloadType] = PayloadType.SK

    inner_type: int
    """Type of the first payload inside; NONE where there is none."""

    content: bytes
    """Initialization vector, ciphertext and checksum."""

    def encode(self) -> bytes:
        """Return the payload's body."""
        return self.content

    @classmethod
    def decode(cls, body: bytes, offset: int, inner_type: int) -> Self:
        """Read the payload's body, which lies at `offset`; `inner_type` is its Next Payload field."""
        return cls(inner_type, body)


@dataclass(frozen=True, slots=True)
class EncryptedFragment:
    """SKF: one of the sealed pieces of a chain of payloads."""

    payload_type: ClassVar[PayloadType] = PayloadType.SKF

    inner_type: int
    """Type of the first payload inside, in the first fragment; NONE in the others."""

    number: int
    """Fragment Number, 1 to `total`."""

    total: int
    """Total Fragments, 1 to 65535."""

    content: bytes
    """Initialization vector, ciphertext and checksum."""

    def encode(self) -> bytes:
        """Return the payload's body."""
        return FRAGMENT.pack(self.number, self.total) + self.content

    @classmethod
    def decode(cls, body: bytes, offset: int, inner_type: int) -> Self:
        """Read the payload's body, which lies at `offset`; `inner_type` is its Next Payload field.

        Raises:
            DecodeError: The numbers are missing, zero or out of order. Its `notify` is None.
        """
        require(body, FRAGMENT.size, offset, "Fragment Number")
        number, total = FRAGMENT.unpack_from(body)
        ##= https://www.rfc-editor.org/rfc/rfc7383#section-2.6
        ##% check that the Fragment Number and the Total Fragments fields
        ##% contain non-zero values
        ##= https://www.rfc-editor.org/rfc/rfc7383#section-2.6
        ##% check that the value in the Fragment Number field is less than
        ##% or equal to the value in the Total Fragments field
        if not 1 <= number <= total:
            raise DecodeError(f"{number} of {total}", offset=offset, field="Fragment Number", notify=None)
        return cls(inner_type, number, total, body[FRAGMENT.size :])
