"""Which ways to sign will do, and which one to take (RFC 7427, section 4; RFC 4754, section 4)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from perilune.crypto.keys import KeyKind, PublicKey
from perilune.crypto.signature_schemes import SCHEMES, SHA2, RsaPadding, SignatureScheme
from perilune.model.errors import LocalError
from perilune.model.iana import AuthMethod, HashId

_CURVE_METHODS: Final = {
    256: (AuthMethod.ECDSA_256, HashId.SHA2_256),
    384: (AuthMethod.ECDSA_384, HashId.SHA2_384),
    521: (AuthMethod.ECDSA_521, HashId.SHA2_512),
}
"""Methods that are for one curve and one hash, by the bits of the curve (RFC 4754, section 4)."""


@dataclass(frozen=True, slots=True)
class SchemeRule:
    """Which keys and schemes are good enough: one phrase of a configuration's `auth`."""

    kinds: frozenset[KeyKind] = frozenset(KeyKind)
    paddings: tuple[RsaPadding, ...] = (RsaPadding.PSS, RsaPadding.PKCS1)
    """Of RSA, the one to sign with first."""

    least_bits: int = 0
    hashes: tuple[HashId, ...] = ()
    """The one to sign with first; none is every hash of SHA-2, the one as strong as the key first."""

    def takes(self, key: PublicKey) -> bool:
        """Whether a key is of a kind and a size that will do."""
        return key.kind in self.kinds and key.bits >= self.least_bits

    def schemes(self, key: PublicKey) -> list[SignatureScheme]:
        """Return the schemes for a key, the one to sign with first."""
        if not self.takes(key):
            return []
        found = [one for one in SCHEMES if one.kind is key.kind and self._allows(one)]
        return sorted(found, key=lambda one: self._rank(one, key))

    def _allows(self, scheme: SignatureScheme) -> bool:
        if scheme.padding is not None and scheme.padding not in self.paddings:
            return False
        return scheme.hash is HashId.IDENTITY or scheme.hash in (self.hashes or SHA2)

    def _rank(self, scheme: SignatureScheme, key: PublicKey) -> tuple[int, int]:
        paddings = self.paddings.index(scheme.padding) if scheme.padding else 0
        if scheme.hash in self.hashes:
            return paddings, self.hashes.index(scheme.hash)
        fitting = _fitting_hash(key)
        return paddings, (scheme.hash - fitting) % len(HashId)


Rules = tuple[SchemeRule, ...]
"""Any of them will do."""

ANY_SCHEME: Final[Rules] = (SchemeRule(),)


def schemes_for(key: PublicKey, rules: Rules) -> list[SignatureScheme]:
    """Return what some rule allows a key to sign with, the best first."""
    return list(dict.fromkeys(scheme for rule in rules for scheme in rule.schemes(key)))


def hashes_for(keys: Iterable[PublicKey], rules: Rules) -> frozenset[HashId]:
    """Return the hashes to announce for keys (RFC 7427, section 4; RFC 8420, section 3)."""
    return frozenset(scheme.hash for key in keys for scheme in schemes_for(key, rules) if scheme.identifiers)


def choose_scheme(
    key: PublicKey,
    rules: Rules,
    announced: Iterable[int] | None,
    identifiers: frozenset[bytes] = frozenset(),
) -> tuple[AuthMethod, SignatureScheme]:
    """Return what to sign with, and as which method.

    Args:
        key: Our own.
        rules: What is allowed.
        announced: The hashes that the peer knows; None where not both sides announced theirs.
        identifiers: AlgorithmIdentifiers that the peer likes best (RFC 9593).

    Raises:
        LocalError: Nothing that is allowed is known to the peer.
    """
    allowed = schemes_for(key, rules)
    if announced is not None:
        ##= https://www.rfc-editor.org/rfc/rfc7427#section-4
        ##% When
        ##% calculating the digital signature, a peer MUST pick one algorithm
        ##% sent by the other peer.
        known = set(announced)
        for scheme in sorted(allowed, key=lambda one: identifiers.isdisjoint(one.identifiers)):
            if scheme.identifiers and scheme.hash in known:
                return AuthMethod.DIGITAL_SIGNATURE, scheme
        raise LocalError(f"the peer announces none of the hashes that we may sign with by {key}")
    for scheme in allowed:
        method = old_method(key, scheme)
        if method is not None:
            return method, scheme
    raise LocalError(f"the peer does not know RFC 7427, which {key} needs to sign with")


def old_method(key: PublicKey, scheme: SignatureScheme) -> AuthMethod | None:
    """Return the method of a signature without an AlgorithmIdentifier; None where there is none."""
    if scheme.padding is RsaPadding.PKCS1:
        return AuthMethod.RSA_DIGITAL_SIGNATURE
    method, hash_ = _CURVE_METHODS.get(key.bits, (None, None)) if key.kind is KeyKind.ECDSA else (None, None)
    return method if scheme.hash is hash_ else None


def _fitting_hash(key: PublicKey) -> HashId:
    """Return the hash that is as strong as a key."""
    small, medium = (256, 384) if key.kind is KeyKind.ECDSA else (3072, 7680)
    if key.bits <= small:
        return HashId.SHA2_256
    return HashId.SHA2_384 if key.bits <= medium else HashId.SHA2_512
