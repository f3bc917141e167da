"""What is measured of a tunnel that is up. A sample is what one round found: figures by name.

Figures of a transfer begin with the name of its kind: `tcp` is one connection, `wire` the same with no frame
over the MTU, `many` eight connections, `one_core` and `two_cores` eight with so many cores for everything.
Each has `gbit` (payload, 10**9 bit/s), `cpu` (CPU seconds of both tunnel ends for 10**9 octets of payload),
`softirq` (what the kernel's threads for packets used beside, also for 10**9 octets), `load` (cores that the
benchmark's own programs used), `others` (cores that strangers' programs used), `stolen` (cores that the host
of a virtual machine took) and `resent` (TCP segments).
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bed import Bed
from benchmarks.bisection import Trial, highest_rate
from benchmarks.machine import Moment
from benchmarks.tunnels import Running
from lab import iperf
from lab.errors import LabError
from lab.traffic import ROOT

PINGS = 300
FLOWS = 8
SMALL_OCTETS = 64
TRIAL_S = 0.4
IDLE_S = 3.0

Sample = dict[str, float]


@dataclass(frozen=True, slots=True)
class Subject:
    """A tunnel and where it is."""

    bed: Bed
    running: Running
    place: Path
    """Directory for logs."""
    seconds: float
    """Length of a transfer."""


def transfer(subject: Subject, kind: str, flows: int = 1) -> Sample:
    """Send by TCP as fast as it goes."""
    sides, running = subject.bed.sides, subject.running
    before, cpu_before = Moment.now(), running.cpu_s()
    log = subject.place / f"iperf3-{kind}.log"
    load = iperf.Load(subject.seconds, flows)
    result = iperf.tcp(sides["a"], sides["b"], running.target, log, load)
    after, cpu = Moment.now(), running.cpu_s() - cpu_before
    softirq = after.softirq_s - before.softirq_s
    took, own = after.clock_s - before.clock_s, after.own_s - before.own_s
    if not result.octets:
        raise LabError(f"TCP ({kind}) carried nothing")
    return {
        f"{kind}.gbit": result.gbit_per_s,
        f"{kind}.cpu": cpu / (result.octets / 1e9),
        f"{kind}.load": own / result.seconds,
        f"{kind}.others": max(0.0, after.busy_s - before.busy_s - own - cpu - softirq) / took,
        f"{kind}.softirq": softirq / (result.octets / 1e9),
        f"{kind}.stolen": (after.stolen_s - before.stolen_s) / took,
        f"{kind}.resent": result.retransmits,
    }


def _one_flow(subject: Subject) -> Sample:
    return transfer(subject, "tcp")


def _many_flows(subject: Subject) -> Sample:
    return transfer(subject, "many", FLOWS)


def _within_mtu(subject: Subject) -> Sample:
    with subject.bed.frames_within_mtu():
        return transfer(subject, "wire")


def _round_trip(subject: Subject) -> Sample:
    """Median ping time, in microseconds."""
    target = subject.running.target
    words = ("ping", "-n", "-i", "0.003", "-c", str(PINGS), target)
    text = subject.bed.sides["a"].run(*words, check=False).stdout
    times = [float(found) * 1e3 for found in re.findall(r"time=([\d.]+)", text)]
    if not times:
        raise LabError(f"no ping to {target} came back")
    return {"rtt_us": statistics.median(times)}


def _small_datagrams(subject: Subject) -> Sample:
    """Highest rate of small UDP datagrams at which hardly any is lost, in 1000 a second."""
    flood = udp_trial(subject, 0)
    ceiling = max(2.5 * flood.received / flood.seconds, 20_000.0)
    best = highest_rate(lambda rate: udp_trial(subject, rate), ceiling)
    return {"small.kpps": best / 1e3, "small.flood_kpps": flood.received / flood.seconds / 1e3}


def udp_trial(subject: Subject, rate: float) -> Trial:
    """Send small datagrams at a rate, or as fast as it goes if that is 0."""
    target, sides = subject.running.target, subject.bed.sides
    log = subject.place / "udp.log"
    log.unlink(missing_ok=True)
    with sides["b"].spawn("udp_load", *_udp_load("receive", target), log=log) as receiver:
        receiver.wait_for_log("ready")
        words = _udp_load("send", target, f"{TRIAL_S}", f"{rate:.0f}", f"{SMALL_OCTETS}")
        sent, seconds = sides["a"].run(*words).stdout.split()
        received = receiver.wait_for_log(r"ready\n(\d+) ").group(1)
    return Trial(int(sent), int(received), float(seconds))


def _udp_load(*words: str) -> list[str]:
    return ["env", f"PYTHONPATH={ROOT}", sys.executable, "-S", "-s", "-m", "benchmarks.udp_load", *words]


def _idle(subject: Subject) -> Sample:
    """CPU time of both ends together without traffic, in percent of a core."""
    time.sleep(0.5)  # what was under way comes to its end
    before, start = subject.running.scheduled_s(), time.monotonic()
    time.sleep(IDLE_S)
    used, took = subject.running.scheduled_s() - before, time.monotonic() - start
    return {"idle_percent": used / took * 100}


def _memory(subject: Subject) -> Sample:
    """Memory of one end's program, in MiB."""
    return {"memory_mib": subject.running.resident_octets() / 2**20}


MEASURES: dict[str, Callable[[Subject], Sample]] = {
    "rtt": _round_trip,
    "tcp": _one_flow,
    "wire": _within_mtu,
    "many": _many_flows,
    "small": _small_datagrams,
    "idle": _idle,
    "memory": _memory,
}
ONCE = frozenset({"idle", "memory"})
"""What is measured in the first round only: it hardly differs."""
CORES = "cores"
"""Name of the measure that needs the tunnel started anew, with other cores."""


def capacity(sample: Sample, kind: str, cores: int) -> float:
    """What a tunnel would carry on so many cores that were its own, in 10**9 bit/s.

    That is `gbit` * cores / (cores - load - others): the benchmark's own programs, and strangers', leave it
    only a part of the time of the cores.
    """
    left = cores - sample[f"{kind}.load"] - sample[f"{kind}.others"]
    return sample[f"{kind}.gbit"] * cores / left if left > 0 else float("nan")


def speed_up(sample: Sample) -> float:
    """Capacity of two cores divided by that of one; 2 is the best that can be."""
    return capacity(sample, "two_cores", 2) / capacity(sample, "one_core", 1)
