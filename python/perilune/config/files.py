"""The only part of this room that touches the machine: it reads files."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from glob import glob
from pathlib import Path as FilePath
from typing import Protocol

from perilune.model.errors import ConfigError

LARGEST_FILE_OCTETS = 1 << 20
"""A file longer than this is no configuration."""


class Files(Protocol):
    """Where text comes from."""

    def read(self, file: FilePath) -> bytes:
        """Return a file's contents, at most LARGEST_FILE_OCTETS.

        Raises:
            ConfigError: The file cannot be read, or is longer.
        """
        ...

    def matching(self, pattern: str) -> Sequence[FilePath]:
        """Return the files whose path matches a shell pattern, sorted by name."""
        ...


class SystemFiles:
    """The files of this machine."""

    def read(self, file: FilePath) -> bytes:
        """Return a file's contents; see `Files.read`."""
        try:
            with open(file, "rb", opener=_open_at_once) as stream:
                if stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode):
                    raise ConfigError("a FIFO is not read", file=file)
                contents = stream.read(LARGEST_FILE_OCTETS + 1) or b""  # None from a terminal
        except OSError as error:
            reason = error.strerror or "it cannot be read"
            raise ConfigError(f"{reason[0].lower()}{reason[1:]}", file=file) from error
        if len(contents) > LARGEST_FILE_OCTETS:
            raise ConfigError(f"the file has more than {LARGEST_FILE_OCTETS} octets", file=file)
        return contents

    def matching(self, pattern: str) -> Sequence[FilePath]:
        """Return the files whose path matches; see `Files.matching`."""
        return [FilePath(name) for name in sorted(glob(pattern))]


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting for somebody who writes, as a FIFO would."""
    return os.open(path, flags | os.O_NONBLOCK)
