"""A configuration as sections and values, each knowing where it was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path as FilePath


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written."""

    file: FilePath | None
    """None for text that came from no file."""

    line: int
    """Counted from 1."""


@dataclass(frozen=True, slots=True)
class Value:
    """What stands behind a key's `=`."""

    text: str | None = field(repr=False)
    """None where nothing stands there: the key has its default again, and inherits nothing.

    It may be a secret, and so keeps out of repr.
    """

    place: Place


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of a section to inherit from."""

    path: tuple[str, ...]
    """From the top of the tree: `connections.gw` is ("connections", "gw")."""

    place: Place

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(slots=True)
class Section:
    """A named set of values and sections, in the order in which each name first came.

    It grows while files are read; whoever gets a finished tree leaves it as it is.
    """

    name: str
    """Empty for the whole tree."""

    place: Place
    """Where it was opened first."""

    values: dict[str, Value] = field(default_factory=dict)
    sections: dict[str, Section] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)

    def open(self, name: str, place: Place) -> Section:
        """Return the section with a name; a second one of the same name continues the first."""
        return self.sections.setdefault(name, Section(name, place))

    def find(self, path: tuple[str, ...]) -> Section | None:
        """Return the section at a path below this one, or None."""
        section: Section | None = self
        for name in path:
            section = section.sections.get(name) if section else None
        return section


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_INDENT = "    "


def render(tree: Section) -> str:
    """Return text that reads as this tree.

    Secrets are written out; the text is for files, not for logs.
    """
    lines: list[str] = []
    # An entry is a section still to write, or the line that closes one: no recursion, however deep.
    pending: list[tuple[Section | str, int]] = [(tree, 0)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, str):
            lines.append(_INDENT * depth + item)
            continue
        inner = depth
        if item is not tree:
            lines.append(_INDENT * depth + _heading(item))
            pending.append(("}", depth))
            inner = depth + 1
        lines += [_INDENT * inner + f"{key} = {_quoted(value.text)}" for key, value in item.values.items()]
        pending += [(section, inner) for section in reversed(item.sections.values())]
    return "".join(line.rstrip() + "\n" for line in lines)


def _heading(section: Section) -> str:
    references = ", ".join(map(str, section.references))
    return f"{section.name} : {references} {{" if references else f"{section.name} {{"


def _quoted(text: str | None) -> str:
    if text is None:
        return ""
    return '"' + "".join(_ESCAPES.get(character, character) for character in text) + '"'
