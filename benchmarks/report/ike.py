"""Tables of the IKE daemons."""

from __future__ import annotations

import statistics

from benchmarks.results import Results
from benchmarks.tables import Table

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
