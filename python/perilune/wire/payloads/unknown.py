"""Payloads of types that are not known here (RFC 7296, section 2.5)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnknownPayload:
    """A payload to be ignored; a decoder never returns one whose critical bit is set, as it refuses those."""

    payload_type: int
    """A type other than those in `PayloadType`."""

    critical: bool
    """The critical bit."""

    body: bytes

    def encode(self) -> bytes:
        """Return the payload's body."""
        return self.body
