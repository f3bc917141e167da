"""Pseudorandom functions and prf+ (RFC 7296, section 2.13; RFC 4868, RFC 4434, RFC 4615)."""

from __future__ import annotations

import hmac
from typing import Final

from perilune.crypto.aes_mac import aes_cmac_prf_128, aes_xcbc_prf_128
from perilune.model.errors import LocalError
from perilune.model.iana import PrfId
from perilune.model.secret import Secret

PRF_KEY_OCTETS: Final = {
    PrfId.PRF_HMAC_SHA1: 20,
    PrfId.PRF_AES128_XCBC: 16,
    PrfId.PRF_HMAC_SHA2_256: 32,
    PrfId.PRF_HMAC_SHA2_384: 48,
    PrfId.PRF_HMAC_SHA2_512: 64,
    PrfId.PRF_AES128_CMAC: 16,
}
"""Preferred key length of each PRF in octets, which is the length of its output."""

_HASHES: Final = {
    PrfId.PRF_HMAC_SHA1: "sha1",
    PrfId.PRF_HMAC_SHA2_256: "sha256",
    PrfId.PRF_HMAC_SHA2_384: "sha384",
    PrfId.PRF_HMAC_SHA2_512: "sha512",
}
_MOST_BLOCKS: Final = 255


def prf(prf_id: PrfId, key: bytes | Secret, data: bytes) -> bytes:
    """Return what the PRF makes of a key and data, as long as its preferred key."""
    match prf_id:
        case PrfId.PRF_AES128_CMAC:
            return aes_cmac_prf_128(_reveal(key), data)
        case PrfId.PRF_AES128_XCBC:
            return aes_xcbc_prf_128(_reveal(key), data)
        case _:
            return hmac.digest(_reveal(key), data, _HASHES[prf_id])


def prf_plus(prf_id: PrfId, key: bytes | Secret, seed: bytes, length: int) -> bytes:
    """Return the first octets of prf+(key, seed).

    Args:
        prf_id: The PRF to iterate.
        key: Its key, of any length.
        seed: S, put into each round.
        length: How many octets to return.

    Raises:
        LocalError: More than 255 times the PRF's output is wanted, for which prf+ is not defined.
    """
    if length > _MOST_BLOCKS * PRF_KEY_OCTETS[prf_id]:
        raise LocalError(f"prf+ of {prf_id.name} cannot give {length} octets")
    block = stream = b""
    round_ = 1
    while len(stream) < length:
        block = prf(prf_id, key, block + seed + bytes((round_,)))
        stream += block
        round_ += 1
    return stream[:length]


def _reveal(key: bytes | Secret) -> bytes:
    return key.reveal() if isinstance(key, Secret) else key
