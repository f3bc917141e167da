"""Run one target under atheris: `run.py NAME [libFuzzer's options]`; `tools/fuzz` calls it."""

from __future__ import annotations

import sys
from importlib import import_module

import atheris


def main() -> None:
    """Give the target octets until time is over or it raises something."""
    name = sys.argv[1]
    with atheris.instrument_imports(include=["perilune"]):
        target = import_module(f"fuzz.targets.{name}")
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
