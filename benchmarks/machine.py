"""The machine that measures: what it is, and how much of it others use meanwhile."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

from lab.process import CLOCK_TICKS_PER_S


def describe() -> str:
    """Processor, cores and kernel."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    kernel = f"{platform.system()} {platform.release()}"
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {kernel}, Python {platform.python_version()}"


@dataclass(frozen=True, slots=True)
class Moment:
    """CPU seconds so far."""

    busy_s: float
    """Of all cores, by whatever program."""
    stolen_s: float
    """Taken by the host of this virtual machine."""
    own_s: float
    """Of this program and its children that have ended."""

    @classmethod
    def now(cls) -> Moment:
        """Read the kernel's counters."""
        fields = [int(field) / CLOCK_TICKS_PER_S for field in _lines("/proc/stat")[0].split()[1:]]
        user, nice, system, _, _, irq, softirq, stolen = fields[:8]
        own = os.times()
        used = own.user + own.system + own.children_user + own.children_system
        return cls(user + nice + system + irq + softirq, stolen, used)


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
