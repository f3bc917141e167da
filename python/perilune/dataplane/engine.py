"""The engine as a library: packets in, packets out, with no sockets, threads or clock of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from perilune.databases.changes import Change
from perilune.databases.sad import Encapsulation, SaName
from perilune.dataplane.events import Event
from perilune.dataplane.native import (
    NativeEngine,
    events_from_native,
    native_changes,
    native_path,
    path_from_native,
    stats_from_native,
)
from perilune.dataplane.stats import DataPlaneStats, DropStats
from perilune.model.address import Path
from perilune.model.time import Instant


@dataclass(frozen=True, slots=True)
class SealedPacket:
    """What is to be sent: the payload of one UDP datagram, or of one IP packet of protocol 50."""

    path: Path
    encapsulation: Encapsulation
    traffic_class: int
    """DSCP and ECN for the outer header."""

    data: bytes


class Engine:
    """SAD, SPD and ESP in memory, the same that `Runtime` has between its devices.

    It is safe to call from several threads.
    """

    def __init__(self) -> None:
        self._native = NativeEngine()
        self._drops_told: dict[str, int] = {}

    def apply(self, changes: Sequence[Change], now: Instant) -> None:
        """Apply changes in order, all of them or none.

        Raises:
            LocalError: One of the changes is not possible; none was made.
        """
        self._native.apply(native_changes(changes), now.ns)

    def seal(self, packet: bytes, now: Instant) -> list[SealedPacket]:
        """Take an IP packet that leaves, and return what to send for it.

        That is nothing where policy discards the packet, lets it pass in the clear (see `take_bypassed`)
        or holds it until there is an SA (see `release_held`).
        """
        return _sealed(self._native.seal(packet, now.ns))

    def seal_packet(self, packet: bytes, now: Instant) -> list[bytes]:
        """Take an IP packet that leaves, and return the IP packets to send for it.

        Unlike `seal` it makes the outer headers too, and so AH, every mode and SA bundles are possible. Which
        packets give nothing is the same.

        Args:
            packet: A whole IPv4 or IPv6 packet, its checksums complete.
            now: Time of the caller's clock.

        Returns:
            IP packets with AH or ESP in them, in UDP where the SA has that; fragments where the path's MTU
            asks for that.
        """
        return self._native.seal_packet(packet, now.ns)

    def seal_dummy(self, sa: SaName, octets: int, now: Instant) -> list[bytes]:
        """Return a dummy packet, which the receiver drops without a word (RFC 4303, section 2.6).

        Args:
            sa: An outbound SA of ESP.
            octets: Length of what is encrypted, 0 to 65000.
            now: Time of the caller's clock.

        Returns:
            One IP packet; none when the SA has ended.

        Raises:
            LocalError: There is no such SA, or it is one of AH.
        """
        return self._native.seal_dummy(sa.spi, native_path(sa.path), octets, now.ns)

    def release_held(self, now: Instant) -> list[SealedPacket]:
        """Return what to send for held packets that have an SA now."""
        return _sealed(self._native.release_held(now.ns))

    def release_packets(self, now: Instant) -> list[bytes]:
        """Return the IP packets to send for held packets that have an SA now, as `seal_packet` does."""
        return self._native.release_packets(now.ns)

    def take_bypassed(self) -> list[bytes]:
        """Return the packets that policy let pass in the clear since the last call."""
        return self._native.take_bypassed()

    def open(self, esp: bytes, path: Path, encapsulation: Encapsulation, now: Instant) -> list[bytes]:
        """Take an ESP packet that arrived, and return the IP packets that were in it.

        That is nothing where any check fails; the statistics say which.

        Args:
            esp: The packet from its SPI on.
            path: Where it was sent to and from; the ports matter only in UDP.
            encapsulation: Whether it came in UDP.
            now: Time of the caller's clock.
        """
        udp = encapsulation is Encapsulation.UDP
        return self._native.open(esp, native_path(path), udp, now.ns)

    def open_packet(self, packet: bytes, now: Instant) -> list[bytes]:
        """Take an IP packet that arrived with AH or ESP in it, and return the IP packets that were in it.

        That is nothing where any check fails; the statistics say which.

        Args:
            packet: A whole IPv4 or IPv6 packet, as it was on the wire; a fragment waits for the others.
            now: Time of the caller's clock.
        """
        return self._native.open_packet(packet, now.ns)

    def take_replies(self) -> list[bytes]:
        """Return the IP packets that the engine made for the protected side since the last call.

        They are ICMP errors about packets that are larger than the path of their SA takes (RFC 4301, section
        8.2.1).
        """
        return self._native.take_replies()

    def note_icmp_error(self, packet: bytes, now: Instant) -> bool:
        """Take an ICMP error from the unprotected side, which may lower the path MTU of an SA.

        Args:
            packet: The whole IP packet; nobody has authenticated it, so it has to quote a packet of an SA.
            now: Time of the caller's clock.

        Returns:
            Whether a path MTU is lower now.
        """
        return self._native.note_icmp_error(packet, now.ns)

    def take_drops(self) -> list[DropStats]:
        """Return why packets were dropped since the last call, and how many for each reason.

        This is what an empty answer of the other methods leaves open; packets that are held or bypass are no
        drops.
        """
        counted = self.stats().drops
        fresh = [replace(drop, packets=drop.packets - self._drops_told.get(drop.name, 0)) for drop in counted]
        self._drops_told = {drop.name: drop.packets for drop in counted}
        return [drop for drop in fresh if drop.packets]

    def on_time(self, now: Instant) -> Instant | None:
        """Let time pass: lifetimes end, acquires time out.

        Returns:
            When to call again at the latest; None if nothing waits for time.
        """
        next_ns = self._native.on_time(now.ns)
        return None if next_ns is None else Instant(next_ns)

    def take_events(self) -> list[Event]:
        """Return what happened since the last call, oldest first."""
        return events_from_native(self._native.take_events())

    def stats(self) -> DataPlaneStats:
        """Return the counters of every SA, policy and drop reason."""
        return stats_from_native(self._native.stats())


def _sealed(
    natives: list[tuple[tuple[tuple[str, int], tuple[str, int]], bool, int, bytes]],
) -> list[SealedPacket]:
    return [
        SealedPacket(
            path_from_native(path), Encapsulation.UDP if udp else Encapsulation.NONE, traffic_class, data
        )
        for path, udp, traffic_class, data in natives
    ]
