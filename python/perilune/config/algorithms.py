"""The keywords of proposal strings, with those that swanctl.conf knows and that are not supported."""

from __future__ import annotations

import re

from perilune.model.iana import (
    ADDITIONAL_KEY_EXCHANGES,
    EncrId,
    IntegId,
    KeId,
    PrfId,
    SnId,
    TransformType,
)
from perilune.model.proposal import Transform


def _keywords() -> dict[str, Transform]:
    known: dict[str, Transform] = _encryption() | _integrity()
    known |= {name: Transform(TransformType.PRF, prf) for name, prf in _PRFS.items()}
    known |= {name: Transform(TransformType.KE, method) for name, method in _KEY_EXCHANGES.items()}
    for number, type_ in enumerate(ADDITIONAL_KEY_EXCHANGES, 1):
        methods = {"none": KeId.NONE, **_KEY_EXCHANGES}
        known |= {f"ke{number}_{name}": Transform(type_, method) for name, method in methods.items()}
    known["esn"] = Transform(TransformType.SN, SnId.PARTIALLY_TRANSMITTED_64)
    known["noesn"] = Transform(TransformType.SN, SnId.SEQUENTIAL_32)
    return known


def _encryption() -> dict[str, Transform]:
    known = {"aes": Transform(TransformType.ENCR, EncrId.ENCR_AES_CBC, 128)}
    for bits in (128, 192, 256):
        for suffix, id_ in _OF_AES.items():
            known[f"aes{bits}{suffix}"] = Transform(TransformType.ENCR, id_, bits)
        known[f"camellia{bits}"] = Transform(TransformType.ENCR, EncrId.ENCR_CAMELLIA_CBC, bits)
        known[f"blowfish{bits}"] = Transform(TransformType.ENCR, EncrId.ENCR_BLOWFISH, bits)
    for bits in (40, 128, 160):
        known[f"rc5_{bits}"] = Transform(TransformType.ENCR, EncrId.ENCR_RC5, bits)
    known["cast128"] = Transform(TransformType.ENCR, EncrId.ENCR_CAST, 128)
    return known | {name: Transform(TransformType.ENCR, id_) for name, id_ in _OF_ONE_LENGTH.items()}


def _integrity() -> dict[str, Transform]:
    return {name: Transform(TransformType.INTEG, id_) for name, id_ in _INTEGRITY.items()}


_OF_AES = {
    "": EncrId.ENCR_AES_CBC,
    "ctr": EncrId.ENCR_AES_CTR,
    # The ICV's length in octets, in bits, or not said, which is 16 octets (RFC 8221, section 5).
    "ccm8": EncrId.ENCR_AES_CCM_8,
    "ccm64": EncrId.ENCR_AES_CCM_8,
    "ccm12": EncrId.ENCR_AES_CCM_12,
    "ccm96": EncrId.ENCR_AES_CCM_12,
    "ccm16": EncrId.ENCR_AES_CCM_16,
    "ccm128": EncrId.ENCR_AES_CCM_16,
    "ccm": EncrId.ENCR_AES_CCM_16,
    "gcm8": EncrId.ENCR_AES_GCM_8,
    "gcm64": EncrId.ENCR_AES_GCM_8,
    "gcm12": EncrId.ENCR_AES_GCM_12,
    "gcm96": EncrId.ENCR_AES_GCM_12,
    "gcm16": EncrId.ENCR_AES_GCM_16,
    "gcm128": EncrId.ENCR_AES_GCM_16,
    "gcm": EncrId.ENCR_AES_GCM_16,
    "gmac": EncrId.ENCR_NULL_AUTH_AES_GMAC,
    "ccm8iiv": EncrId.ENCR_AES_CCM_8_IIV,
    "gcm16iiv": EncrId.ENCR_AES_GCM_16_IIV,
}
_OF_ONE_LENGTH = {
    "3des": EncrId.ENCR_3DES,
    "3idea": EncrId.PRIVATE_3IDEA,
    "chacha20poly1305": EncrId.ENCR_CHACHA20_POLY1305,
    "chacha20poly1305iiv": EncrId.ENCR_CHACHA20_POLY1305_IIV,
    "des": EncrId.ENCR_DES,
    "idea": EncrId.ENCR_IDEA,
    "null": EncrId.ENCR_NULL,
}
_INTEGRITY = {
    "aescmac": IntegId.AUTH_AES_CMAC_96,
    "aesxcbc": IntegId.AUTH_AES_XCBC_96,
    "md5": IntegId.AUTH_HMAC_MD5_96,
    "noauth": IntegId.NONE,
    "ripemd160": IntegId.PRIVATE_HMAC_RIPEMD_160_96,
    "sha": IntegId.AUTH_HMAC_SHA1_96,
    "sha1": IntegId.AUTH_HMAC_SHA1_96,
    "sha256": IntegId.AUTH_HMAC_SHA2_256_128,
    "sha2_256": IntegId.AUTH_HMAC_SHA2_256_128,
    "sha384": IntegId.AUTH_HMAC_SHA2_384_192,
    "sha2_384": IntegId.AUTH_HMAC_SHA2_384_192,
    "sha512": IntegId.AUTH_HMAC_SHA2_512_256,
    "sha2_512": IntegId.AUTH_HMAC_SHA2_512_256,
}
_PRFS = {
    "prfaescmac": PrfId.PRF_AES128_CMAC,
    "prfaesxcbc": PrfId.PRF_AES128_XCBC,
    "prfsha1": PrfId.PRF_HMAC_SHA1,
    "prfsha256": PrfId.PRF_HMAC_SHA2_256,
    "prfsha384": PrfId.PRF_HMAC_SHA2_384,
    "prfsha512": PrfId.PRF_HMAC_SHA2_512,
}
_KEY_EXCHANGES = {
    "modp2048": KeId.MODP_2048,
    "modp3072": KeId.MODP_3072,
    "modp4096": KeId.MODP_4096,
    "modp6144": KeId.MODP_6144,
    "modp8192": KeId.MODP_8192,
    "ecp256": KeId.ECP_256,
    "ecp384": KeId.ECP_384,
    "ecp521": KeId.ECP_521,
    "x25519": KeId.CURVE25519,
    "curve25519": KeId.CURVE25519,
    "x448": KeId.CURVE448,
    "curve448": KeId.CURVE448,
    "mlkem768": KeId.ML_KEM_768,
    "mlkem1024": KeId.ML_KEM_1024,
}

PRF_OF_INTEGRITY = {
    IntegId.AUTH_AES_CMAC_96: PrfId.PRF_AES128_CMAC,
    IntegId.AUTH_AES_XCBC_96: PrfId.PRF_AES128_XCBC,
    IntegId.AUTH_HMAC_SHA1_96: PrfId.PRF_HMAC_SHA1,
    IntegId.AUTH_HMAC_SHA2_256_128: PrfId.PRF_HMAC_SHA2_256,
    IntegId.AUTH_HMAC_SHA2_384_192: PrfId.PRF_HMAC_SHA2_384,
    IntegId.AUTH_HMAC_SHA2_512_256: PrfId.PRF_HMAC_SHA2_512,
}
"""The PRF that an IKE proposal without one gets from its integrity algorithms."""

KEYWORDS = _keywords()
"""Every word that a proposal for IKE or ESP may be made of."""

AH_KEYWORDS = {
    "aes128gmac": Transform(TransformType.INTEG, IntegId.AUTH_AES_128_GMAC),
    "aes192gmac": Transform(TransformType.INTEG, IntegId.AUTH_AES_192_GMAC),
    "aes256gmac": Transform(TransformType.INTEG, IntegId.AUTH_AES_256_GMAC),
}
"""Words that mean something else for AH, where a GMAC is an integrity algorithm (RFC 4543, section 5.3)."""

_BROKEN = re.compile(r"md5_128|prfmd5|modp(768|1024)|modp1024s160|ecp(192|224)")
"""What RFC 8221 and RFC 8247 say MUST NOT or SHOULD NOT be used, with others as weak."""

_NOT_YET = re.compile(
    r"camellia(128|192|256)?(ctr|ccm(8|12|16|64|96|128)?)|camellia|chacha20poly1305compat|serpent(128|192|256)?"
    r"|twofish(128|192|256)?|sha1?_160|sha256_96|sha2_256_96"
    r"|camelliaxcbc|prfcamelliaxcbc|modp1536|modp2048s(224|256)|modpnone|modpnull|ntru(112|128|192|256)"
    r"|newhope128|ecp(224|256|384|512)bp|mlkem512|kyber[1-5]|ke[1-7]_[a-z0-9_]+"
)


def refusal(word: str) -> str | None:
    """Return why a word that swanctl.conf knows is not taken here, or None where it knows it neither."""
    if _BROKEN.fullmatch(word):
        return "is too weak to be offered (RFC 8221, RFC 8247)"
    return "is known to swanctl.conf and not supported here yet" if _NOT_YET.fullmatch(word) else None
