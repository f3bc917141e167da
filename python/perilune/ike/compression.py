"""IP compression of a Child SA (RFC 7296, section 2.22; RFC 3173): who can open what.

```
                     1                   2
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
|          IPComp CPI           | Transform ID  |  data of N(IPCOMP_SUPPORTED), then attributes
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, Self

from perilune.ike.refusal import Refusal
from perilune.model.errors import PeerError
from perilune.model.iana import IpCompId, NotifyType
from perilune.wire.payloads import NotifyPayload, Payload

_DATA: Final = Struct("!HB")


@dataclass(frozen=True, slots=True)
class CompressionOffer:
    """One algorithm that its sender can decompress."""

    cpi: int
    """Compression Parameter Index that is to be in the packets to it, 16 bits."""

    transform: int = IpCompId.IPCOMP_DEFLATE
    """Number of the algorithm."""

    @classmethod
    def read_all(cls, payloads: Sequence[Payload]) -> tuple[Self, ...]:
        """Return what the peer offers, or the one that it accepts.

        Raises:
            PeerError: A notify is too short; the notify is INVALID_SYNTAX.
        """
        return tuple(
            cls._read(payload.data)
            for payload in payloads
            if isinstance(payload, NotifyPayload) and payload.type == NotifyType.IPCOMP_SUPPORTED
        )

    @classmethod
    def _read(cls, data: bytes) -> Self:
        if len(data) < _DATA.size:
            why = f"IPCOMP_SUPPORTED has {len(data)} octets, not {_DATA.size} or more"
            raise PeerError(why, notify=NotifyType.INVALID_SYNTAX)
        return cls(*_DATA.unpack_from(data))

    @property
    def payload(self) -> NotifyPayload:
        """The notify that says so."""
        return NotifyPayload(NotifyType.IPCOMP_SUPPORTED, _DATA.pack(self.cpi, self.transform))


def deflate(offers: Sequence[CompressionOffer]) -> int | None:
    """Return the CPI of the one algorithm that we have, or None where it is not offered."""
    return next((one.cpi for one in offers if one.transform == IpCompId.IPCOMP_DEFLATE), None)


def require_accepted(ours: Sequence[CompressionOffer], theirs: Sequence[CompressionOffer], hint: str) -> None:
    """Check a responder's answer against what we offered.

    Raises:
        Refusal: It chose several, or what was not offered; the notify is NO_PROPOSAL_CHOSEN.
    """
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.22
    ##% implementations of this specification MUST NOT accept an IPComp
    ##% algorithm that was not proposed, MUST NOT accept more than one
    offered = {one.transform for one in ours}
    if len(theirs) > 1 or not {one.transform for one in theirs} <= offered:
        raise Refusal(
            "the peer compresses in a way that was not offered",
            NotifyType.NO_PROPOSAL_CHOSEN,
            ours=_text(ours),
            theirs=_text(theirs),
            hint=f"{hint}.ipcomp",
        )


def _text(offers: Sequence[CompressionOffer]) -> str:
    return " ".join(f"IPComp transform {one.transform}" for one in offers) or "no compression"
