"""The ways to sign AUTH that are known, and their AlgorithmIdentifiers (RFC 7427, RFC 8420)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import product
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm

from perilune.crypto.keys import KeyKind
from perilune.model.iana import HashId


class RsaPadding(Enum):
    """How RSA signs (RFC 8017, section 8)."""

    PSS = "RSASSA-PSS"
    PKCS1 = "RSASSA-PKCS1-v1_5"


@dataclass(frozen=True, slots=True)
class SignatureScheme:
    """A way to sign."""

    kind: KeyKind
    hash: HashId
    identifiers: tuple[bytes, ...]
    """Its AlgorithmIdentifier in DER: first how we write it, then how others may; none where no peer may use
    it with method 14."""

    padding: RsaPadding | None = None
    """Of RSA."""

    def __str__(self) -> str:
        name = self.padding.value if self.padding else self.kind.value
        return name if self.hash is HashId.IDENTITY else f"{name} with {_HASH_NAMES[self.hash]}"


_HASH_NAMES: Final = {
    HashId.SHA1: "SHA-1",
    HashId.SHA2_256: "SHA-256",
    HashId.SHA2_384: "SHA-384",
    HashId.SHA2_512: "SHA-512",
}
HASHES: Final[dict[HashId, HashAlgorithm]] = {
    HashId.SHA1: SHA1(),  # noqa: S303 - for old peers, where a configuration names it
    HashId.SHA2_256: SHA256(),
    HashId.SHA2_384: SHA384(),
    HashId.SHA2_512: SHA512(),
}
"""The library's."""

SHA2: Final = (HashId.SHA2_256, HashId.SHA2_384, HashId.SHA2_512)
"""The hashes that are good enough unless another one is named."""


def _der(tag: int, *contents: bytes) -> bytes:
    """Return an element of DER whose length takes one octet."""
    body = b"".join(contents)
    return bytes((tag, len(body))) + body


def _oid(hexadecimal: str) -> bytes:
    return _der(0x06, bytes.fromhex(hexadecimal))


_NULL: Final = _der(0x05)
_RSA_OID: Final = "2a864886f70d0101"
_MGF1: Final = _oid(f"{_RSA_OID}08")
_HASH_OIDS: Final = {
    HashId.SHA2_256: _oid("608648016503040201"),
    HashId.SHA2_384: _oid("608648016503040202"),
    HashId.SHA2_512: _oid("608648016503040203"),
}
_PKCS1_OIDS: Final = {
    HashId.SHA2_256: _oid(f"{_RSA_OID}0b"),
    HashId.SHA2_384: _oid(f"{_RSA_OID}0c"),
    HashId.SHA2_512: _oid(f"{_RSA_OID}0d"),
}
_ECDSA_OIDS: Final = {
    HashId.SHA2_256: _oid("2a8648ce3d040302"),
    HashId.SHA2_384: _oid("2a8648ce3d040303"),
    HashId.SHA2_512: _oid("2a8648ce3d040304"),
}
_PURE_OIDS: Final = {
    KeyKind.ED25519: _oid("2b6570"),
    KeyKind.ED448: _oid("2b6571"),
    KeyKind.ML_DSA_44: _oid("608648016503040311"),
    KeyKind.ML_DSA_65: _oid("608648016503040312"),
    KeyKind.ML_DSA_87: _oid("608648016503040313"),
}
"""Algorithms that hash for themselves (RFC 8410; FIPS 204). That ML-DSA signs with the Identity hash in IKE
is still a draft, draft-ietf-ipsecme-ikev2-pqc-auth."""


def _pss_identifiers(hash_: HashId) -> Iterator[bytes]:
    """Yield the forms of id-RSASSA-PSS with one hash for all, and a salt as long as the hash.

    A hash may have NULL or no parameters (RFC 4055, section 2.1), and the trailer field may be written out,
    as in RFC 7427, section A.4.3, though DER leaves out what is the default.
    """
    forms = (_der(0x30, _HASH_OIDS[hash_], _NULL), _der(0x30, _HASH_OIDS[hash_]))
    salt = _der(0xA2, _der(0x02, bytes((HASHES[hash_].digest_size,))))
    trailers = (b"", _der(0xA3, _der(0x02, b"\1")))
    for trailer, digest, mask in product(trailers, forms, forms):
        parameters = (_der(0xA0, digest), _der(0xA1, _der(0x30, _MGF1, mask)), salt, trailer)
        yield _der(0x30, _oid(f"{_RSA_OID}0a"), _der(0x30, *parameters))


SCHEMES: Final = (
    *(SignatureScheme(kind, HashId.IDENTITY, (_der(0x30, oid),)) for kind, oid in _PURE_OIDS.items()),
    *(SignatureScheme(KeyKind.ECDSA, hash_, (_der(0x30, _ECDSA_OIDS[hash_]),)) for hash_ in SHA2),
    *(SignatureScheme(KeyKind.RSA, hash_, tuple(_pss_identifiers(hash_)), RsaPadding.PSS) for hash_ in SHA2),
    *(
        # RFC 4055, section 5: NULL is what is to be written, and its absence to be accepted.
        SignatureScheme(KeyKind.RSA, hash_, (_der(0x30, oid, _NULL), _der(0x30, oid)), RsaPadding.PKCS1)
        for hash_, oid in _PKCS1_OIDS.items()
    ),
    # For peers without RFC 7427: what method 1 has by default (RFC 7296, section 3.8).
    SignatureScheme(KeyKind.RSA, HashId.SHA1, (), RsaPadding.PKCS1),
)
"""All that are known, the best for a kind of key first."""
