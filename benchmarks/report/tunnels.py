"""Tables of the tunnels."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.profile import ORDER
from benchmarks.results import Results
from benchmarks.rows import OURS
from benchmarks.tables import NOTHING, Table, number, ratio

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
    ("64 B kpps", "small.kpps", 0),
    ("flood kpps", "small.flood_kpps", 0),
    ("idle %", "idle_percent", 2),
    ("MiB", "memory_mib", 0),
)
CORES = (
    ("one core: Gbit/s", "one_core.gbit", 2),
    ("CPU s/GB", "one_core.cpu", 2),
    ("own load", "one_core.load", 2),
    ("two cores: Gbit/s", "two_cores.gbit", 2),
    ("CPU s/GB", "two_cores.cpu", 2),
    ("own load", "two_cores.load", 2),
    ("speed-up", "speed_up", 2),
)


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
    return _medians(results, "many", "Eight TCP connections, small datagrams, nothing to do (medians)", MANY)


def cores(results: Results) -> Table:
    """Many connections on one core and on two."""
    return _medians(
        results, "cores", "Eight TCP connections, everything on one core or on two (medians)", CORES
    )


def _medians(results: Results, name: str, title: str, columns: Sequence[tuple[str, str, int]]) -> Table:
    """A column for each figure: its title, its name, its digits."""
    figures = [
        [tunnel, *(number(results.median(tunnel, figure), digits) for _, figure, digits in columns)]
        for tunnel in results.tunnels
    ]
    rows = [row for row in figures if any(cell != NOTHING for cell in row[1:])]
    return Table(name, title, ("tunnel", *(title for title, _, _ in columns)), rows)


def profiles(results: Results) -> Table:
    """Where the time goes."""
    rows = [
        [kind, *(f"{one.shares[kind] * one.cpu_s_per_gb:.2f}" for one in results.profiles.values())]
        for kind in (ORDER if results.profiles else ())
    ]
    return Table("profile", "CPU s/GB by kind of work", ("kind of work", *results.profiles), rows)


def functions(results: Results) -> Table:
    """The functions that take most of it, in the first profile."""
    rows = [
        [symbol, f"{part * 100:.1f}"]
        for one in list(results.profiles.values())[:1]
        for symbol, part in one.symbols
    ]
    return Table("functions", "Functions with most samples", ("function", "%"), rows)
