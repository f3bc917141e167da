"""Where the files of an audit log end, read without reading them whole."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path as FilePath

from perilune.agent.audit.chain import LONGEST_LINE_OCTETS, Head, decode_line, digest_of
from perilune.model.errors import LocalError


@dataclass(frozen=True, slots=True)
class LogEnd:
    """How a file ends."""

    head: Head | None = None
    """Of its last whole line; None where there is none."""

    torn: bytes = b""
    """What is behind it: the beginning of a line."""

    is_empty: bool = False
    """Whether there is no whole line."""

    is_unreadable: bool = False
    """Whether the last whole line is none of an audit log."""


def older_files(log: FilePath) -> list[FilePath]:
    """Return the files of a log that were put aside, oldest first."""
    found = log.parent.glob(f"{log.name}.*")
    return sorted(path for path in found if path.name[len(log.name) + 1 :].isdecimal())


def read_head(path: FilePath) -> Head | None:
    """Return the head that a file remembers; None where there is no such file, or nothing in it.

    Raises:
        LocalError: It cannot be read, or names no head.
    """
    try:
        text = path.read_text("ascii", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LocalError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return Head.parse(text) if text else None
    except LocalError as error:
        raise LocalError(f"{path}: {error}") from error


def read_end(descriptor: int) -> LogEnd:
    """Return how an open file ends.

    Raises:
        OSError: It cannot be read.
    """
    octets = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 2 * LONGEST_LINE_OCTETS, max(0, octets - 2 * LONGEST_LINE_OCTETS))
    whole, line_feed, torn = tail.rpartition(b"\n")
    if not line_feed:
        return LogEnd(torn=torn, is_empty=True)
    line = whole.rpartition(b"\n")[2]
    try:
        return LogEnd(Head(decode_line(line)["n"], digest_of(line)), torn)
    except LocalError:
        return LogEnd(torn=torn, is_unreadable=True)


def first_number(descriptor: int) -> int | None:
    """Return the number of the first line of an open file; None where there is none that can be read.

    Raises:
        OSError: It cannot be read.
    """
    line, line_feed, _ = os.pread(descriptor, LONGEST_LINE_OCTETS, 0).partition(b"\n")
    try:
        return int(decode_line(line)["n"]) if line_feed else None
    except LocalError:
        return None
