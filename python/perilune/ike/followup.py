"""A peer's rekeying of the IKE SA that has more key exchanges to come (RFC 9370, section 2.2.4)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from perilune.ike.negotiation import Choice
from perilune.model.iana import KeId
from perilune.model.secret import Secret
from perilune.model.spi import IkeSpi
from perilune.model.time import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Followup:
    """What we remember between our answer to CREATE_CHILD_SA and the last IKE_FOLLOWUP_KE."""

    choice: Choice
    """With the peer's SPI."""

    spi: IkeSpi
    """Ours."""

    nonces: tuple[bytes, bytes] = field(repr=False)
    """Ni and Nr."""

    secrets: tuple[Secret, ...]
    """Of the key exchanges so far; the first is that of CREATE_CHILD_SA."""

    link: bytes
    """What the next request has to come with."""

    until: Instant
    """When to forget it."""

    @property
    def method(self) -> KeId:
        """The method of the next key exchange."""
        return self.choice.additional_key_exchanges[len(self.secrets) - 1]

    @property
    def is_complete(self) -> bool:
        """Whether there is none left."""
        return len(self.secrets) > len(self.choice.additional_key_exchanges)

    @property
    def lowest_nonce(self) -> bytes:
        """The lesser nonce, by which simultaneous rekeyings are told apart (RFC 7296, section 2.8.1)."""
        return min(self.nonces)

    def with_secret(self, secret: Secret, link: bytes, until: Instant) -> Followup:
        """Return the same behind one more key exchange."""
        return replace(self, secrets=(*self.secrets, secret), link=link, until=until)
