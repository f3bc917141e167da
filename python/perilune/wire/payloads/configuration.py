"""The Configuration payload (RFC 7296, section 3.15).

```
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|   CFG Type    |                    RESERVED                   |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|R|         Attribute Type      |            Length             |   attribute,
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+   none or more
~                             Value                             ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
```
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Final, Self

from perilune.model.errors import DecodeError
from perilune.model.iana import CpType, PayloadType
from perilune.wire.limits import MAX_CONFIGURATION_ATTRIBUTES
from perilune.wire.reading import require

_FIXED_OCTETS: Final = 4
_ATTRIBUTE: Final = Struct("!HH")
_TYPES: Final[dict[int, CpType]] = {member.value: member for member in CpType}


@dataclass(frozen=True, slots=True)
class ConfigurationAttribute:
    """One thing that is asked for (empty value) or given."""

    type: int
    """Attribute Type, 15 bits."""

    value: bytes = b""


@dataclass(frozen=True, slots=True)
class CpPayload:
    """Addresses and the like, asked for or given."""

    payload_type: ClassVar[PayloadType] = PayloadType.CP

    type: int
    """CFG Type."""

    attributes: tuple[ConfigurationAttribute, ...] = ()

    def encode(self) -> bytes:
        """Return the payload's body."""
        parts = [bytes((self.type, 0, 0, 0))]
        for attribute in self.attributes:
            parts += (_ATTRIBUTE.pack(attribute.type, len(attribute.value)), attribute.value)
        return b"".join(parts)

    @classmethod
    def decode(cls, body: bytes, offset: int) -> Self:
        """Read the payload's body, which lies at `offset` in the datagram.

        Raises:
            DecodeError: An attribute ends behind the payload, or there are too many.
        """
        require(body, _FIXED_OCTETS, offset, "Configuration payload")
        attributes: list[ConfigurationAttribute] = []
        position = _FIXED_OCTETS
        while position < len(body):
            if len(attributes) == MAX_CONFIGURATION_ATTRIBUTES:
                raise DecodeError("too many", offset=offset + position, field="Configuration Attributes")
            require(body, position + _ATTRIBUTE.size, offset, "Configuration Attribute")
            type_, length = _ATTRIBUTE.unpack_from(body, position)
            position += _ATTRIBUTE.size
            require(body, position + length, offset, "Configuration Attribute Value")
            attributes.append(ConfigurationAttribute(type_ & 0x7FFF, body[position : position + length]))
            position += length
        return cls(_TYPES.get(body[0], body[0]), tuple(attributes))
