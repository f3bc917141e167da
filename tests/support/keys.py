"""Key pairs for tests, made once in a run: RSA takes its time."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from perilune.crypto.keys import PrivateKey

_CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
_PURE = {
    "Ed25519": ed25519.Ed25519PrivateKey,
    "Ed448": ed448.Ed448PrivateKey,
    "ML-DSA-44": mldsa.MLDSA44PrivateKey,
    "ML-DSA-65": mldsa.MLDSA65PrivateKey,
    "ML-DSA-87": mldsa.MLDSA87PrivateKey,
}
KINDS = ("RSA", *_CURVES, *_PURE)
"""What `key_pair` makes."""


@cache
def key_pair(kind: str, which: int = 0) -> PrivateKey:
    """Return a key; another `which` is another key."""
    if kind == "RSA":
        return PrivateKey(rsa.generate_private_key(65537, 2048))
    if kind in _CURVES:
        return PrivateKey(ec.generate_private_key(_CURVES[kind]()))
    return PrivateKey(_PURE[kind].generate())


def private_pem(key: PrivateKey, passphrase: str = "") -> bytes:
    """Return a key as a file of PKCS#8, encrypted if there is a passphrase."""
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.raw.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def public_pem(key: PrivateKey) -> bytes:
    """Return its public half as a file."""
    return key.public.raw.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
