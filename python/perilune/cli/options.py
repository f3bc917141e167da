"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any, TypeVar

import click

from perilune.cli.client import DEFAULT_URI, CommandError
from perilune.cli.exit_codes import ExitCode

Command = TypeVar("Command", bound=Callable[..., Any])

LONGEST_WAIT_S = 86400
CONFIG_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=FilePath)


def _waitable(_context: click.Context, _option: click.Parameter, seconds: float) -> float:
    """Return the number; `nan` and `inf` are none."""
    if not 0 < seconds <= LONGEST_WAIT_S:
        raise click.BadParameter(f"{seconds:g} is no number of seconds above 0 and up to {LONGEST_WAIT_S}")
    return seconds


def uri_option(command: Command) -> Command:
    """Add `--uri`."""
    return click.option(
        "--uri",
        envvar="PERILUNE_URI",
        default=DEFAULT_URI,
        show_default=True,
        show_envvar=True,
        metavar="URI",
        help="The daemon's control socket.",
    )(command)


def timeout_option(command: Command) -> Command:
    """Add `--timeout`."""
    return click.option(
        "--timeout",
        type=float,
        callback=_waitable,
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for it to be done.",
    )(command)


def sa_options(command: Command) -> Command:
    """Add the options that name SAs which exist."""
    for option in (
        click.option(
            "--child-id", type=click.IntRange(min=1), metavar="ID", help="The child with this number."
        ),
        click.option(
            "--ike-id", type=click.IntRange(min=1), metavar="ID", help="The IKE SA with this number."
        ),
        click.option("--child", metavar="NAME", help="Children of this name."),
        click.option("--ike", metavar="NAME", help="IKE SAs of this connection, or the child's."),
    ):
        command = option(command)
    return command


def chosen_sas(**options: str | int | None) -> dict[str, str | bytes]:
    """Return the part of a request that says which SAs are meant.

    Args:
        options: `ike`, `child`, `ike_id` and `child_id` as they were given.

    Raises:
        CommandError: No option was given.
    """
    chosen: dict[str, str | bytes] = {
        name.replace("_", "-"): str(value) for name, value in options.items() if value is not None
    }
    if not chosen:
        message = "which SAs? give --ike NAME, --child NAME, --ike-id ID or --child-id ID"
        raise CommandError(message, ExitCode.WRONG_USE, "'perilune status' shows names and numbers")
    return chosen
