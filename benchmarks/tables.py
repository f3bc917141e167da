"""Tables, for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as Drawn

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Table:
    """Text in rows; the first column is the rows' names."""

    name: str
    """One word, by which pages ask for it."""
    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def show(self, console: Console) -> None:
        """Print it."""
        drawn = Drawn(title=self.title, title_justify="left")
        for number, title in enumerate(self.head):
            drawn.add_column(title, justify="right" if number else "left")
        for row in self.rows:
            drawn.add_row(*row)
        console.print(drawn)

    def markdown(self) -> str:
        """Return it as Markdown."""
        lines = [self.head, ["---", *["--:"] * (len(self.head) - 1)], *self.rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def number(value: float | None, digits: int) -> str:
    """A figure, or a dash where there is none."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def ratio(value: float | None, to: float | None) -> str:
    """How many times another a figure is, or a dash."""
    return f"{value / to:.2f}" if value is not None and to else NOTHING
