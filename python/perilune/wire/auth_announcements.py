"""The data of SUPPORTED_AUTH_METHODS: announcements of authentication methods (RFC 9593, section 3.2).

```
 0                   1                   2                   3
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|    Length     |  Auth Method  |   Cert Link   |               |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+               |
~                    AlgorithmIdentifier                        ~
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
```

What a method does not need is not there: a secret has no Cert Link, an older signature no algorithm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from perilune.model.errors import DecodeError

_LEAST_OCTETS: Final = 2
_FIELD: Final = "SUPPORTED_AUTH_METHODS"


@dataclass(frozen=True, slots=True)
class AuthAnnouncement:
    """One method that its sender takes."""

    method: int
    cert_link: int | None = None
    """Which authority of CERTREQ it is for, counted from 1; 0 is any; None where the method has none."""

    identifier: bytes = b""
    """The AlgorithmIdentifier in DER, where the method has one; then there is a Cert Link too."""

    def encode(self) -> bytes:
        """Return the announcement."""
        link = b"" if self.cert_link is None else bytes((self.cert_link,))
        body = bytes((self.method,)) + link + self.identifier
        return bytes((1 + len(body),)) + body


def encode_auth_announcements(announcements: Iterable[AuthAnnouncement]) -> bytes:
    """Return the Notification Data."""
    return b"".join(announcement.encode() for announcement in announcements)


def decode_auth_announcements(data: bytes) -> tuple[AuthAnnouncement, ...]:
    """Read the Notification Data.

    Raises:
        DecodeError: A length leads behind the end, or is too small; its offset counts from the start of the
            data.
    """
    found: list[AuthAnnouncement] = []
    offset = 0
    while offset < len(data):
        length = data[offset]
        if length < _LEAST_OCTETS or offset + length > len(data):
            raise DecodeError(f"an announcement of {length} octets", offset=offset, field=_FIELD)
        method, rest = data[offset + 1], data[offset + 2 : offset + length]
        found.append(AuthAnnouncement(method, rest[0] if rest else None, rest[1:]))
        offset += length
    return tuple(found)
