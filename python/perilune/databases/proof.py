"""How the two ends of a connection prove who they are (RFC 4301, section 4.4.3.2).

Each end has a way of its own: RFC 7296, section 2.15, asks for no likeness between them.
"""

from __future__ import annotations

from dataclasses import dataclass

from perilune.crypto.keys import PrivateKey, PublicKey
from perilune.crypto.signature_rules import ANY_SCHEME, Rules, hashes_for
from perilune.model.iana import AuthMethod, HashId


@dataclass(frozen=True, slots=True)
class SharedKey:
    """By a secret that both ends have: the one that fits the identities best."""

    def __str__(self) -> str:
        return "psk"


@dataclass(frozen=True, slots=True)
class OwnKey:
    """By a signature of ours."""

    key: PrivateKey
    rules: Rules = ANY_SCHEME

    def __str__(self) -> str:
        return f"pubkey {self.key.public}"


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """By a signature of one of some public keys that were configured."""

    keys: tuple[PublicKey, ...]
    """At least one."""

    rules: Rules = ANY_SCHEME

    def __str__(self) -> str:
        return f"pubkey {', '.join(map(str, self.keys))}"


@dataclass(frozen=True, slots=True)
class NoProof:
    """By nothing at all (RFC 7619): the end may be anybody."""

    def __str__(self) -> str:
        return "null"


LocalProof = SharedKey | OwnKey | NoProof
"""How we prove who we are."""

RemoteProof = SharedKey | KnownKeys | NoProof
"""How the peer is to prove who it is."""


def announced_hashes(proof: LocalProof | RemoteProof) -> frozenset[HashId]:
    """Return the hashes to announce for a proof (RFC 7427, section 4); none where it is no signature."""
    match proof:
        case OwnKey(key, rules):
            return hashes_for((key.public,), rules)
        case KnownKeys(keys, rules):
            return hashes_for(keys, rules)
    return frozenset()


def is_proof_of(proof: RemoteProof, method: int) -> bool:
    """Whether an Auth Method is of the sort that a proof asks for."""
    match proof:
        case SharedKey():
            return method == AuthMethod.SHARED_KEY_MIC
        case NoProof():
            return method == AuthMethod.NULL
    return method in _SIGNATURES


_SIGNATURES = frozenset(
    {
        AuthMethod.RSA_DIGITAL_SIGNATURE,
        AuthMethod.ECDSA_256,
        AuthMethod.ECDSA_384,
        AuthMethod.ECDSA_521,
        AuthMethod.DIGITAL_SIGNATURE,
    }
)
