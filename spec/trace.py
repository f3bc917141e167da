"""Requirements, exceptions, and the comments above tests that name them."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IDENTIFIER = re.compile(r"R\d{4}-[0-9A-Za-z.]+-\d+")
COVERS = re.compile(r"^\s*(?:#|//) covers ((?:R[0-9A-Za-z.-]+)(?:[, ]+R[0-9A-Za-z.-]+)*)")
TEST = re.compile(r"\s*(?:async )?def (test_\w+)|\s*(?:pub )?fn (\w+)\(")
REACH_LINES = 80
"""How far below its comment a test may begin: decorators and their arguments are between."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One sentence of a standard."""

    id: str
    level: str
    text: str
    sum_of: tuple[str, ...] = ()
    """It says only that others are to be met, those whose names begin so; empty where it says more."""

    @property
    def rfc(self) -> str:
        """Number of the RFC."""
        return self.id[1:5]

    def sums(self, other: Requirement) -> bool:
        """Whether it says nothing but that this other one, and more, is to be met."""
        return not other.sum_of and other.id.startswith(self.sum_of)


@dataclass(frozen=True, slots=True)
class Cover:
    """A test that shows a requirement."""

    requirement: str
    test: str
    place: str
    """File and line of the comment."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is shown, what is excepted, and what is wrong."""

    requirements: tuple[Requirement, ...]
    covers: dict[str, list[Cover]]
    exceptions: dict[str, str]
    """Reason by requirement."""

    mistakes: tuple[str, ...]

    @property
    def missing(self) -> list[Requirement]:
        """Requirements that nothing accounts for, and sums with one of them in it."""
        accounted = self.covers.keys() | self.exceptions.keys()
        alone = {r.id: r for r in self.requirements if not r.sum_of and r.id not in accounted}
        return [r for r in self.requirements if r.id in alone or any(map(r.sums, alone.values()))]

    def parts(self, requirement: Requirement) -> list[Requirement]:
        """Return what a sum is the sum of."""
        return [other for other in self.requirements if requirement.sums(other)]


def read_requirements(path: Path) -> tuple[Requirement, ...]:
    """Read the numbered list.

    Raises:
        ValueError: An entry has other keys than level, text and, where it is a sum, sum_of.
    """
    table = tomllib.loads(path.read_text())
    return tuple(_requirement(path, id_, entry) for id_, entry in table.items())


def _requirement(path: Path, id_: str, entry: dict[str, Any]) -> Requirement:
    own = {key: value for key, value in entry.items() if key != "sum_of"}
    return Requirement(id_, **_keys(path, id_, own, {"level", "text"}), sum_of=tuple(entry.get("sum_of", ())))


def read_exceptions(path: Path) -> dict[str, str]:
    """Read the reasons why no test shows a requirement.

    Raises:
        ValueError: An entry has other keys than reason.
    """
    table = tomllib.loads(path.read_text())
    return {id_: _keys(path, id_, entry, {"reason"})["reason"] for id_, entry in table.items()}


def _keys(path: Path, id_: str, entry: dict[str, str], expected: set[str]) -> dict[str, str]:
    if set(entry) != expected:
        raise ValueError(f"{path}: {id_} has the keys {sorted(entry)}, not {sorted(expected)}")
    return entry


def find_covers(files: Iterable[Path], root: Path) -> Iterator[Cover | str]:
    """Give each test that a comment names a requirement above, and each mistake in words."""
    for file in files:
        lines = file.read_text().splitlines()
        for number, line in enumerate(lines, start=1):
            named = COVERS.search(line)
            if named is None:
                continue
            place = f"{file.relative_to(root)}:{number}"
            test = _test_below(lines[number : number + REACH_LINES])
            if test is None:
                yield f"{place}: no test follows the comment"
                continue
            for id_ in IDENTIFIER.findall(named[1]):
                yield Cover(id_, test, place)


def _test_below(lines: list[str]) -> str | None:
    for line in lines:
        found = TEST.match(line)
        if found:
            return found[1] or found[2]
    return None


def trace(root: Path) -> Report:
    """Put the list, the exceptions and the comments in the tests together."""
    requirements = read_requirements(root / "spec" / "requirements.toml")
    exceptions = read_exceptions(root / "spec" / "exceptions.toml")
    known = {requirement.id: requirement for requirement in requirements}
    documented = {requirement.rfc for requirement in requirements}
    covers: dict[str, list[Cover]] = defaultdict(list)
    mistakes = []
    patterns = ("tests/**/*.py", "rust/*/src/**/*.rs", "rust/*/tests/**/*.rs")
    files = sorted(path for pattern in patterns for path in root.glob(pattern))
    for found in find_covers(files, root):
        if isinstance(found, str):
            mistakes.append(found)
        else:
            covers[found.requirement].append(found)
    mistakes += [f"spec/exceptions.toml: there is no {id_}" for id_ in exceptions if id_ not in known]
    mistakes += [
        f"spec/exceptions.toml: {id_} is shown by {covers[id_][0].test}"
        for id_ in exceptions
        if id_ in covers
    ]
    mistakes += list(_mistaken_sums(requirements, {**exceptions, **covers}))
    return Report(requirements, _of_documented(covers, documented), exceptions, tuple(mistakes))


def _mistaken_sums(requirements: tuple[Requirement, ...], named: dict[str, object]) -> Iterator[str]:
    for requirement in requirements:
        if requirement.sum_of and requirement.id in named:
            yield f"{requirement.id} is a sum: tests and exceptions name its parts"
        if requirement.sum_of and not any(map(requirement.sums, requirements)):
            yield f"spec/requirements.toml: {requirement.id} is the sum of nothing"


def _of_documented(covers: dict[str, list[Cover]], documented: set[str]) -> dict[str, list[Cover]]:
    return {id_: tests for id_, tests in covers.items() if id_[1:5] in documented}
