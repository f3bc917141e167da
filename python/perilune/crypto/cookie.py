"""Cookies that need no memory of the request they answer (RFC 7296, section 2.6).

```
Cookie = <VersionIDofSecret> | HMAC-SHA-256(<secret>, SPIi | length of IPi | IPi | Ni)
            1 octet              32 octets
```
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final, Self

from perilune.model.address import IpAddress
from perilune.model.random import Rng
from perilune.model.secret import Secret
from perilune.model.spi import IkeSpi

_SECRET_OCTETS: Final = 32
_VERSIONS: Final = 256


@dataclass(frozen=True, slots=True)
class CookieSecrets:
    """The secret that makes cookies, and the one before it, whose cookies are still good.

    It never changes; `rotated` returns its successor, and the caller chooses when.
    """

    version: int
    """VersionIDofSecret of `current`, one octet; the previous one's is one less, modulo 256."""

    current: Secret
    previous: Secret | None = None

    @classmethod
    def generate(cls, rng: Rng) -> Self:
        """Return a first secret."""
        return cls(0, Secret(rng.octets(_SECRET_OCTETS)))

    def rotated(self, rng: Rng) -> CookieSecrets:
        """Return a new secret behind this one; cookies of the one before this one are good no more."""
        version = (self.version + 1) % _VERSIONS
        return CookieSecrets(version, Secret(rng.octets(_SECRET_OCTETS)), self.current)

    def cookie(self, nonce_i: bytes, address: IpAddress, spi_i: IkeSpi) -> bytes:
        """Return the data of a COOKIE notify, 33 octets.

        Args:
            nonce_i: Ni of the request without its payload header.
            address: Where the request came from.
            spi_i: The initiator's SPI.
        """
        return _cookie(self.version, self.current, nonce_i, address, spi_i)

    def accept(self, cookie: bytes, nonce_i: bytes, address: IpAddress, spi_i: IkeSpi) -> bool:
        """Whether a cookie was made for such a request by one of the two secrets.

        One that was not is to be ignored, as if the request had none.
        """
        good = hmac.compare_digest(cookie, self.cookie(nonce_i, address, spi_i))
        if self.previous is not None:
            version = (self.version - 1) % _VERSIONS
            older = _cookie(version, self.previous, nonce_i, address, spi_i)
            good |= hmac.compare_digest(cookie, older)
        return good


def _cookie(version: int, secret: Secret, nonce_i: bytes, address: IpAddress, spi_i: IkeSpi) -> bytes:
    packed = address.packed
    data = spi_i.to_bytes(8) + bytes((len(packed),)) + packed + nonce_i
    return bytes((version,)) + hmac.digest(secret.reveal(), data, "sha256")
