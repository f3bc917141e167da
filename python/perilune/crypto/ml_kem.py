"""Key exchange with ML-KEM (FIPS 203; draft-ietf-ipsecme-ikev2-mlkem).

The initiator's share is an encapsulation key, made for this exchange alone, and the responder's is a
ciphertext that only the owner of that key can open: the two differ in length, and the second depends on the
first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
    MLKEM1024PrivateKey,
    MLKEM1024PublicKey,
)

from perilune.model.errors import PeerError
from perilune.model.iana import KeId, NotifyType
from perilune.model.random import Rng

KEY_OCTETS: Final = {KeId.ML_KEM_768: 1184, KeId.ML_KEM_1024: 1568}
"""Length of an encapsulation key in octets."""

CIPHERTEXT_OCTETS: Final = {KeId.ML_KEM_768: 1088, KeId.ML_KEM_1024: 1568}
"""Length of a ciphertext in octets; a shared secret has 32."""

_SEED_OCTETS: Final = 64
"""d and z, from which the key pair is made (FIPS 203, section 7.1)."""

_PrivateKey = type[MLKEM768PrivateKey] | type[MLKEM1024PrivateKey]
_PublicKey = type[MLKEM768PublicKey] | type[MLKEM1024PublicKey]

_PRIVATE_KEYS: Final[dict[KeId, _PrivateKey]] = {
    KeId.ML_KEM_768: MLKEM768PrivateKey,
    KeId.ML_KEM_1024: MLKEM1024PrivateKey,
}
_PUBLIC_KEYS: Final[dict[KeId, _PublicKey]] = {
    KeId.ML_KEM_768: MLKEM768PublicKey,
    KeId.ML_KEM_1024: MLKEM1024PublicKey,
}


def begin(method: KeId, rng: Rng) -> tuple[bytes, Callable[[bytes], bytes]]:
    """Return an encapsulation key, and the function that opens a ciphertext of the right length.

    A ciphertext that was not made for this key opens too, to a secret that nobody else has (FIPS 203, section
    6.3): what is protected with it then fails.
    """
    private = _PRIVATE_KEYS[method].from_seed_bytes(rng.octets(_SEED_OCTETS))
    return private.public_key().public_bytes_raw(), private.decapsulate


def respond(method: KeId, share: bytes, _rng: Rng) -> tuple[bytes, bytes]:
    """Return a ciphertext for the owner of an encapsulation key of the right length, and the secret in it.

    The library draws what it needs by itself, so that one seed does not give the same ciphertext twice.

    Raises:
        PeerError: The key holds a number that is not below the modulus (FIPS 203, section 7.2).
    """
    try:
        secret, ciphertext = _PUBLIC_KEYS[method].from_public_bytes(share).encapsulate()
    except ValueError as error:
        raise PeerError(
            f"a value that is no encapsulation key of {method.name}", notify=NotifyType.INVALID_SYNTAX
        ) from error
    return ciphertext, secret
