"""How much one message may hold, so that hostile octets cost little to refuse."""

from __future__ import annotations

from typing import Final

MAX_PAYLOADS: Final = 64
"""Payloads in one chain; a busy IKE_AUTH has about thirty."""

MAX_PROPOSALS: Final = 64
"""Proposals in one SA payload."""

MAX_TRANSFORMS: Final = 512
"""Transforms of all proposals of one SA payload together."""

MAX_TRANSFORM_ATTRIBUTES: Final = 8
"""Attributes of one transform; one type is defined (RFC 7296, section 3.3.5)."""

MAX_CONFIGURATION_ATTRIBUTES: Final = 256
"""Attributes in one CP payload."""
