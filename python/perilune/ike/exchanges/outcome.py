"""What a request of the peer leads to."""

from __future__ import annotations

from dataclasses import dataclass

from perilune.ike.events import DownReason
from perilune.model.errors import PeerError
from perilune.model.iana import NotifyType
from perilune.wire.payloads import NotifyPayload, Payload


@dataclass(frozen=True, slots=True)
class Outcome:
    """A response, and whether the IKE SA goes on."""

    payloads: tuple[Payload, ...]
    ends: DownReason | None = None
    """Why the IKE SA ends once the response is sent; None where it goes on."""

    @classmethod
    def of_error(cls, error: PeerError) -> Outcome:
        """Return the error notify; INVALID_SYNTAX ends the IKE SA (RFC 7296, section 2.21.3)."""
        notify = error.notify or NotifyType.INVALID_SYNTAX
        fatal = notify is NotifyType.INVALID_SYNTAX
        return cls((NotifyPayload(notify, error.notify_data),), ends=DownReason.REFUSED if fatal else None)


TEMPORARY_FAILURE = Outcome((NotifyPayload(NotifyType.TEMPORARY_FAILURE),))
"""The peer is to try again later (RFC 7296, section 2.25)."""
