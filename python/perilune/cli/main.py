"""The command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

import click

from perilune.cli.client import CommandError
from perilune.cli.commands.audit import audit
from perilune.cli.commands.boundary import boundary
from perilune.cli.commands.check import check
from perilune.cli.commands.log import log
from perilune.cli.commands.policies import policies
from perilune.cli.commands.run import run
from perilune.cli.commands.sa import sa
from perilune.cli.commands.sas import initiate, rekey, terminate
from perilune.cli.commands.status import status
from perilune.cli.exit_codes import ExitCode
from perilune.cli.terminal import error_console
from perilune.config.problems import InvalidConfigError
from perilune.model.errors import IpsecError, ResourceError


def package_version() -> str:
    """Return the version of this package as it is installed."""
    try:
        return version("perilune")
    except PackageNotFoundError:
        return "not installed"


class _Commands(click.Group):
    """Commands whose reader may have seen enough, as `head` has; click would end with 1."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _let_go_of_output()
            return None


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_version(), prog_name="perilune")
def perilune() -> None:
    """IPsec: IKEv2, ESP and AH, configured as swanctl is.

    'perilune run' is the daemon; the other commands speak to it over its control socket. Exit codes: 1 it was
    refused, 2 wrong use or configuration, 3 no daemon, 4 too late, 5 the system does not allow it, 6 an audit
    log is not whole.
    """


for _command in (audit, boundary, check, initiate, log, policies, rekey, run, sa, status, terminate):
    perilune.add_command(_command)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and end the process with its exit code."""
    sys.exit(exit_code_of(lambda: perilune.main(arguments, prog_name="perilune", standalone_mode=False)))


def exit_code_of(command: Callable[[], object]) -> int:
    """Run a command; what goes wrong on purpose becomes a sentence and an exit code."""
    try:
        command()
        sys.stdout.flush()
    except (click.exceptions.Exit, SystemExit) as done:
        return _code_of(done)
    except click.ClickException as error:
        error.show()
        return ExitCode.WRONG_USE
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        _let_go_of_output()
        return ExitCode.DONE
    except IpsecError as error:
        return _explained(error)
    return ExitCode.DONE


def _let_go_of_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _code_of(done: click.exceptions.Exit | SystemExit) -> int:
    if isinstance(done.__context__, BrokenPipeError):
        return ExitCode.DONE  # Rich ends with 1 then
    code = done.exit_code if isinstance(done, click.exceptions.Exit) else done.code
    return code if isinstance(code, int) else ExitCode.DONE


def _explained(error: IpsecError) -> int:
    console = error_console()
    match error:
        case CommandError():
            console.print(f"perilune: {error}")
            if error.hint:
                console.print(f"  {error.hint}", style="dim")
            return error.code
        case InvalidConfigError():
            for one in error.errors:
                console.print(str(one))
            return ExitCode.WRONG_USE
        case _:
            console.print(f"perilune: {error}")
            return ExitCode.NOT_ALLOWED if isinstance(error, ResourceError) else ExitCode.WRONG_USE
