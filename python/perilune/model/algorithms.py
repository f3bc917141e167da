"""What is known of each algorithm: lengths, salts, where it may be used, and whether it still should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from perilune.model.iana import EncrId, IntegId


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionAlgorithm:
    """An encryption algorithm."""

    key_bits: frozenset[int]
    """Lengths that its key may have, with parity bits and without salt or nonce."""

    sends_key_bits: bool = True
    """Whether its transform has a Key Length attribute, as those with one length must not (RFC 7296,
    section 3.3.5)."""

    salt_octets: int = 0
    """Octets of salt or nonce that are derived behind the key."""

    is_combined: bool = False
    """Whether it authenticates too, and so comes with no integrity transform (RFC 5282)."""

    in_ike: bool = False
    """Whether an IKE SA may use it here."""

    needs_integrity: bool = False
    """Whether there is no use for it alone: NULL, and the counter mode (RFC 3686, section 7)."""

    is_insecure: bool = False
    """Whether it is for old peers only (RFC 8221, section 5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityAlgorithm:
    """An integrity algorithm."""

    key_octets: int
    """Length of its key, with a GMAC's salt."""

    icv_octets: int
    """Length of its ICV, without a GMAC's IV."""

    in_esp: bool = True
    in_ike: bool = False
    """Whether an IKE SA may use it here."""

    is_insecure: bool = False
    """Whether it is for old peers only (RFC 8221, section 6)."""


_AES: Final = frozenset({128, 192, 256})


def _fixed(
    bits: int, *, salt_octets: int = 0, is_combined: bool = False, in_ike: bool = False
) -> EncryptionAlgorithm:
    return EncryptionAlgorithm(
        key_bits=frozenset({bits}),
        sends_key_bits=False,
        salt_octets=salt_octets,
        is_combined=is_combined,
        in_ike=in_ike,
    )


def _old(bits: frozenset[int], *, sends_key_bits: bool = True, in_ike: bool = False) -> EncryptionAlgorithm:
    return EncryptionAlgorithm(key_bits=bits, sends_key_bits=sends_key_bits, in_ike=in_ike, is_insecure=True)


def _combined(salt_octets: int, *, in_ike: bool = False) -> EncryptionAlgorithm:
    return EncryptionAlgorithm(key_bits=_AES, salt_octets=salt_octets, is_combined=True, in_ike=in_ike)


def _octets(least: int, most: int) -> frozenset[int]:
    return frozenset(range(least, most + 1, 8))


ENCRYPTION: Final[Mapping[EncrId, EncryptionAlgorithm]] = MappingProxyType(
    {
        EncrId.ENCR_DES: _old(frozenset({64}), sends_key_bits=False),
        EncrId.ENCR_3DES: _old(frozenset({192}), sends_key_bits=False, in_ike=True),
        EncrId.ENCR_RC5: _old(frozenset({40, 128, 160})),
        EncrId.ENCR_IDEA: _old(frozenset({128}), sends_key_bits=False),
        EncrId.ENCR_CAST: _old(_octets(40, 128)),
        EncrId.ENCR_BLOWFISH: _old(_octets(40, 448)),
        EncrId.ENCR_NULL: EncryptionAlgorithm(
            key_bits=frozenset({0}), sends_key_bits=False, needs_integrity=True
        ),
        EncrId.ENCR_AES_CBC: EncryptionAlgorithm(key_bits=_AES, in_ike=True),
        EncrId.ENCR_AES_CTR: EncryptionAlgorithm(
            key_bits=_AES, salt_octets=4, in_ike=True, needs_integrity=True
        ),
        EncrId.ENCR_AES_CCM_8: _combined(3, in_ike=True),
        EncrId.ENCR_AES_CCM_12: _combined(3, in_ike=True),
        EncrId.ENCR_AES_CCM_16: _combined(3, in_ike=True),
        EncrId.ENCR_AES_GCM_8: _combined(4),
        EncrId.ENCR_AES_GCM_12: _combined(4, in_ike=True),
        EncrId.ENCR_AES_GCM_16: _combined(4, in_ike=True),
        EncrId.ENCR_NULL_AUTH_AES_GMAC: _combined(4),
        EncrId.ENCR_CAMELLIA_CBC: EncryptionAlgorithm(key_bits=_AES, in_ike=True),
        EncrId.ENCR_CHACHA20_POLY1305: _fixed(256, salt_octets=4, is_combined=True, in_ike=True),
        EncrId.ENCR_AES_CCM_8_IIV: _combined(3),
        EncrId.ENCR_AES_GCM_16_IIV: _combined(4),
        EncrId.ENCR_CHACHA20_POLY1305_IIV: _fixed(256, salt_octets=4, is_combined=True),
        EncrId.PRIVATE_3IDEA: _old(frozenset({384}), sends_key_bits=False),
    }
)
"""Every encryption algorithm there is here."""


def _gmac(key_octets: int) -> IntegrityAlgorithm:
    return IntegrityAlgorithm(key_octets=key_octets + 4, icv_octets=16, in_esp=False)


INTEGRITY: Final[Mapping[IntegId, IntegrityAlgorithm]] = MappingProxyType(
    {
        IntegId.NONE: IntegrityAlgorithm(key_octets=0, icv_octets=0, in_ike=True),
        IntegId.AUTH_HMAC_MD5_96: IntegrityAlgorithm(key_octets=16, icv_octets=12, is_insecure=True),
        IntegId.AUTH_HMAC_SHA1_96: IntegrityAlgorithm(key_octets=20, icv_octets=12, in_ike=True),
        IntegId.AUTH_AES_XCBC_96: IntegrityAlgorithm(key_octets=16, icv_octets=12, in_ike=True),
        IntegId.AUTH_AES_CMAC_96: IntegrityAlgorithm(key_octets=16, icv_octets=12, in_ike=True),
        IntegId.AUTH_AES_128_GMAC: _gmac(16),
        IntegId.AUTH_AES_192_GMAC: _gmac(24),
        IntegId.AUTH_AES_256_GMAC: _gmac(32),
        IntegId.AUTH_HMAC_SHA2_256_128: IntegrityAlgorithm(key_octets=32, icv_octets=16, in_ike=True),
        IntegId.AUTH_HMAC_SHA2_384_192: IntegrityAlgorithm(key_octets=48, icv_octets=24, in_ike=True),
        IntegId.AUTH_HMAC_SHA2_512_256: IntegrityAlgorithm(key_octets=64, icv_octets=32, in_ike=True),
        IntegId.PRIVATE_HMAC_RIPEMD_160_96: IntegrityAlgorithm(
            key_octets=20, icv_octets=12, is_insecure=True
        ),
    }
)
"""Every integrity algorithm there is here, and NONE."""
