"""Key exchange methods, transform types 4 and 6 to 12 (RFC 7296, sections 2.14 and 3.4; RFC 6989; RFC 9370).

    initiator                                   responder
    begun = KeyExchange.begin(method, rng)
                       begun.share  ->          answer = respond(method, share, rng)
                                    <-  answer.share, and it has answer.secret
    secret = begun.finish(share)

Diffie-Hellman is in `curve.py` (X25519 and X448), `ecp.py` and `modp.py`: both sides do the same there. With
a key encapsulation mechanism, in `ml_kem.py`, the responder's share comes from the initiator's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, final

from perilune.crypto import curve, ecp, ml_kem, modp
from perilune.model.errors import LocalError, PeerError
from perilune.model.iana import KeId, NotifyType
from perilune.model.random import Rng
from perilune.model.secret import Secret

_Begin = Callable[[KeId, Rng], tuple[bytes, Callable[[bytes], bytes]]]
_Respond = Callable[[KeId, bytes, Rng], tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class _Method:
    begin: _Begin
    """Returns our share, and what makes the secret from the responder's."""

    respond: _Respond
    """Returns the answer to a share, and the secret."""

    share_octets: int
    answer_octets: int


def _diffie_hellman(begin: _Begin, octets: Mapping[KeId, int]) -> dict[KeId, _Method]:
    """Return methods in which the responder does what the initiator does, at once."""

    def respond(method: KeId, share: bytes, rng: Rng) -> tuple[bytes, bytes]:
        answer, finish = begin(method, rng)
        return answer, finish(share)

    return {method: _Method(begin, respond, count, count) for method, count in octets.items()}


_METHODS: Final[Mapping[KeId, _Method]] = {
    **_diffie_hellman(curve.begin, curve.PUBLIC_OCTETS),
    **_diffie_hellman(ecp.begin, ecp.PUBLIC_OCTETS),
    **_diffie_hellman(modp.begin, modp.PUBLIC_OCTETS),
    **{
        method: _Method(ml_kem.begin, ml_kem.respond, count, ml_kem.CIPHERTEXT_OCTETS[method])
        for method, count in ml_kem.KEY_OCTETS.items()
    },
}

METHODS: Final = frozenset(_METHODS)
"""Every method that can be used here."""


@final
class KeyExchange:
    """The initiator's side of one key exchange: a fresh private key, used once.

    Made by `begin`. The private key stays inside and shows in no repr.
    """

    __slots__ = ("_finish", "method", "share")

    method: KeId
    """The method both sides use."""

    share: bytes
    """What the responder gets, the data of a KE payload."""

    def __init__(self, method: KeId, share: bytes, finish: Callable[[bytes], bytes]) -> None:
        self.method = method
        self.share = share
        self._finish = finish

    @classmethod
    def begin(cls, method: KeId, rng: Rng) -> KeyExchange:
        """Make a key pair from random octets; the same octets give the same pair.

        Raises:
            LocalError: There is no such method here, or it is NONE.
            ResourceError: No entropy can be had.
        """
        return cls(method, *_method(method).begin(method, rng))

    def finish(self, answer: bytes) -> Secret:
        """Return the shared secret from the data of the responder's KE payload.

        It is as long as the modulus or the coordinate; ML-KEM's has 32 octets.

        Raises:
            PeerError: The responder's share has a wrong length or fails the tests of RFC 6989 or RFC 8031;
                the notify is INVALID_SYNTAX.
        """
        _require_length(self.method, answer, _method(self.method).answer_octets)
        return Secret(self._finish(answer))

    def __repr__(self) -> str:
        return f"KeyExchange({self.method.name})"


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """The responder's side of one key exchange."""

    method: KeId
    share: bytes
    """What the initiator gets, the data of a KE payload."""

    secret: Secret = field(repr=False)
    """What both sides have now; see `KeyExchange.finish` for its length."""


def respond(method: KeId, share: bytes, rng: Rng) -> Answer:
    """Answer the data of the initiator's KE payload.

    Raises:
        LocalError: There is no such method here, or it is NONE.
        PeerError: The initiator's share has a wrong length or fails the tests of RFC 6989, RFC 8031 or
            FIPS 203; the notify is INVALID_SYNTAX.
        ResourceError: No entropy can be had.
    """
    _require_length(method, share, _method(method).share_octets)
    answer, secret = _method(method).respond(method, share, rng)
    return Answer(method, answer, Secret(secret))


def share_octets(method: KeId) -> int:
    """Return how long the initiator's share of a method is, in octets.

    Raises:
        LocalError: There is no such method here, or it is NONE.
    """
    return _method(method).share_octets


def _require_length(method: KeId, share: bytes, expected: int) -> None:
    if len(share) != expected:
        raise PeerError(
            f"a {method.name} share of {len(share)} octets instead of {expected}",
            notify=NotifyType.INVALID_SYNTAX,
        )


def _method(method: KeId) -> _Method:
    try:
        return _METHODS[method]
    except KeyError as error:
        raise LocalError(f"no key exchange method {method!r}") from error
