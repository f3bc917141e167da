"""IKE set-ups: how many a second of CPU time, IKE SA and Child SA together; and what an IKE SA keeps."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bed import Bed
from benchmarks.ike.pair import Pair, pair
from lab.errors import LabError

PARALLEL = (1, 8)
"""How many set-ups at once."""
KEPT_BEFORE, KEPT = 200, 1000
"""Memory is measured between so many IKE SAs and so many more."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One round of one kind of daemon."""

    per_s: float
    """Set-ups per second of the clock, both ends on this machine."""
    initiator_cpu_ms: float
    """CPU time of the initiator for one, in milliseconds."""
    responder_cpu_ms: float
    """CPU time of the responder for one, in milliseconds."""
    latency_ms: float
    """Median time of one, in milliseconds."""
    failed: int
    """Set-ups that did not work out."""

    @property
    def per_cpu_s(self) -> float:
        """Set-ups per second of CPU time of both ends together."""
        return 1e3 / (self.initiator_cpu_ms + self.responder_cpu_ms)


@dataclass(frozen=True, slots=True)
class Kept:
    """What IKE SAs, each with a Child SA, keep of memory."""

    responder_kib: float
    """The responder for each, in KiB."""
    initiator_kib: float
    """The initiator for each, in KiB."""


def measure(kind: str, bed: Bed, directory: Path, count: int, parallel: int) -> Rate:
    """Set `count` tunnels up, `parallel` at a time.

    Raises:
        LabError: Not even one worked.
    """
    with pair(kind, bed, directory, count) as daemons:
        before, start = _scheduled_s(daemons), time.monotonic()
        latencies, failures = daemons.set_up(range(count), parallel)
        took, after = time.monotonic() - start, _scheduled_s(daemons)
    if not latencies:
        raise LabError(f"no set-up worked: {failures[0]}")
    done = len(latencies)
    initiator, responder = ((late - early) / done * 1e3 for early, late in zip(before, after, strict=True))
    return Rate(
        per_s=done / took,
        initiator_cpu_ms=initiator,
        responder_cpu_ms=responder,
        latency_ms=statistics.median(latencies) * 1e3,
        failed=len(failures),
    )


def memory(kind: str, bed: Bed, directory: Path) -> Kept:
    """Set many up, and look how the resident memory of both daemons grows.

    Raises:
        LabError: One did not work.
    """
    with pair(kind, bed, directory, KEPT_BEFORE + KEPT) as daemons:
        _all_of(daemons, range(KEPT_BEFORE))
        before = _resident_kib(daemons)
        _all_of(daemons, range(KEPT_BEFORE, KEPT_BEFORE + KEPT))
        after = _resident_kib(daemons)
    initiator, responder = ((late - early) / KEPT for early, late in zip(before, after, strict=True))
    return Kept(responder_kib=responder, initiator_kib=initiator)


def _all_of(daemons: Pair, numbers: range) -> None:
    _, failures = daemons.set_up(numbers, max(PARALLEL))
    if failures:
        raise LabError(f"{len(failures)} set-ups failed: {failures[0]}")


def _scheduled_s(daemons: Pair) -> tuple[float, float]:
    return daemons.initiator.child.scheduled_s(), daemons.responder.child.scheduled_s()


def _resident_kib(daemons: Pair) -> tuple[float, float]:
    initiator, responder = daemons.initiator.child, daemons.responder.child
    return initiator.resident_octets() / 1024, responder.resident_octets() / 1024
