"""Key pairs for signatures: what they are, and the files they come from (RFC 5280, RFC 5958, RFC 7468)."""

from __future__ import annotations

from enum import Enum
from hashlib import sha256
from typing import Final, final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from perilune.model.errors import LocalError
from perilune.model.secret import Secret

LEAST_RSA_BITS: Final = 2048
"""Shorter keys should not be used (RFC 8247, section 3.1.1)."""

MOST_RSA_BITS: Final = 16384
"""Longer ones cost seconds."""

_CURVES: Final = {"secp256r1": 256, "secp384r1": 384, "secp521r1": 521}
_PEM: Final = b"-----BEGIN "


class KeyKind(Enum):
    """Kinds of keys, under the names that messages give them."""

    RSA = "RSA"
    ECDSA = "ECDSA"
    ED25519 = "Ed25519"
    ED448 = "Ed448"
    ML_DSA_44 = "ML-DSA-44"
    ML_DSA_65 = "ML-DSA-65"
    ML_DSA_87 = "ML-DSA-87"


RawPrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
    | mldsa.MLDSA44PrivateKey
    | mldsa.MLDSA65PrivateKey
    | mldsa.MLDSA87PrivateKey
)
RawPublicKey = (
    rsa.RSAPublicKey
    | ec.EllipticCurvePublicKey
    | ed25519.Ed25519PublicKey
    | ed448.Ed448PublicKey
    | mldsa.MLDSA44PublicKey
    | mldsa.MLDSA65PublicKey
    | mldsa.MLDSA87PublicKey
)

_FIXED: Final = (
    (ed25519.Ed25519PublicKey, KeyKind.ED25519, 256),
    (ed448.Ed448PublicKey, KeyKind.ED448, 456),
    (mldsa.MLDSA44PublicKey, KeyKind.ML_DSA_44, 44),
    (mldsa.MLDSA65PublicKey, KeyKind.ML_DSA_65, 65),
    (mldsa.MLDSA87PublicKey, KeyKind.ML_DSA_87, 87),
)
"""Kinds whose keys have all the same size, in bits; that of ML-DSA is the number in its name."""


class KeyFileError(LocalError):
    """What should be a key is none that can be used; the message quotes nothing of it."""


class EncryptedKeyError(KeyFileError):
    """A private key is encrypted, and there is no secret for it, or a wrong one."""


@final
class PublicKey:
    """A public key; two are equal if their SubjectPublicKeyInfo is.

    Args:
        raw: The library's.

    Raises:
        KeyFileError: It is of a kind or size that cannot be used.
    """

    __slots__ = ("bits", "info", "kind", "raw")

    def __init__(self, raw: RawPublicKey) -> None:
        self.raw: Final = raw
        kind, bits = _measure(raw)
        self.kind: Final = kind
        self.bits: Final = bits
        self.info: Final = raw.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @classmethod
    def read(cls, octets: bytes) -> PublicKey:
        """Read a file: PEM or DER, a SubjectPublicKeyInfo or, for RSA, an RSAPublicKey of PKCS#1.

        Raises:
            KeyFileError: There is no key in it that can be used.
        """
        load = load_pem_public_key if octets.lstrip().startswith(_PEM) else load_der_public_key
        try:
            raw = load(octets)
        except (ValueError, UnsupportedAlgorithm):
            raise KeyFileError("this is no public key in PEM or DER") from None
        if not isinstance(raw, RawPublicKey):
            raise _wrong_kind()
        return cls(raw)

    @property
    def fingerprint(self) -> str:
        """The first octets of the SHA-256 of its SubjectPublicKeyInfo, in hexadecimal."""
        return sha256(self.info).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.info == other.info

    def __hash__(self) -> int:
        return hash(self.info)

    def __str__(self) -> str:
        size = f" {self.bits}" if self.kind in {KeyKind.RSA, KeyKind.ECDSA} else ""
        return f"{self.kind.value}{size} {self.fingerprint}"

    def __repr__(self) -> str:
        return f"PublicKey({self})"


@final
class PrivateKey:
    """A private key that does not show itself; two are equal if their public keys are.

    Args:
        raw: The library's.

    Raises:
        KeyFileError: It is of a kind or size that cannot be used.
    """

    __slots__ = ("public", "raw")

    def __init__(self, raw: RawPrivateKey) -> None:
        self.raw: Final = raw
        self.public: Final = PublicKey(raw.public_key())

    @classmethod
    def read(cls, octets: bytes, passphrase: Secret | None = None) -> PrivateKey:
        """Read a file: PEM or DER, PKCS#8 or the older forms of RSA and EC keys, encrypted or not.

        Raises:
            EncryptedKeyError: It needs another passphrase than it was given.
            KeyFileError: There is no key in it that can be used.
        """
        load = load_pem_private_key if octets.lstrip().startswith(_PEM) else load_der_private_key
        try:
            raw: object = load(octets, None)
        except TypeError:
            raw = _decrypt(octets, passphrase)
        except (ValueError, UnsupportedAlgorithm):
            raise KeyFileError("this is no private key in PEM or DER, of PKCS#1, PKCS#8 or SEC 1") from None
        if not isinstance(raw, RawPrivateKey):
            raise _wrong_kind()
        return cls(raw)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PrivateKey) and self.public == other.public

    def __hash__(self) -> int:
        return hash(self.public)

    def __repr__(self) -> str:
        return f"PrivateKey({self.public})"


def _decrypt(octets: bytes, passphrase: Secret | None) -> object:
    if passphrase is None:
        raise EncryptedKeyError("the key is encrypted, and there is no secret for it")
    load = load_pem_private_key if octets.lstrip().startswith(_PEM) else load_der_private_key
    try:
        return load(octets, passphrase.reveal())
    except (ValueError, UnsupportedAlgorithm):
        raise EncryptedKeyError("the secret does not open the key") from None


def _measure(raw: RawPublicKey) -> tuple[KeyKind, int]:
    match raw:
        case rsa.RSAPublicKey():
            if not LEAST_RSA_BITS <= raw.key_size <= MOST_RSA_BITS:
                raise KeyFileError(
                    f"an RSA key has {LEAST_RSA_BITS} to {MOST_RSA_BITS} bits, not {raw.key_size}"
                )
            return KeyKind.RSA, raw.key_size
        case ec.EllipticCurvePublicKey():
            if raw.curve.name not in _CURVES:
                raise KeyFileError(f"curve {raw.curve.name} is none of P-256, P-384, P-521")
            return KeyKind.ECDSA, _CURVES[raw.curve.name]
    return next((kind, bits) for type_, kind, bits in _FIXED if isinstance(raw, type_))


def _wrong_kind() -> KeyFileError:
    return KeyFileError("the key is not of a kind for signatures: RSA, ECDSA, Ed25519, Ed448 and ML-DSA are")
