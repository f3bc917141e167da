"""A responder under a flood of first requests: its memory, its cookies, and whether a good peer gets in.

The flood comes over a cable of its own, from forged addresses, ten times as many requests a second as the
responder could complete with a core of its own.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bed import OUTER, Bed
from benchmarks.ike.first_requests import FORGED
from benchmarks.ike.pair import DEFENDED, Pair, pair
from lab.errors import LabError
from lab.namespace import Namespace, cable, namespaces
from lab.process import Child
from lab.traffic import ROOT

TIMES = 10
CALM, UNDER = 40, 20
SECONDS = 8.0
DEVICE = "crowd"
CROWD, RESPONDER = "203.0.113.1", "203.0.113.2"


@dataclass(frozen=True, slots=True)
class Flooded:
    """What a flood did to a responder."""

    requests_per_s: float
    """First requests that were sent, a second."""
    answered_percent: float
    """Of these, how many got an answer."""
    cookie_percent: float
    """Of the answers, how many demanded a cookie."""
    grown_mib: float
    """What the responder's memory grew by at most, from before the flood."""
    calm_ms: float
    """Median time of a good peer's set-up before."""
    flooded_ms: float
    """The same meanwhile."""
    slowest_ms: float
    """The longest meanwhile."""
    failed: int
    """Set-ups of the good peer that did not work meanwhile, of 20."""

    @property
    def octets_a_request(self) -> float:
        """What the responder's memory grew by for each request; an IKE SA takes thousands."""
        return self.grown_mib * 2**20 / (self.requests_per_s * SECONDS)


def measure(kind: str, bed: Bed, directory: Path) -> Flooded:
    """Flood a responder with its protection as it comes.

    Raises:
        LabError: Set-ups do not work even without a flood.
    """
    with crowd(bed) as attacker, pair(kind, bed, directory, CALM + UNDER, DEFENDED) as daemons:
        responder = daemons.responder.child
        used = responder.scheduled_s()
        calm, failures = daemons.set_up(range(CALM))
        if failures:
            raise LabError(f"no set-up worked: {failures[0]}")
        rate = TIMES * CALM / (responder.scheduled_s() - used)
        before = responder.resident_octets()
        with _flood(attacker, directory / "flood.log", rate) as flood:
            latencies, failures, most = _meanwhile(daemons, flood)
            found = flood.wait_for_log(r"sent (\d+) answers (\d+) cookies (\d+)")
        most = max(most, responder.resident_octets())
    sent, answers, cookies = (int(text) for text in found.groups())
    return Flooded(
        requests_per_s=sent / SECONDS,
        answered_percent=answers / sent * 100,
        cookie_percent=cookies / max(answers, 1) * 100,
        grown_mib=(most - before) / 2**20,
        calm_ms=statistics.median(calm) * 1e3,
        flooded_ms=statistics.median(latencies) * 1e3 if latencies else float("inf"),
        slowest_ms=max(latencies, default=float("inf")) * 1e3,
        failed=len(failures),
    )


@contextmanager
def crowd(bed: Bed) -> Iterator[Namespace]:
    """A namespace beside b, with the way to the forged addresses."""
    responder = bed.sides["b"]
    with namespaces("crowd") as (made,):
        cable(made, DEVICE, responder, DEVICE)
        made.address(DEVICE, f"{CROWD}/30")
        made.route(f"{OUTER['b']}/32", RESPONDER)
        responder.address(DEVICE, f"{RESPONDER}/30")
        responder.route(str(FORGED), CROWD)
        yield made


def _flood(attacker: Namespace, log: Path, rate: float) -> Child:
    words = (OUTER["b"], DEVICE, f"{rate:.0f}", f"{SECONDS:g}")
    program = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-s", "-m", "benchmarks.ike.first_requests")
    return attacker.spawn("first requests", *program, *words, log=log)


def _meanwhile(daemons: Pair, flood: Child) -> tuple[list[float], list[str], float]:
    """Set up one after the other over the time of the flood; also say how much memory was in use at most."""
    start, most = time.monotonic(), 0.0
    latencies: list[float] = []
    failures: list[str] = []
    for number in range(CALM, CALM + UNDER):
        # a second for the flood to take hold; the last one begins a second before its end
        begin = start + 1 + (number - CALM) * (SECONDS - 2) / UNDER
        time.sleep(max(0.0, begin - time.monotonic()))
        if flood.returncode is not None:
            break
        done, failed = daemons.set_up([number])
        latencies += done
        failures += failed
        most = max(most, daemons.responder.child.resident_octets())
    return latencies, failures, most
