"""One run: every row in every round, what came out, and what was left out."""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from benchmarks import engine, machine, profile
from benchmarks.bed import Bed
from benchmarks.ike import flood, rate
from benchmarks.ike.pair import CHARON, KINDS
from benchmarks.measure import CORES, FLOWS, MEASURES, ONCE, Sample, Subject, speed_up, transfer
from benchmarks.progress import Steps
from benchmarks.results import Results
from benchmarks.rows import FORWARDER, OURS, TUNNELS
from benchmarks.tunnels import Tunnel, wait_for_traffic
from lab.errors import LabError, MissingProgramError
from lab.strongswan import require_strongswan

T = TypeVar("T")
PATIENCE_S = 3.0
"""How long to wait for a quiet machine before each row."""
PROFILED = {OURS: "perilune", FORWARDER: "bare forwarder"}
"""Rows that are profiled, by what they are called there."""
CORE_KINDS = {1: "one_core", 2: "two_cores"}


class Run:
    """One run with its settings and results.

    Args:
        options: From the command line.
        bed: The two namespaces.
        directory: For files that go away afterwards.
    """

    def __init__(self, options: argparse.Namespace, bed: Bed, directory: Path) -> None:
        self.options = options
        self.bed = bed
        self.directory = directory
        self.results = Results()

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Everything to do, in order: a name, and what does it and says what came out."""
        rounds = range(1, self.options.rounds + 1)
        found: list[tuple[str, Callable[[], str]]] = []
        for number in rounds:
            found += [(tunnel.name, self._bind(self._tunnel, tunnel, number)) for tunnel in TUNNELS]
        for _ in rounds:
            for parallel in rate.PARALLEL:
                for kind in KINDS:
                    found.append((f"ike {kind}, {parallel}", self._bind(self._rate, kind, parallel)))
        found += [(f"ike memory, {kind}", self._bind(self._ike_memory, kind)) for kind in KINDS]
        found += [(f"ike flood, {kind}", self._bind(self._ike_flood, kind)) for kind in KINDS]
        if self.options.profile:
            chosen = [tunnel for tunnel in TUNNELS if tunnel.name in PROFILED]
            found += [(f"profile {tunnel.name}", self._bind(self._profile, tunnel)) for tunnel in chosen]
        found += [("engine, packets", self._engine_packets), ("engine, scale", self._engine_scale)]
        return [(name, step) for name, step in found if re.search(self.options.only, name)]

    def go(self, progress: Steps) -> None:
        """Do it."""
        for name, step in progress.over(self.steps()):
            if name in self.results.left_out:
                continue
            try:
                machine.wait_for_quiet(PATIENCE_S)
                progress.done(name, step())
            except MissingProgramError as error:
                self.results.left_out[name] = str(error)
                progress.done(name, f"left out: {error}")
            except LabError as error:
                self.results.fail(name, error)
                progress.done(name, f"failed: {error}")

    @staticmethod
    def _bind(function: Callable[..., T], *arguments: object) -> Callable[[], T]:
        return lambda: function(*arguments)

    def _tunnel(self, tunnel: Tunnel, number: int) -> str:
        tunnel.require()
        self.results.versions[tunnel.name] = tunnel.version().strip().partition("\n")[0]
        wanted = [name for name in tunnel.measures if re.search(self.options.measure, name)]
        sample: Sample = {}
        names = [name for name in wanted if name in MEASURES and not (number > 1 and name in ONCE)]
        if names:
            with self._up(tunnel) as subject:
                for name in names:
                    sample |= self._try(f"{tunnel.name}, {name}", MEASURES[name], subject)
        if CORES in wanted and machine.cores() > 1:
            sample |= self._try(f"{tunnel.name}, {CORES}", self._cores, tunnel)
        if sample:
            self.results.tunnels.setdefault(tunnel.name, []).append(sample)
        return ", ".join(f"{key} {value:.3g}" for key, value in sample.items() if not _is_aside(key))

    def _try(self, name: str, measure: Callable[[T], Sample], what: T) -> Sample:
        """Measure; what fails costs no more than its own figures."""
        try:
            return measure(what)
        except LabError as error:
            self.results.fail(name, error)
            return {}

    def _cores(self, tunnel: Tunnel) -> Sample:
        sample: Sample = {}
        for count, kind in CORE_KINDS.items():
            with machine.only(count), self._up(tunnel) as subject:
                sample |= transfer(subject, kind, FLOWS)
        return sample | {"speed_up": speed_up(sample)}

    @contextmanager
    def _up(self, tunnel: Tunnel) -> Iterator[Subject]:
        place = Path(tempfile.mkdtemp(dir=self.directory))
        with tunnel.run(self.bed, place) as running:
            wait_for_traffic(self.bed, running)
            yield Subject(self.bed, running, place, self.options.seconds)

    def _profile(self, tunnel: Tunnel) -> str:
        tunnel.require()
        short = PROFILED[tunnel.name]
        with self._up(tunnel) as subject:
            self.results.profiles[short] = profile.record(subject, "tcp")
            with self.bed.frames_within_mtu():
                self.results.profiles[f"{short}, wire"] = profile.record(subject, "wire")
        return f"{self.results.profiles[short].cpu_s_per_gb:.2f} CPU s/GB"

    def _rate(self, kind: str, parallel: int) -> str:
        found = rate.measure(kind, self.bed, self._place(kind), self.options.set_ups, parallel)
        self.results.set_ups.setdefault(f"{kind}, {parallel}", []).append(found)
        return f"{found.per_cpu_s:.0f} set-ups per CPU second"

    def _ike_memory(self, kind: str) -> str:
        found = rate.memory(kind, self.bed, self._place(kind))
        self.results.kept[kind] = found
        return f"{found.responder_kib:.1f} KiB an IKE SA"

    def _ike_flood(self, kind: str) -> str:
        found = flood.measure(kind, self.bed, self._place(kind))
        self.results.floods[kind] = found
        return f"a good peer takes {found.flooded_ms:.0f} ms, memory grows by {found.grown_mib:.1f} MiB"

    def _engine_packets(self) -> str:
        self.results.engine.packets = engine.read_packets(engine.bench("esp"))
        return f"{len(self.results.engine.packets)} transforms and sizes"

    def _engine_scale(self) -> str:
        text = engine.bench("scale")
        self.results.engine.scale = engine.read_scale(text)
        self.results.engine.stalls = engine.read_stalls(text)
        return f"up to {max(row.sas for row in self.results.engine.scale):,} SAs"

    def _place(self, kind: str) -> Path:
        if kind == CHARON:
            require_strongswan()
        return Path(tempfile.mkdtemp(dir=self.directory))


def _is_aside(key: str) -> bool:
    return key.endswith((".load", ".softirq", ".others", ".stolen", ".resent"))
