"""AES-CMAC (RFC 4493) and AES-XCBC-MAC (RFC 3566), and the PRFs made of them (RFC 4615, RFC 4434)."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.cmac import CMAC

_BLOCK_OCTETS: Final = 16
_ZEROS: Final = bytes(_BLOCK_OCTETS)


def aes_cmac(key: bytes, data: bytes) -> bytes:
    """Return the AES-CMAC of data, 16 octets.

    Args:
        key: 16, 24 or 32 octets.
        data: What to protect.
    """
    mac = CMAC(AES(key))
    mac.update(data)
    return mac.finalize()


def aes_xcbc_mac(key: bytes, data: bytes) -> bytes:
    """Return the AES-XCBC-MAC of data, 16 octets.

    Args:
        key: 16 octets.
        data: What to protect.
    """
    chained_with, for_whole, for_short = (_encrypted(key, bytes((n,)) * _BLOCK_OCTETS) for n in (1, 2, 3))
    start = max(0, (len(data) - 1) // _BLOCK_OCTETS * _BLOCK_OCTETS)
    last = data[start:]
    if len(last) == _BLOCK_OCTETS:
        last = _xor(last, for_whole)
    else:
        last = _xor((last + b"\x80").ljust(_BLOCK_OCTETS, b"\0"), for_short)
    encryptor = Cipher(AES(chained_with), CBC(_ZEROS)).encryptor()
    return (encryptor.update(data[:start] + last) + encryptor.finalize())[-_BLOCK_OCTETS:]


def aes_cmac_prf_128(key: bytes, data: bytes) -> bytes:
    """Return AES-CMAC-PRF-128 of a key of any length (RFC 4615, section 3)."""
    return aes_cmac(key if len(key) == _BLOCK_OCTETS else aes_cmac(_ZEROS, key), data)


def aes_xcbc_prf_128(key: bytes, data: bytes) -> bytes:
    """Return AES-XCBC-PRF-128 of a key of any length (RFC 4434, section 2)."""
    if len(key) > _BLOCK_OCTETS:
        key = aes_xcbc_mac(_ZEROS, key)
    return aes_xcbc_mac(key.ljust(_BLOCK_OCTETS, b"\0"), data)


def _encrypted(key: bytes, block: bytes) -> bytes:
    # ECB of one constant block is the bare cipher, which RFC 3566 makes its keys of.
    encryptor = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 - one block
    return encryptor.update(block) + encryptor.finalize()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
