"""The Nonce payload, Ni or Nr (RFC 7296, section 3.9): its body is the nonce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from perilune.model.errors import DecodeError
from perilune.model.iana import PayloadType

MIN_NONCE_OCTETS: Final = 16
MAX_NONCE_OCTETS: Final = 256


@dataclass(frozen=True, slots=True)
class NoncePayload:
    """Random octets that make an exchange fresh."""

    payload_type: ClassVar[PayloadType] = PayloadType.NONCE

    nonce: bytes

    def encode(self) -> bytes:
        """Return the payload's body."""
        return self.nonce

    @classmethod
    def decode(cls, body: bytes, offset: int) -> Self:
        """Read the payload's body, which lies at `offset` in the datagram.

        Raises:
            DecodeError: The nonce is shorter than 16 or longer than 256 octets.
        """
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-3.9
        ##% The size of the Nonce Data MUST be between 16 and 256 octets,
        ##% inclusive.
        if not MIN_NONCE_OCTETS <= len(body) <= MAX_NONCE_OCTETS:
            raise DecodeError(
                f"has {len(body)} octets instead of {MIN_NONCE_OCTETS} to {MAX_NONCE_OCTETS}",
                offset=offset,
                field="Nonce Data",
            )
        return cls(body)
