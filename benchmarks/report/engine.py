"""Tables of the engine's own benchmarks."""

from __future__ import annotations

from benchmarks.results import Results
from benchmarks.tables import Table, number

PACKETS = (
    "transform",
    "octets",
    "seal ns",
    "bare AEAD",
    "open ns",
    "bare AEAD",
    "over it",
    "seal Mpps",
    "open Mpps",
)
SCALE = (
    "SAs",
    "of a policy",
    "of an outbound SA",
    "of an inbound SA",
    "SAs a s",
    "seal: few",
    "any",
    "open: few",
    "any",
)


def packets(results: Results) -> Table:
    """The engine in memory, packet by packet."""
    rows = [
        [
            packet.transform,
            str(packet.octets),
            f"{packet.seal_ns:.0f}",
            number(packet.bare_seal_ns, 0),
            f"{packet.open_ns:.0f}",
            number(packet.bare_open_ns, 0),
            number(packet.over_ns, 0),
            f"{1e3 / packet.seal_ns:.2f}",
            f"{1e3 / packet.open_ns:.2f}",
        ]
        for packet in results.engine.packets
    ]
    return Table("packets", "The engine in memory, one core: nanoseconds a packet", PACKETS, rows)


def scale(results: Results) -> Table:
    """Very many SAs."""
    rows = [
        [
            f"{row.sas:,}",
            f"{row.policy_octets:.0f}",
            f"{row.outbound_octets:.0f}",
            f"{row.inbound_octets:.0f}",
            f"{row.installed_per_s:,.0f}",
            f"{row.seal_few_ns:.0f}",
            f"{row.seal_any_ns:.0f}",
            f"{row.open_few_ns:.0f}",
            f"{row.open_any_ns:.0f}",
        ]
        for row in results.engine.scale
    ]
    return Table("scale", "Many SAs, each with a policy: octets, and nanoseconds a packet", SCALE, rows)


def stalls(results: Results) -> Table:
    """What changes cost the packets meanwhile."""
    head = ("changes", "applied in ms", "longest seal, own ms", "on the wall, ms", "without scheduling, ms")
    rows = [
        [
            stall.changes,
            f"{stall.applied_ms:.1f}",
            f"{stall.own_ms:.3f}",
            f"{stall.wall_ms:.3f}",
            f"{stall.engine_ms:.3f}",
        ]
        for stall in results.engine.stalls
    ]
    return Table("stalls", "Changes beside packets", head, rows)
