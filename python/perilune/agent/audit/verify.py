"""Checking a chain line by line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from perilune.agent.audit.chain import GENESIS, Head, decode_line, digest_of
from perilune.model.errors import LocalError

GAP_EVENTS = frozenset({"log_gap", "records_lost"})
"""Records that say themselves that others are missing."""


class Flaw(Enum):
    """What is wrong with a log."""

    ALTERED = "altered"
    """A line is not the one that the next line knows, or is no line of a log at all."""

    GAP = "gap"
    """The daemon itself wrote that records are missing."""

    NO_BEGINNING = "no beginning"
    """The first line follows another one that was not given."""

    REPLACED = "replaced"
    """A record is not the one that was remembered: the chain was made anew from there or earlier."""

    TORN = "torn"
    """The last line has no end."""

    TRUNCATED = "truncated"
    """The log ends before the head that was remembered."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    flaw: Flaw
    file: str
    line: int
    """In the file, counted from 1; 0 is the file as a whole."""

    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.flaw.value}: {self.text}"


@dataclass(slots=True)
class Verifier:
    """Reads a chain, file after file.

    Args:
        remembered: Heads that the chain must contain, as far as any are known.
    """

    remembered: tuple[Head, ...] = ()
    head: Head = GENESIS
    """Of what was read so far."""

    findings: list[Finding] = field(default_factory=list)
    """The first one is the first that is wrong; behind an altered line nothing more is read."""

    _is_broken: bool = False
    _place: tuple[str, int] = ("", 0)

    def read(self, file: str, lines: Iterable[bytes]) -> None:
        """Read the lines of a file, which goes on where the one before ended."""
        if self._is_broken:
            return
        self._place = (file, 0)
        for number, line in enumerate(lines, 1):
            if self._is_broken:
                return
            self._place = (file, number)
            self._read(line)

    def finish(self) -> list[Finding]:
        """Return what is wrong, in order."""
        for remembered in () if self._is_broken else self.remembered:
            if remembered.number > self.head.number:
                text = f"the log ends with record {self.head.number}, and {remembered} was remembered"
                self._find(Flaw.TRUNCATED, text)
        return self.findings

    def _read(self, line: bytes) -> None:
        if not line.endswith(b"\n"):
            self._find(Flaw.TORN, "the last line has no end, as after a crash in the middle of it")
            return
        try:
            document = decode_line(line)
        except LocalError as error:
            self._break(str(error))
            return
        number, previous = document["n"], document["previous"]
        if self.head == GENESIS and number > 1:
            self._find(Flaw.NO_BEGINNING, f"it follows record {number - 1}, which is in an older file")
            self.head = Head(number - 1, previous)
        if number != self.head.number + 1:
            self._break(f"it is record {number}, where {self.head.number + 1} belongs")
        elif previous != self.head.digest:
            self._break(f"record {number} does not follow the line before, which was changed")
        else:
            self._accept(line, document["event"])

    def _accept(self, line: bytes, event: str) -> None:
        self.head = Head(self.head.number + 1, digest_of(line))
        for remembered in self.remembered:
            if remembered.number == self.head.number and remembered != self.head:
                self._find(Flaw.REPLACED, f"record {self.head.number} is not the one that was remembered")
        if event in GAP_EVENTS:
            self._find(Flaw.GAP, "the daemon says here that records are missing")

    def _break(self, text: str) -> None:
        self._is_broken = True
        self._find(Flaw.ALTERED, text)

    def _find(self, flaw: Flaw, text: str) -> None:
        self.findings.append(Finding(flaw, *self._place, text))
