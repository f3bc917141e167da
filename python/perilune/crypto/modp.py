"""Key exchange modulo a prime (RFC 3526; RFC 7296, section 3.4 and appendix B).

Public values and shared secrets are as long as the modulus, with zeros in front where they are shorter.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Final

from cryptography.utils import CryptographyDeprecationWarning

from perilune.crypto.modp_primes import PRIMES
from perilune.model.errors import PeerError
from perilune.model.iana import KeId, NotifyType
from perilune.model.random import Rng

with warnings.catch_warnings():
    # The library advises curves; peers that have none are why these groups are here.
    warnings.simplefilter("ignore", CryptographyDeprecationWarning)
    from cryptography.hazmat.primitives.asymmetric.dh import (
        DHParameterNumbers,
        DHPrivateKey,
        DHPrivateNumbers,
        DHPublicKey,
        DHPublicNumbers,
    )

PUBLIC_OCTETS: Final = {method: prime.bit_length() // 8 for method, prime in PRIMES.items()}
"""Length of a public value and of a shared secret, in octets."""

_GENERATOR: Final = 2
_EXPONENT_OCTETS: Final = {
    KeId.MODP_2048: 40,
    KeId.MODP_3072: 53,
    KeId.MODP_4096: 60,
    KeId.MODP_6144: 68,
    KeId.MODP_8192: 78,
}
"""Length of a private exponent: the second, larger estimate of RFC 3526, section 8, in whole octets."""


def begin(method: KeId, rng: Rng) -> tuple[bytes, Callable[[bytes], bytes]]:
    """Return a public value, and the function that makes the secret from another of the right length.

    That function raises PeerError where the value is not between 1 and p - 1 (RFC 6989, section 2.1),
    or OpenSSL refuses it.
    """
    prime = PRIMES[method]
    private = _private_key(prime, rng.octets(_EXPONENT_OCTETS[method]))

    def finish(peer_public: bytes) -> bytes:
        number = int.from_bytes(peer_public)
        if not 1 < number < prime - 1:
            raise _refusal(method)
        try:
            return private.exchange(_public_key(prime, number))
        except ValueError as error:
            raise _refusal(method) from error

    # `cryptography` makes no public value of a given exponent, but g to that exponent is what an exchange
    # with the value g gives, in constant time.
    return private.exchange(_public_key(prime, _GENERATOR)), finish


def _refusal(method: KeId) -> PeerError:
    return PeerError(f"a public value that is none of {method.name}", notify=NotifyType.INVALID_SYNTAX)


def _private_key(prime: int, octets: bytes) -> DHPrivateKey:
    # The highest bit is set, so that every exponent has the same length and none is zero.
    exponent = int.from_bytes(octets) | 1 << (8 * len(octets) - 1)
    with warnings.catch_warnings():
        _accept_finite_fields()
        numbers = DHPublicNumbers(_GENERATOR, DHParameterNumbers(prime, _GENERATOR))
        return DHPrivateNumbers(exponent, numbers).private_key()


def _public_key(prime: int, number: int) -> DHPublicKey:
    with warnings.catch_warnings():
        _accept_finite_fields()
        return DHPublicNumbers(number, DHParameterNumbers(prime, _GENERATOR)).public_key()


def _accept_finite_fields() -> None:
    """Silence the advice, as at the import above."""
    warnings.simplefilter("ignore", CryptographyDeprecationWarning)
