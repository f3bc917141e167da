"""Sections that inherit from others (strongswan.conf(5), REFERENCING OTHER SECTIONS)."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from perilune.config.syntax import DEEPEST_SECTION
from perilune.config.tree import Reference, Section
from perilune.model.errors import ConfigError

MOST_NODES = 100_000
"""Values and sections of a configuration in which every section has what it inherits."""

LONGEST_INHERITANCE = 32
"""Sections that inherit from one another in a row."""


def resolve(root: Section) -> Section:
    """Return a tree in which every section has what it inherits, and no section has references.

    What a section says itself comes first and wins; then its references, left to right. A key with nothing
    behind its `=` inherits nothing. The same goes for the sections within.

    Raises:
        ConfigError: A reference names no section, or leads back to where it stands.
    """
    return _Resolver(root).merge("", [root], 0)


def referenced(root: Section) -> set[str]:
    """Return the names of those sections at the top that others inherit from, wholly or in part."""
    return {reference.path[0] for section in walk(root) for reference in section.references}


def walk(root: Section) -> Iterator[Section]:
    """Yield a section and all sections within."""
    pending = [root]
    while pending:
        section = pending.pop()
        yield section
        pending += section.sections.values()


class _Resolver:
    """A tree with references, and how much the tree without them has grown to."""

    def __init__(self, root: Section) -> None:
        self._root = root
        self._nodes = 0

    def merge(self, name: str, sources: list[Section], depth: int) -> Section:
        """Return one section that has what several say, the first of them first.

        `depth` has a bound, so the recursion has one.
        """
        place = sources[0].place
        if depth > DEEPEST_SECTION:
            raise ConfigError(
                f"'{name}' inherits sections without end", file=place.file, line=place.line, key=name
            )
        merged = Section(name, place)
        inner: dict[str, list[Section]] = {}
        for section in self._inherited(sources):
            self._count(section)
            for key, value in section.values.items():
                merged.values.setdefault(key, value)
            for key, below in section.sections.items():
                inner.setdefault(key, []).append(below)
        merged.sections = {key: self.merge(key, below, depth + 1) for key, below in inner.items()}
        return merged

    def _count(self, section: Section) -> None:
        self._nodes += len(section.values) + len(section.sections)
        if self._nodes > MOST_NODES:
            place = section.place
            raise ConfigError(
                f"sections inherit more than {MOST_NODES} values", file=place.file, line=place.line
            )

    def _inherited(self, sources: list[Section]) -> list[Section]:
        """Return sections and what they refer to, each once, in the order in which they count."""
        found: dict[int, Section] = {}
        for source in sources:
            self._follow(source, [], found)
        return list(found.values())

    def _follow(self, section: Section, way: list[Section], found: dict[int, Section]) -> None:
        found.setdefault(id(section), section)
        for reference in section.references:
            target = self._target(reference)
            if any(target is passed for passed in [*way, section]):
                raise _error(f"'{reference}' inherits from itself", reference)
            if len(way) >= LONGEST_INHERITANCE:
                raise _error(f"more than {LONGEST_INHERITANCE} sections inherit in a row", reference)
            self._nodes += 1
            self._count(target)
            self._follow(target, [*way, section], found)

    def _target(self, reference: Reference) -> Section:
        target = self._root.find(reference.path)
        if target is None:
            raise _error(f"there is no section '{reference}'", reference, self._nearest(reference))
        return target

    def _nearest(self, reference: Reference) -> str | None:
        """Return the section beside the missing one whose name is most like it."""
        *above, last = reference.path
        parent = self._root.find(tuple(above))
        close = get_close_matches(last[:64], parent.sections, n=1) if parent else []
        return ".".join([*above, close[0]]) if close else None


def _error(message: str, reference: Reference, nearest: str | None = None) -> ConfigError:
    place = reference.place
    return ConfigError(message, file=place.file, line=place.line, key=str(reference), nearest=nearest)
