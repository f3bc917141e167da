"""Where a data plane is between the protected and the unprotected side (RFC 4301, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wire:
    """Between two interfaces, unseen by either side: a bump in the wire."""

    inside: str
    """Name of the interface to the protected side."""

    outside: str
    """Name of the interface to the unprotected side."""
