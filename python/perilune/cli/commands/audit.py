"""`perilune audit`: reads the audit log, and finds out whether it is whole."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import BinaryIO

import click

from perilune.agent.audit.chain import LONGEST_LINE_OCTETS, Head, decode_line
from perilune.agent.audit.verify import Verifier
from perilune.cli.client import Client, CommandError, text_of
from perilune.cli.exit_codes import ExitCode
from perilune.cli.options import uri_option
from perilune.cli.terminal import error_console
from perilune.model.errors import LocalError
from perilune.shell.audit_end import older_files, read_head
from perilune.shell.audit_file import head_path

_WATCH_S = 0.2
_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=FilePath)


@click.group()
def audit() -> None:
    """The audit log: what happened to SAs and policies, in lines that cannot be changed unseen."""


@audit.command()
@click.argument("file", type=_FILE, required=False)
@click.option("--follow", is_flag=True, help="Show new lines as they come, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="The lines as they are, one JSON object each.")
@uri_option
def show(file: FilePath | None, follow: bool, as_json: bool, uri: str) -> None:
    """Show the audit log; without FILE, the one of the daemon that runs.

    Files that were put aside come first.
    """
    log = file or _asked(uri)[0]
    for path in older_files(log):
        for line in _lines(path):
            click.echo(_as_it_is(line) if as_json else shown(line))
    for line in _followed(log) if follow else _lines(log):
        click.echo(_as_it_is(line) if as_json else shown(line))


@audit.command()
@click.argument("file", type=_FILE, required=False)
@click.option("--head", metavar="N:DIGEST", help="A record that must be in it, as you remember it.")
@uri_option
def verify(file: FilePath | None, head: str | None, uri: str) -> None:
    """Check that no line of the audit log was changed, left out or added, and that its end is there.

    Without FILE, the log of the daemon that runs is checked against what the daemon remembers; with FILE,
    against FILE.head. Files that were put aside are checked first. The exit code is 6 if it is not whole.
    """
    given = Head.parse(head) if head else None
    log, known = (file, read_head(head_path(file))) if file else _asked(uri)
    verifier = Verifier(tuple(one for one in (given, known) if one))
    for path in [*older_files(log), log]:
        verifier.read(str(path), _lines(path))
    findings = verifier.finish()
    if findings:
        for finding in findings:
            error_console().print(str(finding))
        raise CommandError(f"{log} is not whole", ExitCode.NOT_WHOLE, _advice(verifier))
    against = "" if verifier.remembered else ", but no head is known that it could be compared with"
    click.echo(f"{verifier.head.number} records, unbroken{against}")
    click.echo(f"head {verifier.head}")


def _advice(verifier: Verifier) -> str:
    # What the last record read says of itself, only a record behind it would confirm.
    last = verifier.head.number
    return (
        f"the chain confirms the records before {last}; see docs/user/auditing.md for what each finding means"
    )


def _asked(uri: str) -> tuple[FilePath, Head]:
    """Return the log of the daemon that runs, and its head."""
    with Client(uri) as client:
        answer = client.request("perilune-audit")
    return FilePath(text_of(answer, "path")), Head.parse(text_of(answer, "head"))


def shown(line: bytes) -> str:
    """Return what a line says in words; whoever wrote it, a terminal only prints them."""
    try:
        document = decode_line(line)
    except LocalError as error:
        return f"(a line that cannot be read: {error})"
    words = [_word(document.pop(key)) for key in ("n", "time", "event")]
    document.pop("previous")
    words += [f"{_word(key)}={_word(value)}" for key, value in document.items()]
    return " ".join(words)


def _as_it_is(line: bytes) -> str:
    return line.decode("ascii", errors="backslashreplace").rstrip("\n")


def _word(value: object) -> str:
    """Return a field as one word, or in quotes."""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    is_word = text.isascii() and text.isprintable() and " " not in text and text
    return text if is_word else json.dumps(text).replace("\x7f", "\\u007f")


def _lines(path: FilePath) -> Iterator[bytes]:
    """Yield the lines of a file; one that is too long comes in pieces, none of which can be read."""
    with _reading(path) as file:
        while line := file.readline(LONGEST_LINE_OCTETS + 1):
            yield line


def _followed(path: FilePath) -> Iterator[bytes]:
    """Yield the lines of a file, and those that are added, also behind its being put aside."""
    while True:
        with _reading(path) as file:
            yield from _until_put_aside(path, file)


@contextmanager
def _reading(path: FilePath) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}", ExitCode.NOT_ALLOWED) from error


def _until_put_aside(path: FilePath, file: BinaryIO) -> Iterator[bytes]:
    line, put_aside = b"", False
    while True:
        line += file.readline(LONGEST_LINE_OCTETS + 1)
        if line.endswith(b"\n"):
            yield line
            line = b""
        elif put_aside:
            return
        else:
            put_aside = _is_put_aside(path, file)
            if not put_aside:
                time.sleep(_WATCH_S)


def _is_put_aside(path: FilePath, file: BinaryIO) -> bool:
    try:
        return not os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
