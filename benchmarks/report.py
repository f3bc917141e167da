"""The tables, and the figures as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.ike_rate import Rate
from benchmarks.machine import describe
from benchmarks.measure import Sample
from benchmarks.tunnels import OURS


def median(samples: Sequence[Sample], figure: Callable[[Sample], float]) -> float:
    """Median of one figure over the rounds."""
    return statistics.median(figure(sample) for sample in samples)


def tunnels(console: Console, results: Mapping[str, list[Sample]], rounds: int, seconds: float) -> None:
    """Print the table of the tunnels."""
    table = Table(
        title=f"Tunnels: medians of {rounds} rounds, {seconds:g} s of TCP each", title_justify="left"
    )
    table.add_column("tunnel")
    names = ("TCP Gbit/s", "(least..most)", "to ours", "CPU s/GB", "to ours", "RTT us")
    for name in (*names, "resent", "others' cores", "stolen"):
        table.add_column(name, justify="right")
    ours = results.get(OURS)
    for name, samples in results.items():
        rates = [sample.gbit_per_s for sample in samples]
        rate, cpu = statistics.median(rates), median(samples, lambda sample: sample.cpu_s_per_gb)
        table.add_row(
            name,
            f"{rate:.2f}",
            f"{min(rates):.2f}..{max(rates):.2f}",
            _ratio(rate, median(ours, lambda sample: sample.gbit_per_s) if ours else 0),
            f"{cpu:.2f}" if cpu else "-",
            _ratio(cpu, median(ours, lambda sample: sample.cpu_s_per_gb) if ours else 0) if cpu else "-",
            f"{median(samples, lambda sample: sample.round_trip_us):.0f}",
            f"{median(samples, lambda sample: sample.retransmits):.0f}",
            f"{median(samples, lambda sample: sample.others_cores):.2f}",
            f"{median(samples, lambda sample: sample.stolen_cores):.2f}",
        )
    console.print(table)


def rates(console: Console, results: Mapping[str, list[Rate]], count: int) -> None:
    """Print the table of the IKE set-ups."""
    table = Table(title=f"IKE set-ups: PSK, X25519, AES-GCM; {count} a round", title_justify="left")
    table.add_column("daemon, at once")
    for name in (
        "per CPU second",
        "initiator CPU ms",
        "responder CPU ms",
        "per second",
        "latency ms",
        "failed",
    ):
        table.add_column(name, justify="right")
    for name, rounds in results.items():
        table.add_row(
            name,
            f"{statistics.median(rate.per_cpu_s for rate in rounds):.0f}",
            f"{statistics.median(rate.initiator_cpu_ms for rate in rounds):.2f}",
            f"{statistics.median(rate.responder_cpu_ms for rate in rounds):.2f}",
            f"{statistics.median(rate.per_s for rate in rounds):.0f}",
            f"{statistics.median(rate.latency_ms for rate in rounds):.1f}",
            str(sum(rate.failed for rate in rounds)),
        )
    console.print(table)


def write_json(
    path: Path,
    samples: Mapping[str, list[Sample]],
    set_ups: Mapping[str, list[Rate]],
    left_out: Mapping[str, str],
) -> None:
    """Write every figure of every round."""
    figures = {
        "machine": describe(),
        "tunnels": {name: [asdict(sample) for sample in rounds] for name, rounds in samples.items()},
        "ike": {name: [asdict(rate) for rate in rounds] for name, rounds in set_ups.items()},
        "left_out": dict(left_out),
    }
    path.write_text(json.dumps(figures, indent=1) + "\n")


def _ratio(value: float, ours: float) -> str:
    return f"{value / ours:.2f}" if ours else "-"
