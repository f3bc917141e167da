"""The keywords of proposal strings, with those that swanctl.conf knows and that are not supported."""

from __future__ import annotations

import re

from perilune.model.iana import EncrId, IntegId, KeId, PrfId, SnId, TransformType
from perilune.model.proposal import Transform


def _keywords() -> dict[str, Transform]:
    known: dict[str, Transform] = {"aes": Transform(TransformType.ENCR, EncrId.ENCR_AES_CBC, 128)}
    for bits in (128, 192, 256):
        known[f"aes{bits}"] = Transform(TransformType.ENCR, EncrId.ENCR_AES_CBC, bits)
        # The ICV's length in octets, in bits, or not said, which is 16 octets (RFC 8221, section 5).
        for suffix in ("gcm16", "gcm128", "gcm"):
            known[f"aes{bits}{suffix}"] = Transform(TransformType.ENCR, EncrId.ENCR_AES_GCM_16, bits)
    known["chacha20poly1305"] = Transform(TransformType.ENCR, EncrId.ENCR_CHACHA20_POLY1305)
    for bits, (integrity, prf) in _SHA2.items():
        known[f"sha{bits}"] = known[f"sha2_{bits}"] = Transform(TransformType.INTEG, integrity)
        known[f"prfsha{bits}"] = Transform(TransformType.PRF, prf)
    known |= {name: Transform(TransformType.KE, method) for name, method in _KEY_EXCHANGES.items()}
    known["esn"] = Transform(TransformType.SN, SnId.PARTIALLY_TRANSMITTED_64)
    known["noesn"] = Transform(TransformType.SN, SnId.SEQUENTIAL_32)
    return known


_SHA2 = {
    256: (IntegId.AUTH_HMAC_SHA2_256_128, PrfId.PRF_HMAC_SHA2_256),
    384: (IntegId.AUTH_HMAC_SHA2_384_192, PrfId.PRF_HMAC_SHA2_384),
    512: (IntegId.AUTH_HMAC_SHA2_512_256, PrfId.PRF_HMAC_SHA2_512),
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
}

PRF_OF_INTEGRITY = dict(_SHA2.values())
"""The PRF that an IKE proposal without one gets from its integrity algorithms."""

KEYWORDS = _keywords()
"""Every word that a proposal may be made of."""

_BROKEN = re.compile(
    r"null|des|md5(_128)?|prfmd5|modp(768|1024)|modp1024s160|ecp(192|224)|blowfish(128|192|256)?|cast128"
)
"""What RFC 8221 and RFC 8247 say MUST NOT or SHOULD NOT be used, with others as weak."""

_NOT_YET = re.compile(
    r"3des|aes(128|192|256)?(ctr|ccm(8|12|16|64|96|128)?|gcm(8|12|64|96)|gmac)"
    r"|camellia(128|192|256)?(ctr|ccm(8|12|16|64|96|128)?)?|chacha20poly1305compat|serpent(128|192|256)?"
    r"|twofish(128|192|256)?|sha1?(_160)?|sha256_96|sha2_256_96|aesxcbc|aescmac|prfsha1|prfaesxcbc|prfaescmac"
    r"|camelliaxcbc|prfcamelliaxcbc|modp1536|modp2048s(224|256)|modpnone|modpnull|ntru(112|128|192|256)"
    r"|newhope128|ecp(224|256|384|512)bp|mlkem(512|768|1024)|kyber[1-5]|ke[1-7]_[a-z0-9_]+"
)


def refusal(word: str) -> str | None:
    """Return why a word that swanctl.conf knows is not taken here, or None where it knows it neither."""
    if _BROKEN.fullmatch(word):
        return "is too weak to be offered (RFC 8221, RFC 8247)"
    return "is known to swanctl.conf and not supported here yet" if _NOT_YET.fullmatch(word) else None
