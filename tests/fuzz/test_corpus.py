"""What the fuzzers found interesting, each time the tests run; a crash they find becomes a file there."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TARGETS = sorted(path.stem for path in (HERE / "targets").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", TARGETS)
def test_saved_inputs_break_nothing(name: str) -> None:
    run = import_module(f"fuzz.targets.{name}").run
    saved = sorted((HERE / "corpus" / name).iterdir())
    assert saved
    for path in saved:
        run(path.read_bytes())
