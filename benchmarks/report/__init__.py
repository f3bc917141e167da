"""Results as tables; :func:`tables` has them all, the verdicts last."""

from __future__ import annotations

from benchmarks.report import engine, ike, tunnels
from benchmarks.results import Results
from benchmarks.tables import Table
from benchmarks.verdicts import verdicts


def tables(results: Results) -> list[Table]:
    """All that have something in them."""
    made = [
        tunnels.one_flow(results),
        tunnels.many(results),
        tunnels.cores(results),
        ike.set_ups(results),
        ike.ike_memory(results),
        ike.ike_flood(results),
        engine.packets(results),
        engine.scale(results),
        engine.stalls(results),
        tunnels.profiles(results),
        tunnels.functions(results),
        judged(results),
    ]
    return [table for table in made if table.rows]


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
