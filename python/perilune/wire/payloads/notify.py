"""The Notify payload: errors and status (RFC 7296, section 3.10).

```
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|  Protocol ID  |   SPI Size    |      Notify Message Type      |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
~                Security Parameter Index (SPI)                 ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
~                       Notification Data                       ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
```
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Final, Self

from perilune.model.iana import FIRST_STATUS_NOTIFY, NotifyType, PayloadType, ProtocolId
from perilune.wire.reading import require

_FIXED: Final = Struct("!BBH")
_TYPES: Final[dict[int, NotifyType]] = {member.value: member for member in NotifyType}


@dataclass(frozen=True, slots=True)
class NotifyPayload:
    """One notification."""

    payload_type: ClassVar[PayloadType] = PayloadType.NOTIFY

    type: int
    """Notify Message Type; a `NotifyType` where IANA's name is known here."""

    data: bytes = b""

    protocol: int = ProtocolId.NONE
    """Protocol of `spi`; means nothing where there is none."""

    spi: bytes = b""
    """SPI of the SA that is meant; empty for the IKE SA."""

    @property
    def is_error(self) -> bool:
        """Whether it reports an error, known to us or not, rather than a status."""
        return self.type < FIRST_STATUS_NOTIFY

    def encode(self) -> bytes:
        """Return the payload's body."""
        return _FIXED.pack(self.protocol, len(self.spi), self.type) + self.spi + self.data

    @classmethod
    def decode(cls, body: bytes, offset: int) -> Self:
        """Read the payload's body, which lies at `offset` in the datagram.

        Raises:
            DecodeError: It is shorter than its fixed part and its SPI.
        """
        require(body, _FIXED.size, offset, "Notify payload")
        protocol, spi_octets, type_ = _FIXED.unpack_from(body)
        end = _FIXED.size + spi_octets
        require(body, end, offset, "Notify SPI")
        return cls(_TYPES.get(type_, type_), body[end:], protocol, body[_FIXED.size : end])
