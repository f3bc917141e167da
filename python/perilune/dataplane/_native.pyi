"""The compiled half of the data plane.

Everything here takes and gives plain values; `native.py` has their shapes by name. Whatever is passed, the
answer is a value or an exception: `perilune.model.errors.LocalError` for what the caller must not ask,
`ResourceError` for what the system refuses, TypeError for arguments of a wrong type.
"""

from typing import Any, final

__all__ = ["Engine", "Runtime"]

_Path = tuple[tuple[str, int], tuple[str, int]]
_Changes = list[tuple[str, object]]

@final
class Engine:
    """SAD, SPD and ESP in memory; may be called from several threads."""

    def __new__(cls) -> Engine:
        """Return an engine without SAs and policies."""

    def apply(self, changes: _Changes, now_ns: int) -> None:
        """Apply changes, each a name and its value, all of them or none.

        Raises:
            LocalError: One of the changes is not possible.
        """

    def seal(self, packet: bytes, now_ns: int) -> list[tuple[_Path, bool, int, bytes]]:
        """Take an IP packet that leaves; give path, whether in UDP, traffic class and octets to send."""

    def seal_packet(self, packet: bytes, now_ns: int) -> list[bytes]:
        """Take an IP packet that leaves; give the IP packets to send for it."""

    def seal_dummy(self, spi: int, path: _Path, octets: int, now_ns: int) -> list[bytes]:
        """Give a dummy packet of an outbound SA, or nothing when the SA has ended.

        Raises:
            LocalError: There is no such SA, or it is one of AH.
        """

    def release_held(self, now_ns: int) -> list[tuple[_Path, bool, int, bytes]]:
        """Give what to send for held packets that have an SA now, as `seal` does."""

    def release_packets(self, now_ns: int) -> list[bytes]:
        """Give the IP packets to send for held packets that have an SA now, as `seal_packet` does."""

    def take_replies(self) -> list[bytes]:
        """Give the ICMP errors for the protected side since the last call."""

    def note_icmp_error(self, packet: bytes, now_ns: int) -> bool:
        """Take an ICMP error of the unprotected side; give whether a path MTU is lower now."""

    def take_bypassed(self) -> list[bytes]:
        """Give the packets that bypassed IPsec since the last call."""

    def open(self, esp: bytes, path: _Path, udp: bool, now_ns: int) -> list[bytes]:
        """Take an ESP packet that arrived; give the IP packets that were in it."""

    def open_packet(self, packet: bytes, now_ns: int) -> list[bytes]:
        """Take an IP packet that arrived with AH or ESP in it; give the IP packets that were in it."""

    def on_time(self, now_ns: int) -> int | None:
        """Let time pass; give when to call again."""

    def take_events(self) -> list[tuple[Any, ...]]:
        """Give the events since the last call, each a name and its values."""

    def stats(self) -> dict[str, Any]:
        """Give all counters."""

@final
class Runtime:
    """A device, sockets, and threads that carry packets.

    The device is the name of a TUN device and whether it can tell users apart, or the names of the inner and
    the outer of two interfaces.

    Raises:
        LocalError: A setting that no device or socket can carry out.
        ResourceError: The system refused a device or socket.
    """

    def __new__(
        cls,
        *,
        device: tuple[str, bool] | tuple[str, str],
        local: tuple[list[str], int, int],
        raw_esp: bool,
        mark: int | None,
        icmp: tuple[list[tuple[bool, int, int | None]], int],
        workers: int | None,
    ) -> Runtime:
        """Open everything and start the threads."""

    @property
    def device_name(self) -> str:
        """Name of the TUN device, or of the inner interface."""

    def know_users(self, users: list[int]) -> None:
        """Tell the packets of these local users from those of others.

        Raises:
            LocalError: The device is between two interfaces.
            ResourceError: The kernel does not let us, or these are too many.
        """

    def apply(self, changes: _Changes, now_ns: int) -> None:
        """Apply changes as `Engine.apply` does; held packets that got an SA are sent."""

    def send_dummies(self, wanted: list[tuple[int, _Path, int, int]]) -> list[int | None]:
        """Send dummy packets on outbound SAs until each has sent so many packets.

        Each is an SPI, a path, how many packets, and the octets of a dummy's payload. Gives how many packets
        each has sent now, None where there is no such SA of ESP.
        """

    def take_events(self) -> list[tuple[Any, ...]]:
        """Give the events since the last call and make the descriptor unreadable."""

    def fileno(self) -> int:
        """Give the descriptor that is readable while events wait."""

    def stats(self) -> dict[str, Any]:
        """Give all counters."""

    def send_ike(self, message: bytes, path: _Path, encapsulated: bool) -> None:
        """Send an IKE message, behind a non-ESP marker if `encapsulated`.

        Raises:
            LocalError: No socket has the local address and port.
            ResourceError: The system refused.
        """

    def send_keepalive(self, path: _Path) -> None:
        """Send a NAT keepalive; raises as `send_ike` does."""

    def close(self) -> None:
        """Stop the threads; may be called again."""
