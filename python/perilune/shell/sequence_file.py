"""Where sequence numbers of manual keys outlive the daemon (RFC 4303, section 3.3.3; RFC 8221, section 3).

    {"version": 1, "keys": {"5c1f…": {"sent": 131072, "received": 41}}}

A key is named by its digest and not by its SA: an SA that is renamed goes on where it was. `sent` is the last
number that may have been used. It is on disc before the first of them is used, so whatever ends the daemon,
no number comes twice; a file that is lost, or put back from a copy, breaks that.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Final

from perilune.model.errors import ResourceError

_VERSION: Final = 1
_LARGEST_FILE_OCTETS: Final = 1 << 24
_ONLY_OWNER: Final = 0o600
_LABEL: Final = b"perilune manual key\0"


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What was done with a key."""

    sent: int = 0
    """The last sequence number that may have been used."""

    received: int = 0
    """The highest that was verified, as far as it was noted."""


def key_name(key: bytes) -> str:
    """Return the name of a key in the file, which tells nothing of it."""
    return hashlib.sha256(_LABEL + key).hexdigest()


class SequenceFile:
    """The file, for one daemon at a time.

    Args:
        path: Where it is; its directory must exist.

    Raises:
        ResourceError: From every method: the system refuses, or the file is not what was written.
    """

    def __init__(self, path: FilePath) -> None:
        self._path = path
        self._lock = -1
        self._uses: dict[str, KeyUse] = {}

    def open(self) -> bool:
        """Read the file; return whether there was one."""
        try:
            lock = os.open(
                self._lock_path, os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_RDWR, _ONLY_OWNER
            )
        except OSError as error:
            raise self._refusal("lock", error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            text = self._read()
            self._uses = {} if text is None else self._parsed(text)
        except OSError as error:
            os.close(lock)
            raise self._refusal("lock", error, "another daemon uses it") from error
        except ResourceError:
            os.close(lock)
            raise
        self._lock = lock
        return text is not None

    def use(self, key: str) -> KeyUse:
        """Return what was done with a key."""
        return self._uses.get(key, KeyUse())

    def reserve(self, key: str, sent: int) -> None:
        """Note that numbers up to one may be used; they may once this returns."""
        use = self.use(key)
        self._write(self._uses | {key: replace(use, sent=max(sent, use.sent))})

    def note_received(self, received: Mapping[str, int]) -> None:
        """Note the highest numbers that were verified."""
        changed = {
            key: replace(self.use(key), received=number)
            for key, number in received.items()
            if number > self.use(key).received
        }
        if changed:
            self._write(self._uses | changed)

    def close(self) -> None:
        """Let another daemon have it; may be called again."""
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    @property
    def _lock_path(self) -> FilePath:
        return self._path.with_name(f"{self._path.name}.lock")

    def _read(self) -> bytes | None:
        try:
            with self._path.open("rb") as file:
                return file.read(_LARGEST_FILE_OCTETS)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refusal("read", error) from error

    def _parsed(self, text: bytes) -> dict[str, KeyUse]:
        try:
            document = json.loads(text)
            if document["version"] != _VERSION:
                raise ValueError
            return {
                str(key): KeyUse(_count(use["sent"]), _count(use["received"]))
                for key, use in document["keys"].items()
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ResourceError(
                f"{self._path} is no file of sequence numbers; do not delete it while its keys are in use,"
                " as their numbers would begin again: give the SAs new keys first"
            ) from error

    def _write(self, uses: dict[str, KeyUse]) -> None:
        """Replace the file, and return once the disc has it."""
        keys = {key: {"sent": use.sent, "received": use.received} for key, use in sorted(uses.items())}
        text = json.dumps({"version": _VERSION, "keys": keys}, indent=1)
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            descriptor = os.open(
                new, os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_TRUNC | os.O_WRONLY, _ONLY_OWNER
            )
            with open(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
            _sync_directory(self._path.parent)
        except OSError as error:
            raise self._refusal("write", error) from error
        self._uses = uses

    def _refusal(self, what: str, error: OSError, why: str = "") -> ResourceError:
        reason = why or error.strerror or str(error)
        return ResourceError(f"cannot {what} {self._path} (daemon.sequence_file): {reason}")


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 64:
        raise ValueError
    return value


def _sync_directory(directory: FilePath) -> None:
    descriptor = os.open(directory, os.O_CLOEXEC | os.O_DIRECTORY | os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
