"""Compare tunnels and IKE daemons on this machine.

Exit codes: 0 it is measured (what is not installed is named and left out), 1 something failed, 3 this system
does not let us.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from rich.console import Console

from benchmarks import report
from benchmarks.bed import bed
from benchmarks.chart import draw
from benchmarks.machine import describe
from benchmarks.measure import CORES, MEASURES
from benchmarks.page import renew
from benchmarks.progress import Steps
from benchmarks.results import Results
from benchmarks.run import Run
from lab import iperf
from lab.errors import LabError, MissingProgramError
from lab.privileges import obtain

WIDTH = 150
ADVICE = """\
Both ends, iperf3 and the tunnel share the cores, so compare rows of one run only. 'wire' is without any \
frame over the MTU; otherwise veth passes segments on in one piece, which flatters whoever sends with \
offloads. 'others' are cores that strangers' programs used at worst, 'stolen' those that the host took: \
where they are not small, rates mean little."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, default=2.0, help="of TCP for each tunnel and round")
    parser.add_argument("--set-ups", type=int, default=300, help="IKE set-ups of each daemon and round")
    parser.add_argument(
        "--only", default="", metavar="REGEX", help="rows to measure; IKE rows begin with 'ike '"
    )
    names = " ".join([*MEASURES, CORES])
    parser.add_argument(
        "--measure", default="", metavar="REGEX", help=f"what to measure of tunnels, of: {names}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="renew its tables, as docs/performance.md has them"
    )
    parser.add_argument(
        "--profile", type=Path, metavar="FILE.svg", help="draw where the time goes there (needs perf)"
    )
    parser.add_argument("--quiet", action="store_true", help="tables only")
    return parser.parse_args(arguments)


def main() -> int:
    """Measure.

    Returns:
        The exit code.
    """
    options = parse(sys.argv[1:])
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    try:
        obtain("benchmarks", sys.argv[1:])
        if not iperf.installed():
            raise MissingProgramError("iperf3", "iperf3")
    except LabError as error:
        console.print(str(error), style="red")
        return 3
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory(prefix="perilune-bench-") as directory, bed() as made:
        run = Run(options, made, Path(directory))
        try:
            run.go(Steps(quiet=options.quiet))
        except (KeyboardInterrupt, SystemExit):  # what was measured so far is shown
            run.results.failed = True
    show(console, run.results)
    if options.json:
        run.results.write_json(options.json)
    if options.profile and run.results.profiles:
        options.profile.write_text(draw(run.results.profiles))
    if options.page:
        settings = f"{options.rounds} rounds, {options.seconds:g} s of TCP, {options.set_ups} set-ups"
        console.print(f"{options.page}: renewed {', '.join(renew(options.page, run.results, settings))}")
    return 1 if run.results.failed else 0


def show(console: Console, results: Results) -> None:
    """Print the tables and what was left out."""
    console.print(describe(), style="bold")
    for table in report.tables(results):
        table.show(console)
    for name, version in results.versions.items():
        if version:
            console.print(f"{name}: {version}", style="dim")
    for name, reason in results.left_out.items():
        console.print(f"left out: {name}: {reason}", markup=False)
    console.print(ADVICE, style="dim")


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
