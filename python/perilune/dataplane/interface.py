"""What every data plane offers to the rooms above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from perilune.databases.changes import Change
from perilune.dataplane.events import Event
from perilune.dataplane.stats import DataPlaneStats
from perilune.model.address import Path
from perilune.model.time import Instant


class DataPlane(Protocol):
    """Packets below, keys and policy above: few and coarse calls, never one for each packet."""

    def apply(self, changes: Sequence[Change], now: Instant) -> None:
        """Apply changes in order, all of them or none.

        When it returns, packets of the SAs it added are accepted and sent.

        Raises:
            LocalError: One of the changes is not possible; none was made.
        """
        ...

    def take_events(self) -> list[Event]:
        """Return what happened since the last call, oldest first."""
        ...

    def fileno(self) -> int:
        """Return a file descriptor that is readable while events wait."""
        ...

    def stats(self) -> DataPlaneStats:
        """Return the counters of every SA, policy and drop reason."""
        ...

    def send_ike(self, message: bytes, path: Path, *, encapsulated: bool) -> None:
        """Send an IKE message.

        Args:
            message: The message, without non-ESP marker.
            path: From which of our addresses and ports to which of the peer's.
            encapsulated: Put a non-ESP marker before it (RFC 3948, section 2.2).

        Raises:
            LocalError: We have no such local address and port.
            ResourceError: The system did not send it now; it can be retransmitted later.
        """
        ...

    def send_keepalive(self, path: Path) -> None:
        """Send a NAT keepalive (RFC 3948, section 2.3).

        Raises:
            LocalError: We have no such local address and port.
            ResourceError: The system did not send it now.
        """
        ...

    def close(self) -> None:
        """Stop carrying packets and erase all keys; may be called again."""
        ...
