"""A real Linux kernel as the peer, and the table of what it and our engine understand of each other."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Protocol

import pytest
from rich.console import Console
from rich.table import Table

from lab.uml import UserModeLinux, require_uml, user_mode_linux
from support.kernel_peer import KernelPeer
from support.peers import absent, need


class Cell(Protocol):
    """What the parameter `case` of a test marked `matrix` has."""

    row: str
    column: str


CELLS: dict[str, Cell] = {}
"""The case of each test, for the table."""

SIGNS = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "error": "[red]✗[/]", "skipped": "[yellow]-[/]"}


@pytest.fixture(scope="session", autouse=True)
def peer_is_there() -> None:
    """Ask for User-Mode Linux, and not for what the other scenarios talk with."""
    if os.geteuid() != 0:
        absent("User-Mode Linux in a PID namespace wants root")
    need(require_uml)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserModeLinux]:
    with user_mode_linux(tmp_path_factory.mktemp("uml")) as kernel:
        yield kernel


@pytest.fixture(scope="module")
def peer(kernel: UserModeLinux) -> KernelPeer:
    return KernelPeer(kernel)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which cell of the table a test is."""
    report = yield
    if isinstance(item, pytest.Function) and item.get_closest_marker("matrix"):
        CELLS[report.nodeid] = item.callspec.params["case"]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table: transforms from top to bottom, modes and families from left to right."""
    signs: dict[tuple[str, str], str] = {}
    for outcome, sign in SIGNS.items():
        for report in terminalreporter.stats.get(outcome, []):
            cell = CELLS.get(getattr(report, "nodeid", ""))
            if cell and (report.when == "call" or outcome != "passed"):
                signs[cell.row, cell.column] = sign
    if not signs:
        return
    columns = sorted(
        {column for _, column in signs}, key=lambda column: (column.split()[0] != "tunnel", column)
    )
    table = Table(title="both ways between us and Linux 6.1", title_justify="left")
    table.add_column("transform")
    for column in columns:
        table.add_column(column.replace(" ", "\n"), justify="center")
    for row in sorted({row for row, _ in signs}):
        table.add_row(row, *(signs.get((row, column), "") for column in columns))
    Console(width=max(140, Console().width) if not terminalreporter.isatty else None).print(table)
