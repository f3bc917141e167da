"""Many files, one tree (strongswan.conf(5), INCLUDING FILES)."""

from __future__ import annotations

from pathlib import Path as FilePath

from perilune.config.files import Files
from perilune.config.syntax import parse_into
from perilune.config.tree import Place, Section
from perilune.model.errors import ConfigError

DEEPEST_INCLUDE = 16
"""Files that include one another in a row."""

MOST_FILES = 1000
"""Files that one configuration may be made of, each counted as often as it is included."""

MOST_OCTETS = 16 << 20
"""Octets in all of them."""

_WILDCARDS = frozenset("*?[")


def read_tree(file: FilePath, files: Files) -> Section:
    """Read a file and everything it includes.

    What an included file says belongs to the section that the `include` stands in. A pattern that is
    relative starts at the directory of the file it stands in; one with a wildcard may match nothing.

    Raises:
        ConfigError: A file cannot be read or is not of this language, or files include each other.
    """
    root = Section("", Place(file, 1))
    _Reader(files).read(root, file, 0)
    return root


class _Reader:
    """The files that are being read, each included by the one before."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._reading: list[FilePath] = []
        self._count = 0
        self._octets = 0

    def read(self, section: Section, file: FilePath, depth: int) -> None:
        """Add what one file says to a section."""
        self._add(section, file, self._files.read(file), depth)

    def _add(self, section: Section, file: FilePath, contents: bytes, depth: int) -> None:
        self._octets += len(contents)
        if self._octets > MOST_OCTETS:
            raise ConfigError(f"the files have more than {MOST_OCTETS} octets", file=file)
        text = decode(contents, file)
        self._reading.append(file)
        parse_into(section, text, file, self._include, depth)
        self._reading.pop()

    def _include(self, pattern: str, place: Place, section: Section, depth: int) -> None:
        for file in self._included(pattern, place):
            self._count += 1
            if self._count > MOST_FILES:
                raise ConfigError(f"more than {MOST_FILES} files are included", line=place.line)
            self._add(section, file, self._contents(file, place), depth)

    def _contents(self, file: FilePath, place: Place) -> bytes:
        """Return a file that is included; that it cannot be read is wrong where that was asked."""
        try:
            return self._files.read(file)
        except ConfigError as error:
            raise ConfigError(f"{file}: {error.message}", line=place.line) from error

    def _included(self, pattern: str, place: Place) -> list[FilePath]:
        """Return the files of one statement."""
        if not pattern:
            raise ConfigError("'include' needs the name of a file", line=place.line)
        if len(self._reading) >= DEEPEST_INCLUDE:
            raise ConfigError(f"files include each other deeper than {DEEPEST_INCLUDE}", line=place.line)
        directory = self._reading[-1].parent
        path = directory / pattern
        found = list(self._files.matching(str(path))) if _WILDCARDS & set(pattern) else [path]
        for file in found:
            if file in self._reading:
                raise ConfigError(f"{file} includes itself", line=place.line)
        return found


def decode(contents: bytes, file: FilePath | None) -> str:
    """Return a file's contents as text.

    Raises:
        ConfigError: They are not UTF-8.
    """
    try:
        return contents.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = contents.count(b"\n", 0, error.start) + 1
        raise ConfigError("the file is not text in UTF-8", file=file, line=line) from None
