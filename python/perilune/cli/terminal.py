"""Where commands write for people.

What comes from a configuration or a peer may look like Rich's markup (`10.1.0.1/32[tcp/22]`) or like one of
its names of emoji (the middle of `2001:db8:100::1`). It is neither, and is shown as it is.
"""

from __future__ import annotations

import sys

from rich.console import Console

_WIDTH_OF_FILES = 132
"""Columns where the output is no terminal."""


def table_console() -> Console:
    """Return a console for tables, on standard output."""
    return Console(
        width=None if sys.stdout.isatty() else _WIDTH_OF_FILES, markup=False, emoji=False, highlight=False
    )


def error_console() -> Console:
    """Return a console for sentences, on standard error; long ones are left to the terminal."""
    return Console(stderr=True, soft_wrap=True, markup=False, emoji=False, highlight=False)
