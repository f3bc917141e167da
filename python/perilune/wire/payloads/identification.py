"""The Identification payloads IDi and IDr (RFC 7296, section 3.5).

```
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|   ID Type     |                 RESERVED                      |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
~                   Identification Data                         ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from perilune.model.errors import DecodeError
from perilune.model.iana import IdType, PayloadType
from perilune.model.identity import Identity
from perilune.wire.reading import require

_FIXED_OCTETS: Final = 4
_TYPES: Final[dict[int, IdType]] = {member.value: member for member in IdType}
_FIXED_DATA_OCTETS: Final[dict[int, int]] = {
    IdType.ID_IPV4_ADDR: 4,
    IdType.ID_IPV6_ADDR: 16,
    IdType.ID_NULL: 0,
}


@dataclass(frozen=True, slots=True)
class IdPayload:
    """Who the sender says it is (IDi of the initiator, IDr of the responder), or whom it asks for (IDr)."""

    payload_type: PayloadType
    """ID_I or ID_R."""

    identity: Identity

    reserved: bytes = b"\0\0\0"
    """The RESERVED octets as received: AUTH covers them (section 2.15), so `encode` gives them back."""

    def encode(self) -> bytes:
        """Return the payload's body, which is RestOfInitIDPayload or RestOfRespIDPayload of section 2.15."""
        return bytes((self.identity.type,)) + self.reserved + self.identity.data

    @classmethod
    def decode(cls, body: bytes, offset: int, payload_type: PayloadType) -> Self:
        """Read the payload's body.

        Args:
            body: Octets behind the generic payload header.
            offset: Where `body` lies in the datagram.
            payload_type: ID_I or ID_R.

        Raises:
            DecodeError: It is shorter than its fixed part, or its data are not as long as its type says.
        """
        require(body, _FIXED_OCTETS, offset, "Identification payload")
        type_ = _TYPES.get(body[0], body[0])
        data = body[_FIXED_OCTETS:]
        expected = _FIXED_DATA_OCTETS.get(type_)
        if expected is not None and len(data) != expected:
            raise DecodeError(
                f"identity of type {type_} has {len(data)} octets, not {expected}",
                offset=offset + _FIXED_OCTETS,
                field="Identification Data",
            )
        return cls(payload_type, Identity(type_, data), body[1:_FIXED_OCTETS])
