"""What a run found."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.engine import EngineFigures
from benchmarks.ike.flood import Flooded
from benchmarks.ike.rate import Kept, Rate
from benchmarks.machine import describe
from benchmarks.measure import Sample
from benchmarks.profile import Profile
from lab.errors import LabError

ERROR_LENGTH = 600
"""Of an error's text the end is kept: there is a log's last line."""


@dataclass(slots=True)
class Results:
    """Every figure of every round."""

    tunnels: dict[str, list[Sample]] = field(default_factory=dict)
    """By the row's name, a sample for each round."""
    set_ups: dict[str, list[Rate]] = field(default_factory=dict)
    """By daemon and number at once, one for each round."""
    kept: dict[str, Kept] = field(default_factory=dict)
    """Memory of an IKE SA, by daemon."""
    floods: dict[str, Flooded] = field(default_factory=dict)
    """What a flood of first requests did, by daemon."""
    engine: EngineFigures = field(default_factory=EngineFigures)
    """What the engine's own benchmarks found."""
    profiles: dict[str, Profile] = field(default_factory=dict)
    """Where the time goes, by what was sent over what."""
    versions: dict[str, str] = field(default_factory=dict)
    """What the programs of the rows say of themselves."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Rows that are not there, and why."""
    failed: bool = False
    """Whether something went wrong."""

    def fail(self, name: str, error: LabError) -> None:
        """Note that something went wrong."""
        self.left_out[name] = str(error)[-ERROR_LENGTH:]
        self.failed = True

    def rounds(self, tunnel: str, figure: str) -> list[float]:
        """A figure of a tunnel in all the rounds that have it."""
        return [sample[figure] for sample in self.tunnels.get(tunnel, []) if figure in sample]

    def median(self, tunnel: str, figure: str) -> float | None:
        """Its median, or None when it was not measured."""
        values = self.rounds(tunnel, figure)
        return statistics.median(values) if values else None

    def responder_cpu_ms(self, daemon: str) -> float:
        """Median CPU time of a set-up on the responder, in milliseconds."""
        return statistics.median(rate.responder_cpu_ms for rate in self.set_ups[daemon])

    def worst(self, tunnel: str, ending: str) -> float:
        """Largest of the figures of a tunnel whose names end so."""
        samples = self.tunnels.get(tunnel, [])
        found = [value for sample in samples for key, value in sample.items() if key.endswith(ending)]
        return max(found, default=0.0)

    def write_json(self, path: Path) -> None:
        """Write everything to a file."""
        figures = {
            "machine": describe(),
            "tunnels": self.tunnels,
            "ike": {name: [asdict(rate) for rate in rounds] for name, rounds in self.set_ups.items()},
            "ike_memory": {name: asdict(kept) for name, kept in self.kept.items()},
            "ike_flood": {name: asdict(flood) for name, flood in self.floods.items()},
            "engine": asdict(self.engine),
            "profiles": {name: asdict(profile) for name, profile in self.profiles.items()},
            "versions": self.versions,
            "left_out": self.left_out,
        }
        path.write_text(json.dumps(figures, indent=1) + "\n")
