"""Packets that the SAs of a pair really carry: each side's data plane in an engine of its own."""

from __future__ import annotations

from collections.abc import Callable

from scapy.layers.inet import IP, UDP
from scapy.packet import Packet

from exchanges.pair import Side
from perilune.databases.changes import AddPolicy, AddSa
from perilune.dataplane.engine import Engine
from perilune.model.time import Instant

NOW = Instant(1)


def engine_of(side: Side) -> Engine:
    """Return an engine with everything that a side's data plane was told and still has."""
    engine = Engine()
    plane = side.data_plane
    engine.apply([*map(AddPolicy, plane.policies.values()), *map(AddSa, plane.sas.values())], NOW)
    return engine


def carry(
    sender: Side, packet: Packet, on_the_way: Callable[[Packet], Packet] | None = None
) -> tuple[bytes, bytes]:
    """Send an IPv4 packet to the other side.

    Args:
        sender: Whose packet it is.
        packet: The packet.
        on_the_way: What a NAT does to it.

    Returns:
        What is on the wire, and what the other side makes of it.
    """
    (sealed,) = engine_of(sender).seal_packet(bytes(packet), NOW)
    arriving = bytes(on_the_way(IP(sealed))) if on_the_way else sealed
    (opened,) = engine_of(sender.peer).open_packet(arriving, NOW)
    return sealed, opened


def from_elsewhere(source: str, port: int) -> Callable[[Packet], Packet]:
    """Return what a source NAT does to packets in UDP."""

    def translate(packet: Packet) -> Packet:
        packet.src, packet[UDP].sport = source, port
        del packet.chksum
        packet[UDP].chksum = 0
        return packet

    return translate
