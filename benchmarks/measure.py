"""What is measured of a tunnel."""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import Moment
from benchmarks.tunnels import Running
from lab import iperf
from lab.errors import LabError
from lab.namespace import Namespace

PINGS = 300


@dataclass(frozen=True, slots=True)
class Sample:
    """One round's measurement of one tunnel."""

    gbit_per_s: float
    """TCP payload of one connection, in 10**9 bit/s."""
    cpu_s_per_gb: float
    """CPU seconds of both tunnel ends for 10**9 octets of TCP payload."""
    round_trip_us: float
    """Median ping time in microseconds."""
    retransmits: int
    """TCP segments sent again."""
    others_cores: float
    """Cores that programs used which are not part of the measurement."""
    stolen_cores: float
    """Cores that the virtual machine's host took away."""


def measure(sides: dict[str, Namespace], running: Running, log: Path, seconds: float) -> Sample:
    """Measure a tunnel that is up.

    Args:
        sides: The two namespaces.
        running: The tunnel.
        log: File for iperf3's output.
        seconds: Length of the TCP transfer.
    """
    round_trip_us = _round_trip_us(sides["a"], running.target)
    before, cpu_before, start = Moment.now(), running.cpu_s(), time.monotonic()
    result = iperf.tcp(sides["a"], sides["b"], running.target, log, seconds)
    after, cpu, took = Moment.now(), running.cpu_s() - cpu_before, time.monotonic() - start
    others = (after.busy_s - before.busy_s) - (after.own_s - before.own_s) - cpu
    return Sample(
        gbit_per_s=result.gbit_per_s,
        cpu_s_per_gb=cpu / (result.octets / 1e9) if result.octets else float("nan"),
        round_trip_us=round_trip_us,
        retransmits=result.retransmits,
        others_cores=max(0.0, others / took),
        stolen_cores=(after.stolen_s - before.stolen_s) / took,
    )


def _round_trip_us(namespace: Namespace, target: str) -> float:
    text = namespace.run("ping", "-n", "-i", "0.003", "-c", str(PINGS), target, check=False).stdout
    times = [float(found) * 1e3 for found in re.findall(r"time=([\d.]+)", text)]
    if not times:
        raise LabError(f"no ping to {target} came back")
    return statistics.median(times)
