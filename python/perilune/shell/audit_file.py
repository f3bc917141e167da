"""The file of the audit log: appended to, continued behind a restart, put aside when it is large.

    audit.log               the newest lines
    audit.log.head          number and digest of the last line
    audit.log.00000000001   older lines, named after the first of them

The head is written behind each line, so it never names a line that was not written. It shows a log that lost
its end, unless whoever took the end away could write the head too.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path as FilePath
from typing import Final

from perilune.agent.audit.chain import GENESIS, Head, encode_line
from perilune.agent.audit.record import AuditRecord
from perilune.model.errors import LocalError, ResourceError
from perilune.shell.audit_end import LogEnd, first_number, older_files, read_end, read_head

_NUMBER_DIGITS: Final = 11
_LOG_FLAGS: Final = os.O_APPEND | os.O_CLOEXEC | os.O_CREAT | os.O_NOFOLLOW | os.O_RDWR
_HEAD_FLAGS: Final = os.O_CLOEXEC | os.O_CREAT | os.O_NOFOLLOW | os.O_WRONLY
_ONLY_OWNER: Final = 0o600


def head_path(log: FilePath) -> FilePath:
    """Return the file with the head of a log."""
    return log.with_name(f"{log.name}.head")


class AuditFile:
    """An open log that lines are appended to.

    Args:
        path: Where it is; its directory must exist.
        largest_octets: From which size on a new file is begun; 0 never.
        on_notice: Told, in words, when the log is not as it was left.

    Raises:
        ResourceError: From every method: the system refuses, and nothing was written.
    """

    def __init__(self, path: FilePath, largest_octets: int, on_notice: Callable[[str], None]) -> None:
        self._path = path
        self._largest_octets = largest_octets
        self._notice = on_notice
        self._log = -1
        self._head_file = -1
        self._octets = 0
        self._first = 1
        self._is_torn = False
        self.head = GENESIS
        """Of the chain so far."""

    def open(self, started: AuditRecord, time: datetime) -> None:
        """Open the log, write that it was, and what became of it since it was last written to."""
        remembered = self._remembered()
        self._open_log()
        with _refusals(head_path(self._path), "open"):
            self._head_file = os.open(head_path(self._path), _HEAD_FLAGS, _ONLY_OWNER)
        end = self._read_end()
        self.head = end.head or remembered or GENESIS
        self._first = self._first_number()
        self._write(started, time)
        for record in _changes_since(end, remembered):
            self._notice(f"{record.event}: {record.fields['text']}")
            self._write(record, time)

    def append(self, record: AuditRecord, time: datetime) -> None:
        """Write one line."""
        self._follow_name()
        self._follow_size(time)
        if self._largest_octets and self._octets >= self._largest_octets:
            self._begin_new_file()
        self._write(record, time)

    def sync(self) -> Callable[[], None]:
        """Return a function that has the disc keep what was written; another thread may call it, once."""
        with _refusals(self._path, "keep"):
            descriptor = os.dup(self._log)

        def keep() -> None:
            try:
                with _refusals(self._path, "keep"):
                    os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

        return keep

    def close(self) -> None:
        """Close the log; may be called again."""
        for descriptor in (self._log, self._head_file):
            if descriptor >= 0:
                os.close(descriptor)
        self._log = self._head_file = -1

    def _remembered(self) -> Head | None:
        try:
            return read_head(head_path(self._path))
        except LocalError as error:
            self._notice(str(error))
            return None

    def _open_log(self) -> None:
        with _refusals(self._path, "open"):
            descriptor = os.open(self._path, _LOG_FLAGS, _ONLY_OWNER)
        try:
            with _refusals(self._path, "lock", "another daemon writes to it"):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ResourceError:
            os.close(descriptor)
            raise
        if self._log >= 0:
            os.close(self._log)
        self._log = descriptor
        self._octets = os.fstat(descriptor).st_size
        self._first = self._first_number()
        self._is_torn = False

    def _first_number(self) -> int:
        """Return the number of the file's first line, there or to come."""
        with _refusals(self._path, "read"):
            return first_number(self._log) or self.head.number + 1

    def _read_end(self) -> LogEnd:
        """Return where the chain ends, without a beginning of a line that a crash left behind."""
        end = read_end(self._log)
        if end.torn:
            with _refusals(self._path, "repair"):
                os.ftruncate(self._log, self._octets - len(end.torn))
            self._octets -= len(end.torn)
        if end.is_empty:
            for path in reversed(older_files(self._path)):
                with _refusals(path, "read"), path.open("rb") as file:
                    return read_end(file.fileno())
        return end

    def _follow_name(self) -> None:
        """Begin a new file if somebody put ours aside, as logrotate does."""
        with _refusals(self._path, "find"):
            ours = os.fstat(self._log)
        try:
            named = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            self._open_log()
            return
        except OSError as error:
            raise ResourceError(f"cannot find {self._path}: {error.strerror or error}") from error
        if (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino):
            self._open_log()

    def _follow_size(self, time: datetime) -> None:
        """Cut off what a full disc left of a line, and write down if somebody else changed the file."""
        with _refusals(self._path, "repair"):
            if self._is_torn:
                os.ftruncate(self._log, self._octets)
                self._is_torn = False
            octets = os.fstat(self._log).st_size
        if octets != self._octets:
            text = f"{self._path} has {octets} octets, where {self._octets} were written"
            self._octets = octets
            self._notice(f"log_gap: {text}")
            self._write(AuditRecord("log_gap", {"text": text}), time)

    def _begin_new_file(self) -> None:
        aside = self._path.with_name(f"{self._path.name}.{self._first:0{_NUMBER_DIGITS}}")
        with _refusals(self._path, "put aside"):
            os.fdatasync(self._log)
            if aside.exists():
                raise FileExistsError(17, f"{aside} exists")
            self._path.rename(aside)
        self._open_log()

    def _write(self, record: AuditRecord, time: datetime) -> None:
        line, head = encode_line(record, time, self.head)
        with _refusals(self._path, "write"):
            written = os.write(self._log, line)
            if written < len(line):
                self._is_torn = True
                raise OSError(28, "no space left")
        self._octets += written
        self.head = head
        self._write_head()

    def _write_head(self) -> None:
        """Remember the head; the line stands without it, so a failure is only told."""
        text = f"{self.head.number:0{_NUMBER_DIGITS}}:{self.head.digest}\n"
        try:
            os.pwrite(self._head_file, text.encode("ascii"), 0)
        except OSError as error:
            self._notice(f"cannot write {head_path(self._path)}: {error.strerror or error}")


def _changes_since(end: LogEnd, remembered: Head | None) -> Iterator[AuditRecord]:
    """Yield records of what happened to a log while nobody wrote to it."""
    if end.torn:
        text = f"{len(end.torn)} octets of a line without end were cut off"
        yield AuditRecord("log_repaired", {"text": text})
    if end.is_unreadable:
        yield AuditRecord("log_gap", {"text": "the last line is no line of an audit log"})
    if remembered is None or end.head == remembered:
        return
    last = end.head.number if end.head else 0
    if last < remembered.number:
        text = f"the log ended with record {last}, and {remembered.number} had been written"
        yield AuditRecord("log_gap", {"text": text, "remembered": str(remembered)})
    elif last == remembered.number:
        text = f"record {last} was not the one that had been written"
        yield AuditRecord("log_gap", {"text": text, "remembered": str(remembered)})


@contextmanager
def _refusals(path: FilePath, what: str, why: str = "") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"cannot {what} {path} (daemon.audit_log): {why or error.strerror or error}"
        ) from error
