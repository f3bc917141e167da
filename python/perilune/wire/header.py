"""The fixed header of every IKE message (RFC 7296, section 3.1).

```
                     1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                       IKE SA Initiator's SPI                  |
|                                                               |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                       IKE SA Responder's SPI                  |
|                                                               |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|  Next Payload | MjVer | MnVer | Exchange Type |     Flags     |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                          Message ID                           |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|                            Length                             |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
                               Flags: X X R V I X X X, high bit first
```
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from perilune.model.errors import DecodeError
from perilune.model.iana import PayloadType
from perilune.model.spi import IkeSpi

HEADER_OCTETS: Final = 28
"""Length of the header."""

MAJOR_VERSION: Final = 2
"""The version of IKE that this package speaks."""

_LAYOUT: Final = Struct("!QQBBBBLL")
_INITIATOR: Final = 0x08
_VERSION: Final = 0x10
_RESPONSE: Final = 0x20


@dataclass(frozen=True, slots=True)
class Flags:
    """Who sends the message, and whether it is an answer."""

    initiator: bool
    """The sender is the original initiator of this IKE SA, whoever began this exchange."""

    response: bool
    """The message answers the request with the same Message ID."""

    version: bool = False
    """The sender could speak a higher major version; sent as zero and ignored on receipt."""

    def encode(self) -> int:
        """Return the octet."""
        return _INITIATOR * self.initiator | _VERSION * self.version | _RESPONSE * self.response

    @classmethod
    def decode(cls, octet: int) -> Flags:
        """Read the octet; bits that the RFC does not define are ignored."""
        return _FLAGS[octet]


_FLAGS: Final = tuple(
    Flags(bool(octet & _INITIATOR), bool(octet & _RESPONSE), bool(octet & _VERSION)) for octet in range(256)
)
"""What each octet says."""


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of the header; `next_payload` and `length` are filled in when a message is encoded."""

    spi_i: IkeSpi
    """Chosen by the original initiator; never 0."""

    spi_r: IkeSpi
    """Chosen by the original responder; 0 in the first message."""

    exchange_type: int
    flags: Flags
    message_id: int
    """32 bits; 0 in IKE_SA_INIT."""

    next_payload: int = PayloadType.NONE
    """Type of the first payload."""

    length: int = HEADER_OCTETS
    """Length of the whole message in octets, with this header and without a non-ESP marker."""

    major_version: int = MAJOR_VERSION
    minor_version: int = 0
    """Sent as 0 and ignored on receipt."""

    def encode(self) -> bytes:
        """Return the 28 octets."""
        return self.encode_before(self.next_payload, self.length - HEADER_OCTETS)

    def encode_before(self, first_type: int, chain_octets: int) -> bytes:
        """Return the 28 octets that go before a chain of payloads.

        Args:
            first_type: Next Payload.
            chain_octets: Length of the chain; Length counts the header too.
        """
        return _LAYOUT.pack(
            self.spi_i,
            self.spi_r,
            first_type,
            self.major_version << 4 | self.minor_version,
            self.exchange_type,
            self.flags.encode(),
            self.message_id,
            HEADER_OCTETS + chain_octets,
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the first 28 octets of a datagram and judge nothing else about it.

        A message of another major version, or of a wrong length, has a header that can be answered: see
        `message.decode_header` for the reader that refuses those.

        Raises:
            DecodeError: The datagram is shorter than a header. Its `notify` is None, as such a datagram
                has no SPIs that an answer could carry.
        """
        if len(data) < HEADER_OCTETS:
            raise DecodeError(
                f"a header has {HEADER_OCTETS} octets, the datagram {len(data)}",
                offset=len(data),
                field="IKE Header",
                notify=None,
            )
        spi_i, spi_r, first, version, exchange, flags, message_id, length = _LAYOUT.unpack_from(data)
        return cls(
            IkeSpi(spi_i),
            IkeSpi(spi_r),
            exchange,
            Flags.decode(flags),
            message_id,
            first,
            length,
            version >> 4,
            version & 0x0F,
        )
