"""Key material that does not show itself."""

from __future__ import annotations

import hmac
from typing import Final, final


@final
class Secret:
    """Octets that must not reach a log, a traceback or a repr.

    Args:
        octets: The key material.
    """

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets: Final = octets

    def reveal(self) -> bytes:
        """Return the octets, for the primitive that needs them."""
        return self._octets

    def __len__(self) -> int:
        return len(self._octets)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._octets, other._octets)

    def __hash__(self) -> int:
        return hash((Secret, len(self._octets)))

    def __repr__(self) -> str:
        return f"Secret({len(self)} octets)"
