"""What a tunnel to be measured is; :mod:`benchmarks.rows` lists them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bed import OUTER, Bed
from lab.errors import LabError
from lab.process import Child, until
from lab.traffic import ping


@dataclass(frozen=True, slots=True)
class Running:
    """A tunnel that carries traffic."""

    target: str
    """Address of b, seen from a through the tunnel."""
    processes: tuple[Child, ...] = ()
    """The tunnel's own programs, both ends."""

    def cpu_s(self) -> float:
        """CPU seconds so far, both ends together."""
        return sum(process.cpu_s() for process in self.processes)

    def scheduled_s(self) -> float:
        """The same, finer, of the threads that live now."""
        return sum(process.scheduled_s() for process in self.processes)

    def resident_octets(self) -> float:
        """Memory of one end, the mean of both, in octets."""
        return sum(process.resident_octets() for process in self.processes) / len(self.processes)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One row of the table; this one is the bare cable.

    Args:
        name: As shown.
        measures: Names of what is measured of it, as in :data:`benchmarks.measure.MEASURES`.
    """

    name: str
    measures: tuple[str, ...]

    def require(self) -> None:
        """Make sure that its programs are installed.

        Raises:
            MissingProgramError: One is not.
        """

    def version(self) -> str:
        """What its program says of itself, or nothing."""
        return ""

    @contextmanager
    def run(self, bed: Bed, directory: Path) -> Iterator[Running]:
        """Bring it up, and down at the end.

        Args:
            bed: The two namespaces.
            directory: For its files.
        """
        yield Running(OUTER["b"])


def wait_for_traffic(bed: Bed, running: Running) -> None:
    """Wait until a ping comes back through the tunnel.

    Raises:
        LabError: None does.
    """
    client = bed.sides["a"]
    try:
        until(lambda: ping(client, running.target, count=1, wait_s=0.5), 12.0, "a ping through the tunnel")
    except LabError as error:
        tails = "\n".join(process.tail(8) for process in running.processes)
        raise LabError(f"{error}\n{tails}") from None
