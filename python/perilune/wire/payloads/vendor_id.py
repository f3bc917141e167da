"""The Vendor ID payload (RFC 7296, section 3.12): its body is the vendor's constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from perilune.model.iana import PayloadType


@dataclass(frozen=True, slots=True)
class VendorPayload:
    """A constant by which an implementation is recognised; unfamiliar ones are ignored."""

    payload_type: ClassVar[PayloadType] = PayloadType.VENDOR

    data: bytes

    def encode(self) -> bytes:
        """Return the payload's body."""
        return self.data

    @classmethod
    def decode(cls, body: bytes, offset: int) -> Self:
        """Read the payload's body, which lies at `offset` in the datagram; all octets are legal."""
        return cls(body)
