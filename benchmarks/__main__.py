"""Compare tunnels and IKE daemons on this machine.

Exit codes: 0 it is measured (what is not installed is named and left out), 1 something failed, 3 this system
does not let us.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from rich.console import Console

from benchmarks import ike_rate, report
from benchmarks.ike_rate import Rate
from benchmarks.machine import describe
from benchmarks.measure import Sample, measure
from benchmarks.tunnels import OUTER, TUNNELS, Tunnel, wait_for_traffic
from lab import iperf
from lab.errors import LabError, MissingProgramError
from lab.namespace import Namespace, cable, namespaces
from lab.privileges import obtain
from lab.strongswan import require_strongswan


class Run:
    """One run with its settings and results.

    Args:
        options: From the command line.
        console: For the tables.
        directory: For files that go away afterwards.
    """

    def __init__(self, options: argparse.Namespace, console: Console, directory: Path) -> None:
        self.options = options
        self.console = console
        self.directory = directory
        self.samples: dict[str, list[Sample]] = {}
        self.set_ups: dict[str, list[Rate]] = {}
        self.left_out: dict[str, str] = {}
        self.failed = False

    def tunnels(self, sides: dict[str, Namespace]) -> None:
        """Measure every tunnel, round by round."""
        wanted = [tunnel for tunnel in TUNNELS if re.search(self.options.only, tunnel.name)]
        for number in range(1, self.options.rounds + 1):
            for tunnel in wanted:
                if tunnel.name not in self.left_out:
                    self._tunnel(tunnel, sides, number)

    def _tunnel(self, tunnel: Tunnel, sides: dict[str, Namespace], number: int) -> None:
        place = Path(tempfile.mkdtemp(dir=self.directory))
        try:
            tunnel.require()
            with tunnel.run(sides, place) as running:
                wait_for_traffic(sides, running)
                sample = measure(sides, running, place / "iperf3.log", self.options.seconds)
        except MissingProgramError as error:
            self.left_out[tunnel.name] = str(error)
        except LabError as error:
            self._fail(tunnel.name, error)
        else:
            self.samples.setdefault(tunnel.name, []).append(sample)
            self._progress(f"round {number}: {tunnel.name}: {sample.gbit_per_s:.2f} Gbit/s")

    def rates(self, sides: dict[str, Namespace]) -> None:
        """Measure the IKE set-ups of each kind of daemon, round by round."""
        for number in range(1, self.options.rounds + 1):
            for parallel in (1, 8):
                for kind in ike_rate.KINDS:
                    name = f"{kind}, {parallel}"
                    if re.search(self.options.only, f"ike {name}") and name not in self.left_out:
                        self._rate(kind, name, parallel, sides, number)

    def _rate(self, kind: str, name: str, parallel: int, sides: dict[str, Namespace], number: int) -> None:
        place = Path(tempfile.mkdtemp(dir=self.directory))
        try:
            if kind == "strongSwan":
                require_strongswan()
            rate = ike_rate.measure(kind, sides, place, self.options.set_ups, parallel)
        except MissingProgramError as error:
            self.left_out[name] = str(error)
        except LabError as error:
            self._fail(f"IKE set-ups of {name}", error)
        else:
            self.set_ups.setdefault(name, []).append(rate)
            self._progress(f"round {number}: {name} at once: {rate.per_cpu_s:.0f} set-ups per CPU second")

    def _fail(self, name: str, error: LabError) -> None:
        self.left_out[name] = str(error)
        self.failed = True
        self._progress(f"{name}: {error}")

    def _progress(self, text: str) -> None:
        if not self.options.quiet:
            sys.stderr.write(text + "\n")

    def show(self) -> None:
        """Print the tables and what was left out."""
        self.console.print(describe(), style="bold")
        if self.samples:
            report.tunnels(self.console, self.samples, self.options.rounds, self.options.seconds)
        if self.set_ups:
            report.rates(self.console, self.set_ups, self.options.set_ups)
        for name, reason in self.left_out.items():
            self.console.print(f"left out: {name}: {reason}")
        self.console.print(
            "Both ends, iperf3 and the tunnel share the cores, so compare rows of one run only. veth passes "
            "segments on in one piece, which flatters whoever sends with offloads.",
            style="dim",
        )
        if self.options.json:
            report.write_json(self.options.json, self.samples, self.set_ups, self.left_out)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, default=2.0, help="of TCP for each tunnel and round")
    parser.add_argument("--set-ups", type=int, default=300, help="IKE set-ups of each daemon and round")
    parser.add_argument(
        "--only", default="", metavar="REGEX", help="rows to measure; IKE rows begin with 'ike '"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--quiet", action="store_true", help="tables only")
    return parser.parse_args(arguments)


def main() -> int:
    """Measure.

    Returns:
        The exit code.
    """
    options = parse(sys.argv[1:])
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    try:
        obtain("benchmarks", sys.argv[1:])
        if not iperf.installed():
            raise MissingProgramError("iperf3", "iperf3")
    except LabError as error:
        console.print(str(error), style="red")
        return 3
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory(prefix="perilune-bench-") as directory, namespaces("a", "b") as (a, b):
        sides = {"a": a, "b": b}
        cable(a, "wire", b, "wire")
        for side, namespace in sides.items():
            namespace.address("wire", f"{OUTER[side]}/24")
        run = Run(options, console, Path(directory))
        try:
            run.tunnels(sides)
            run.rates(sides)
        except KeyboardInterrupt:
            run.failed = True
        run.show()
    return 1 if run.failed else 0


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
