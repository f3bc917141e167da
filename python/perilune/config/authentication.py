"""How an end proves who it is: the words of `auth`."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto

from perilune.config.values import Kind, nearest, quote
from perilune.crypto.keys import KeyKind
from perilune.crypto.signature_rules import Rules, SchemeRule
from perilune.crypto.signature_schemes import RsaPadding
from perilune.model.errors import ConfigError
from perilune.model.iana import HashId


class Plain(Enum):
    """Proofs that are no signature."""

    PSK = auto()
    NULL = auto()


Authentication = Plain | Rules
"""A proof that is no signature, or the signatures that will do."""

_PLAIN = {"psk": Plain.PSK, "null": Plain.NULL}
_KEYS = {
    "pubkey": SchemeRule(),
    "rsa": SchemeRule(frozenset({KeyKind.RSA})),
    "rsa/pss": SchemeRule(frozenset({KeyKind.RSA}), (RsaPadding.PSS,)),
    "rsa/pkcs1": SchemeRule(frozenset({KeyKind.RSA}), (RsaPadding.PKCS1,)),
    "ecdsa": SchemeRule(frozenset({KeyKind.ECDSA})),
    "ed25519": SchemeRule(frozenset({KeyKind.ED25519})),
    "ed448": SchemeRule(frozenset({KeyKind.ED448})),
    "mldsa44": SchemeRule(frozenset({KeyKind.ML_DSA_44})),
    "mldsa65": SchemeRule(frozenset({KeyKind.ML_DSA_65})),
    "mldsa87": SchemeRule(frozenset({KeyKind.ML_DSA_87})),
}
_HASHES = {
    "sha1": HashId.SHA1,
    "sha256": HashId.SHA2_256,
    "sha384": HashId.SHA2_384,
    "sha512": HashId.SHA2_512,
}
_HASHED = frozenset({KeyKind.RSA, KeyKind.ECDSA})
_OTHERS = ("eap", "xauth", "any")


def _read(text: str) -> Authentication:
    lower = text.lower()
    if lower in _PLAIN:
        return _PLAIN[lower]
    if any(lower == word or lower.startswith(f"{word}-") for word in _OTHERS):
        raise ConfigError(f"{quote(text)} is not supported yet: 'psk', 'null' and kinds of keys are")
    return _read_rules(lower.removeprefix("ike:"), text)


def _read_rules(lower: str, text: str) -> Rules:
    """Read phrases such as `rsa-3072-sha256-sha512-ecdsa-384`: each begins with a kind of key."""
    rules: list[SchemeRule] = []
    for word in lower.split("-"):
        if word in _KEYS:
            rules.append(_KEYS[word])
        elif rules and word.isdecimal() and len(word) <= 5:
            rules[-1] = replace(rules[-1], least_bits=int(word))
        elif rules and word in _HASHES and rules[-1].kinds & _HASHED:
            rules[-1] = replace(rules[-1], hashes=(*rules[-1].hashes, _HASHES[word]))
        else:
            known = [*_PLAIN, *_KEYS, *(_HASHES if rules else ())]
            raise ConfigError(f"{quote(text)}: {quote(word)} has no place here", nearest=nearest(word, known))
    return tuple(rules)


AUTHENTICATION: Kind[Authentication] = Kind("`psk`, `null`, or keys; see *Authentication*", _read)
"""A proof."""
