"""The machine that measures: what it is, which cores are used, and how much of it others use meanwhile."""

from __future__ import annotations

import functools
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.process import CLOCK_TICKS_PER_S

QUIET_CORES = 0.2
"""A machine of which programs use less than so many cores is quiet."""


def describe() -> str:
    """Processor, cores and kernel."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    kernel = f"{platform.system()} {platform.release()}"
    return f"{model}, {cores()} cores, {kernel}, Python {platform.python_version()}"


def cores() -> int:
    """How many cores we may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def only(count: int) -> Iterator[None]:
    """Let this program, what it starts, and what the kernel does for that use `count` cores only.

    What arrives over a veth cable is dealt with on the core that sent it, so that it is among this.
    """
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(all_of_them)[-count:]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


@dataclass(frozen=True, slots=True)
class Moment:
    """CPU seconds so far."""

    clock_s: float
    """Time of the clock."""
    busy_s: float
    """Of the cores that we may use, by whatever program."""
    stolen_s: float
    """Of these, taken by the host of this virtual machine."""
    softirq_s: float
    """Of the kernel's threads that deliver packets when there are too many to be dealt with on the way."""
    own_s: float
    """Of this program and its children that have ended."""

    @classmethod
    def now(cls) -> Moment:
        """Read the kernel's counters."""
        busy, stolen = 0.0, 0.0
        ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        for name, *ticks in (line.split() for line in _lines("/proc/stat")):
            if name in ours:
                user, nice, system, _, _, irq, softirq, steal = (
                    int(tick) / CLOCK_TICKS_PER_S for tick in ticks[:8]
                )
                busy += user + nice + system + irq + softirq
                stolen += steal
        own = os.times()
        used = own.user + own.system + own.children_user + own.children_system
        return cls(time.monotonic(), busy, stolen, _softirq_s(), used)


def wait_for_quiet(limit_s: float) -> None:
    """Wait until hardly anybody else uses the machine, but no longer than `limit_s` seconds."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        before = Moment.now()
        time.sleep(0.2)
        after = Moment.now()
        if after.busy_s - before.busy_s < QUIET_CORES * (after.clock_s - before.clock_s):
            return


@functools.cache
def _softirq_threads() -> list[Path]:
    processes = (path for path in Path("/proc").iterdir() if path.name.isdigit())
    return [path for path in processes if (path / "comm").read_text().startswith("ksoftirqd/")]


def _softirq_s() -> float:
    return sum(int((path / "schedstat").read_text().split()[0]) for path in _softirq_threads()) / 1e9


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
