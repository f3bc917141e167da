"""Key exchange with the NIST curves P-256, P-384 and P-521 (RFC 5903).

A public value is x, then y, each as long as the field; the shared secret is the common point's x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurve,
    EllipticCurvePublicKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from perilune.model.errors import PeerError
from perilune.model.iana import KeId, NotifyType
from perilune.model.random import Rng

PUBLIC_OCTETS: Final = {KeId.ECP_256: 64, KeId.ECP_384: 96, KeId.ECP_521: 132}
"""Length of a public value in octets."""

_UNCOMPRESSED: Final = b"\x04"
_CURVES: Final[dict[KeId, EllipticCurve]] = {
    KeId.ECP_256: SECP256R1(),
    KeId.ECP_384: SECP384R1(),
    KeId.ECP_521: SECP521R1(),
}


def begin(method: KeId, rng: Rng) -> tuple[bytes, Callable[[bytes], bytes]]:
    """Return a public value, and the function that makes the secret from another of the right length.

    That function raises PeerError where the value is no point of the curve (RFC 6989, section 2.3).
    """
    curve = _CURVES[method]
    private = derive_private_key(_private_number(curve.group_order, rng), curve)
    public = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def finish(peer_public: bytes) -> bytes:
        try:
            point = EllipticCurvePublicKey.from_encoded_point(curve, _UNCOMPRESSED + peer_public)
        except ValueError as error:
            raise PeerError(
                f"a public value that is no point of {method.name}", notify=NotifyType.INVALID_SYNTAX
            ) from error
        return private.exchange(ECDH(), point)

    return public[1:], finish


def _private_number(order: int, rng: Rng) -> int:
    """Return a number from 1 to `order` - 1, each as likely, by drawing again where one is out of range."""
    bits = order.bit_length()
    octets = (bits + 7) // 8
    while True:
        number = int.from_bytes(rng.octets(octets)) & ((1 << bits) - 1)
        if 0 < number < order:
            return number
