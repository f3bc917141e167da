"""Key exchange methods, transform type 4 (RFC 7296, sections 2.14 and 3.4; RFC 6989).

The families are in `curve.py` (X25519 and X448), `ecp.py` and `modp.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from perilune.crypto import curve, ecp, modp
from perilune.model.errors import LocalError, PeerError
from perilune.model.iana import KeId, NotifyType
from perilune.model.random import Rng
from perilune.model.secret import Secret

_Family = Callable[[KeId, Rng], tuple[bytes, Callable[[bytes], bytes]]]

_FAMILIES: Final[dict[KeId, _Family]] = {
    **dict.fromkeys(curve.PUBLIC_OCTETS, curve.generate),
    **dict.fromkeys(ecp.PUBLIC_OCTETS, ecp.generate),
    **dict.fromkeys(modp.PUBLIC_OCTETS, modp.generate),
}
_PUBLIC_OCTETS: Final[dict[KeId, int]] = {**curve.PUBLIC_OCTETS, **ecp.PUBLIC_OCTETS, **modp.PUBLIC_OCTETS}


@final
class KeyExchange:
    """Our side of one key exchange: a fresh private key, used once.

    Made by `generate`. The private key stays inside and shows in no repr.
    """

    __slots__ = ("_agree", "method", "public")

    method: KeId
    """The method both sides use."""

    public: bytes
    """Our public value, the data of a KE payload."""

    def __init__(self, method: KeId, public: bytes, agree: Callable[[bytes], bytes]) -> None:
        self.method = method
        self.public = public
        self._agree = agree

    @classmethod
    def generate(cls, method: KeId, rng: Rng) -> KeyExchange:
        """Make a key pair from random octets; the same octets give the same pair.

        Raises:
            LocalError: There is no such method here, or it is NONE.
            ResourceError: No entropy can be had.
        """
        family = _FAMILIES.get(method)
        if family is None:
            raise LocalError(f"no key exchange method {method!r}")
        return cls(method, *family(method, rng))

    def agree(self, peer_public: bytes) -> Secret:
        """Return g^ir, as long as the modulus or coordinate, from the data of the peer's KE payload.

        Raises:
            PeerError: The peer's value has a wrong length or fails the tests of RFC 6989 or RFC 8031; the
                notify is INVALID_SYNTAX.
        """
        expected = public_octets(self.method)
        if len(peer_public) != expected:
            raise PeerError(
                f"a {self.method.name} public value of {len(peer_public)} octets instead of {expected}",
                notify=NotifyType.INVALID_SYNTAX,
            )
        return Secret(self._agree(peer_public))

    def __repr__(self) -> str:
        return f"KeyExchange({self.method.name})"


def public_octets(method: KeId) -> int:
    """Return how long the public values of a method are, in octets.

    Raises:
        LocalError: There is no such method here, or it is NONE.
    """
    try:
        return _PUBLIC_OCTETS[method]
    except KeyError as error:
        raise LocalError(f"no key exchange method {method!r}") from error
