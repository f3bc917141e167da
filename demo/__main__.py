"""Run the demo, and leave nothing behind.

Exit codes: 0 all of it worked, 1 something did not, 3 this system does not let us, 130 or 143 it was ended.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from rich.console import Console

from demo.show import Stage, save_picture
from demo.story import tell
from lab.daemon import IkeDaemon
from lab.errors import LabError
from lab.privileges import obtain

WIDTH = 100


def main(arguments: list[str] | None = None) -> int:
    """Run it.

    Returns:
        The exit code.
    """
    words = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m demo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--save", type=Path, metavar="FILE.svg", help="write a picture of the output there")
    options = parser.parse_args(words)
    console = Console(record=options.save is not None, highlight=False, width=_width())
    stage = Stage(console)
    try:
        obtain("demo", words)
    except LabError as error:
        stage.fail(str(error))
        return 3
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell ignores it for us
    code = _perform(stage)
    if options.save and code == 0:
        save_picture(console, options.save)
    return code


def _perform(stage: Stage) -> int:
    start = time.monotonic()
    gateways: list[IkeDaemon] = []
    code = 1
    with tempfile.TemporaryDirectory(prefix="perilune-demo-") as directory:
        try:
            tell(stage, Path(directory), gateways)
            code = 0
        except LabError as error:
            stage.fail(str(error), [(gateway.namespace.name, gateway.log()) for gateway in gateways])
        except KeyboardInterrupt:
            stage.console.print("\nInterrupted.")  # begins below the ^C of the terminal
            code = 130
        except SystemExit:
            stage.fail("Told to end.")
            code = 143
    stage.curtain(time.monotonic() - start, code)
    return code


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _width() -> int | None:
    return None if sys.stdout.isatty() else WIDTH


if __name__ == "__main__":
    sys.exit(main())
