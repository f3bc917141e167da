"""The Delete payload (RFC 7296, section 3.11).

```
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
| Protocol ID   |   SPI Size    |          Num of SPIs          |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
~               Security Parameter Index(es) (SPI)              ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
```
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Final, Self

from perilune.model.errors import DecodeError
from perilune.model.iana import PayloadType, ProtocolId
from perilune.wire.reading import nothing_behind, require

_FIXED: Final = Struct("!BBH")
_SPI_OCTETS: Final[dict[int, int]] = {ProtocolId.IKE: 0, ProtocolId.AH: 4, ProtocolId.ESP: 4}
_PROTOCOLS: Final[dict[int, ProtocolId]] = {member.value: member for member in ProtocolId}


@dataclass(frozen=True, slots=True)
class DeletePayload:
    """SAs that the sender no longer has."""

    payload_type: ClassVar[PayloadType] = PayloadType.DELETE

    protocol: int
    """IKE (this IKE SA), AH or ESP."""

    spis: tuple[bytes, ...] = ()
    """SPIs that the sender receives with, 4 octets each; none for IKE."""

    def encode(self) -> bytes:
        """Return the payload's body."""
        spi_octets = len(self.spis[0]) if self.spis else _SPI_OCTETS.get(self.protocol, 0)
        return _FIXED.pack(self.protocol, spi_octets, len(self.spis)) + b"".join(self.spis)

    @classmethod
    def decode(cls, body: bytes, offset: int) -> Self:
        """Read the payload's body, which lies at `offset` in the datagram.

        Raises:
            DecodeError: The protocol is none of IKE, AH and ESP, an SPI has not the size of its protocol, or
                the count and the length disagree.
        """
        require(body, _FIXED.size, offset, "Delete payload")
        protocol, spi_octets, count = _FIXED.unpack_from(body)
        if protocol not in _SPI_OCTETS:
            raise DecodeError(f"{protocol} is none of IKE, AH, ESP", offset=offset, field="Protocol ID")
        if count and spi_octets != _SPI_OCTETS[protocol]:
            raise DecodeError(f"{spi_octets} for protocol {protocol}", offset=offset + 1, field="SPI Size")
        end = _FIXED.size + spi_octets * count
        require(body, end, offset, "Delete SPIs")
        nothing_behind(body, end, offset, "Delete SPIs")
        if not spi_octets:
            return cls(_PROTOCOLS[protocol])
        starts = range(_FIXED.size, end, spi_octets)
        return cls(_PROTOCOLS[protocol], tuple(body[start : start + spi_octets] for start in starts))
