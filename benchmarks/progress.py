"""How far a run is: a bar on a terminal, else a line for each thing that is done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")


class Steps:
    """Shows the steps of a run on standard error.

    Args:
        quiet: Show nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        # drawn only between two steps: drawing costs CPU time, which is what we measure
        self._progress = Progress(
            TextColumn("{task.description:<44}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            auto_refresh=False,
            transient=True,
            disable=not self._console.is_terminal,
        )

    def over(self, steps: list[tuple[str, T]]) -> Iterator[tuple[str, T]]:
        """Go through the steps, each of them with its name."""
        with self._progress:
            task = self._progress.add_task("", total=len(steps))
            for name, step in steps:
                self._progress.update(task, description=name, refresh=True)
                yield name, step
                self._progress.advance(task)

    def done(self, name: str, text: str) -> None:
        """Say what came out of a step."""
        self._console.print(f"{name}: {text}", markup=False)
