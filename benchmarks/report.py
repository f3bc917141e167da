"""Results as tables."""

from __future__ import annotations

import statistics

from benchmarks.results import Results
from benchmarks.rows import OURS
from benchmarks.tables import NOTHING, Table, number, ratio
from benchmarks.verdicts import verdicts

ONE_FLOW = (
    "tunnel",
    "TCP Gbit/s",
    "least..most",
    "CPU s/GB",
    "to ours",
    "wire Gbit/s",
    "wire CPU s/GB",
    "RTT us",
    "others",
    "stolen",
)
MANY = (
    ("8 flows Gbit/s", "many.gbit", 2),
    ("CPU s/GB", "many.cpu", 2),
    ("own load", "many.load", 2),
    ("one core", "one_core.gbit", 2),
    ("two cores", "two_cores.gbit", 2),
    ("speed-up", "speed_up", 2),
    ("64 B kpps", "small.kpps", 0),
    ("flood kpps", "small.flood_kpps", 0),
    ("idle %", "idle_percent", 2),
    ("MiB", "memory_mib", 0),
)
SET_UPS = (
    "daemon, at once",
    "per CPU second",
    "initiator CPU ms",
    "responder CPU ms",
    "per second",
    "latency ms",
    "failed",
)
FLOOD = (
    "daemon",
    "requests/s",
    "answered %",
    "with cookies %",
    "memory grows MiB",
    "set-up before ms",
    "meanwhile ms",
    "slowest ms",
    "failed",
)
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
    "install us",
    "seal: few",
    "any",
    "open: few",
    "any",
)


def tables(results: Results) -> list[Table]:
    """All that have something in them."""
    made = [
        one_flow(results),
        many(results),
        set_ups(results),
        ike_memory(results),
        ike_flood(results),
        packets(results),
        scale(results),
        stalls(results),
        judged(results),
    ]
    return [table for table in made if table.rows]


def one_flow(results: Results) -> Table:
    """What one TCP connection gets."""
    rows = [
        _one_flow_row(results, name)
        for name in results.tunnels
        if results.rounds(name, "tcp.gbit") or results.rounds(name, "wire.gbit")
    ]
    return Table("one-flow", "One TCP connection, and ping (medians of the rounds)", ONE_FLOW, rows)


def _one_flow_row(results: Results, name: str) -> list[str]:
    rates, cpu = results.rounds(name, "tcp.gbit"), results.median(name, "tcp.cpu")
    return [
        name,
        number(results.median(name, "tcp.gbit"), 2),
        f"{min(rates):.2f}..{max(rates):.2f}" if rates else NOTHING,
        number(cpu or None, 2),
        ratio(cpu or None, results.median(OURS, "tcp.cpu")),
        number(results.median(name, "wire.gbit"), 2),
        number(results.median(name, "wire.cpu") or None, 2),
        number(results.median(name, "rtt_us"), 0),
        number(results.worst(name, ".others"), 2),
        number(results.worst(name, ".stolen"), 2),
    ]


def many(results: Results) -> Table:
    """Many connections, many small datagrams, and no traffic at all."""
    figures = [
        [name, *(number(results.median(name, figure), digits) for _, figure, digits in MANY)]
        for name in results.tunnels
    ]
    head = ("tunnel", *(title for title, _, _ in MANY))
    rows = [row for row in figures if any(cell != NOTHING for cell in row[1:])]
    return Table("many", "Eight TCP connections, small datagrams, nothing to do (medians)", head, rows)


def set_ups(results: Results) -> Table:
    """IKE set-ups."""
    rows = [
        [
            name,
            f"{statistics.median(rate.per_cpu_s for rate in rounds):.0f}",
            f"{statistics.median(rate.initiator_cpu_ms for rate in rounds):.2f}",
            f"{statistics.median(rate.responder_cpu_ms for rate in rounds):.2f}",
            f"{statistics.median(rate.per_s for rate in rounds):.0f}",
            f"{statistics.median(rate.latency_ms for rate in rounds):.1f}",
            str(sum(rate.failed for rate in rounds)),
        ]
        for name, rounds in results.set_ups.items()
    ]
    return Table("set-ups", "IKE set-ups: PSK, X25519, AES-256-GCM (medians)", SET_UPS, rows)


def ike_memory(results: Results) -> Table:
    """What an IKE SA keeps."""
    head = ("daemon", "responder KiB", "initiator KiB")
    rows = [
        [name, f"{kept.responder_kib:.1f}", f"{kept.initiator_kib:.1f}"]
        for name, kept in results.kept.items()
    ]
    return Table("ike-memory", "Memory of an IKE SA with a Child SA (growth of RSS)", head, rows)


def ike_flood(results: Results) -> Table:
    """What a flood does."""
    rows = [
        [
            name,
            f"{flood.requests_per_s:.0f}",
            f"{flood.answered_percent:.0f}",
            f"{flood.cookie_percent:.1f}",
            f"{flood.grown_mib:.1f}",
            f"{flood.calm_ms:.1f}",
            f"{flood.flooded_ms:.1f}",
            f"{flood.slowest_ms:.1f}",
            str(flood.failed),
        ]
        for name, flood in results.floods.items()
    ]
    title = "A flood of first requests at ten times what the responder could complete, and a good peer"
    return Table("ike-flood", title, FLOOD, rows)


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
            f"{row.install_us:.1f}",
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
    head = ("changes", "applied in ms", "longest seal, own ms", "on the wall, ms")
    rows = [
        [stall.changes, f"{stall.applied_ms:.1f}", f"{stall.own_ms:.3f}", f"{stall.wall_ms:.3f}"]
        for stall in results.engine.stalls
    ]
    return Table("stalls", "Changes beside packets", head, rows)


def judged(results: Results) -> Table:
    """What must hold, and whether it does."""
    rows = [
        [
            f"{verdict.topic}: {verdict.requirement}",
            f"{'<=' if verdict.at_most else '>='} {verdict.limit:g}",
            f"{verdict.measured:.3g}" if verdict.measured < 1000 else f"{verdict.measured:.0f}",
            f"{verdict.share:.2f}",
            "yes" if verdict.holds else "NO",
        ]
        for verdict in verdicts(results)
    ]
    return Table(
        "verdicts", "What must hold", ("requirement", "limit", "measured", "of the limit", "holds"), rows
    )
