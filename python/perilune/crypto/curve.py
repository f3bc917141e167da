"""Key exchange with Curve25519 and Curve448 (RFC 8031; RFC 7748)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from perilune.model.errors import PeerError
from perilune.model.iana import KeId, NotifyType
from perilune.model.random import Rng

PUBLIC_OCTETS: Final = {KeId.CURVE25519: 32, KeId.CURVE448: 56}
"""Length of a public value, and of a private key and a shared secret, in octets."""


def begin(method: KeId, rng: Rng) -> tuple[bytes, Callable[[bytes], bytes]]:
    """Return a public value, and the function that makes the secret from another of the right length.

    That function raises PeerError where the result would be zero.
    """
    private_octets = rng.octets(PUBLIC_OCTETS[method])
    return _x25519(private_octets) if method is KeId.CURVE25519 else _x448(private_octets)


def _x25519(private_octets: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    private = X25519PrivateKey.from_private_bytes(private_octets)

    def finish(peer_public: bytes) -> bytes:
        return _not_zero(lambda: private.exchange(X25519PublicKey.from_public_bytes(peer_public)))

    return private.public_key().public_bytes_raw(), finish


def _x448(private_octets: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    private = X448PrivateKey.from_private_bytes(private_octets)

    def finish(peer_public: bytes) -> bytes:
        return _not_zero(lambda: private.exchange(X448PublicKey.from_public_bytes(peer_public)))

    return private.public_key().public_bytes_raw(), finish


def _not_zero(exchange: Callable[[], bytes]) -> bytes:
    """Return the result of an exchange, which the primitive refuses to give where it is all zero."""
    try:
        return exchange()
    except ValueError as error:
        raise PeerError("a public value of small order", notify=NotifyType.INVALID_SYNTAX) from error
