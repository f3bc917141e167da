"""Integrity algorithms of IKE's own messages (RFC 7296, section 3.14)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from perilune.crypto.aes_mac import aes_cmac, aes_xcbc_mac
from perilune.model.algorithms import INTEGRITY
from perilune.model.errors import PeerError
from perilune.model.iana import IntegId


def _hmac(name: str) -> Callable[[bytes, bytes], bytes]:
    return lambda key, data: hmac.digest(key, data, name)


_MACS: Final[Mapping[IntegId, Callable[[bytes, bytes], bytes]]] = MappingProxyType(
    {
        IntegId.AUTH_AES_CMAC_96: aes_cmac,
        IntegId.AUTH_AES_XCBC_96: aes_xcbc_mac,
        IntegId.AUTH_HMAC_SHA1_96: _hmac("sha1"),
        IntegId.AUTH_HMAC_SHA2_256_128: _hmac("sha256"),
        IntegId.AUTH_HMAC_SHA2_384_192: _hmac("sha384"),
        IntegId.AUTH_HMAC_SHA2_512_256: _hmac("sha512"),
    }
)


class IntegrityKey:
    """An integrity algorithm of an IKE SA and the key of one direction.

    Args:
        integrity: One that an IKE SA may use, and not NONE.
        key: As long as the algorithm's key.
    """

    __slots__ = ("_key", "_mac", "icv_octets")

    icv_octets: int
    """Length of the Integrity Checksum Data."""

    def __init__(self, integrity: IntegId, key: bytes) -> None:
        self._key: Final = key
        self._mac: Final = _MACS[integrity]
        self.icv_octets = INTEGRITY[integrity].icv_octets

    def icv(self, data: bytes) -> bytes:
        """Return the ICV of data."""
        return self._mac(self._key, data)[: self.icv_octets]

    def check(self, data: bytes, icv: bytes) -> None:
        """Compare an ICV in constant time.

        Raises:
            PeerError: It is not that of the data.
        """
        if not hmac.compare_digest(self.icv(data), icv):
            raise PeerError("an encrypted payload does not fit its checksum")
