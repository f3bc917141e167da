"""The Certificate and Certificate Request payloads (RFC 7296, sections 3.6 and 3.7).

```
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
| Cert Encoding |                                               |
+-+-+-+-+-+-+-+-+                                               |
~          Certificate Data, or Certification Authority         ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from perilune.model.iana import CertEncoding, PayloadType
from perilune.wire.reading import require

_ENCODINGS: Final[dict[int, CertEncoding]] = {member.value: member for member in CertEncoding}


@dataclass(frozen=True, slots=True)
class CertPayload:
    """A certificate, a revocation list, or where to fetch one."""

    payload_type: ClassVar[PayloadType] = PayloadType.CERT

    encoding: int
    data: bytes

    def encode(self) -> bytes:
        """Return the payload's body."""
        return bytes((self.encoding,)) + self.data

    @classmethod
    def decode(cls, body: bytes, offset: int) -> Self:
        """Read the payload's body, which lies at `offset` in the datagram.

        Raises:
            DecodeError: It is empty.
        """
        require(body, 1, offset, "Cert Encoding")
        return cls(_ENCODINGS.get(body[0], body[0]), body[1:])


@dataclass(frozen=True, slots=True)
class CertReqPayload:
    """A wish for a certificate, from one of some authorities."""

    payload_type: ClassVar[PayloadType] = PayloadType.CERTREQ

    encoding: int

    authorities: bytes
    """For X.509, SHA-1 hashes of the trust anchors' public key infos, 20 octets each, one after another."""

    def encode(self) -> bytes:
        """Return the payload's body."""
        return bytes((self.encoding,)) + self.authorities

    @classmethod
    def decode(cls, body: bytes, offset: int) -> Self:
        """Read the payload's body, which lies at `offset` in the datagram.

        Raises:
            DecodeError: It is empty.
        """
        require(body, 1, offset, "Cert Encoding")
        return cls(_ENCODINGS.get(body[0], body[0]), body[1:])
