"""Checks a tree against the schema, and reads values out of it."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TypeVar

from perilune.config.problems import Problems
from perilune.config.schema.section import Key, OptionalKey, SectionSchema, matches
from perilune.config.tree import Place, Section, Value
from perilune.config.values import Kind, nearest, quote
from perilune.model.errors import ConfigError, LocalError

T = TypeVar("T")
_SWALLOWED = re.compile(r"\s\S+\s*=")
_UNSUPPORTED = "is known to swanctl.conf and not supported here yet"


class Reader:
    """A section of a tree without references, with its schema.

    To make one is to check every name and value in it, and in its sections; what is wrong is noted, once.
    A value that cannot be used then reads as its default, so that one mistake doesn't hide the next.

    Args:
        section: The section.
        schema: What it may hold.
        problems: Where mistakes are noted.
        path: Names of the sections around it and its own.
    """

    def __init__(
        self, section: Section, schema: SectionSchema, problems: Problems, path: tuple[str, ...] = ()
    ) -> None:
        self.section = section
        self.problems = problems
        self._path = path
        self._schema = schema
        for name, value in section.values.items():
            self._check_value(name, value)
        self._sections = [
            (found, Reader(below, found, problems, (*path, name)))
            for name, below in section.sections.items()
            if (found := self._check_section(name, below)) is not None
        ]

    @property
    def name(self) -> str:
        """The section's own name."""
        return self.section.name

    @property
    def place(self) -> Place:
        """Where the section was opened."""
        return self.section.place

    def get(self, key: Key[T]) -> T:
        """Return a key's value, or its default."""
        value = self.find(key)
        return key.kind.read(key.default) if value is None else value

    def find(self, key: Key[T] | OptionalKey[T]) -> T | None:
        """Return a key's value, or None where it has none."""
        value = self.section.values.get(key.name)
        return self._try(key.kind, value)

    def find_all(self, key: OptionalKey[T]) -> list[T]:
        """Return the values, as far as they can be used, of all keys that `id<suffix>` stands for."""
        found: list[T] = []
        for name, value in self.section.values.items():
            if matches(key.name, name) and value.text is not None:
                with suppress(LocalError):  # noted when the section was checked
                    found.append(key.kind.read(value.text))
        return found

    def has(self, key: Key[T] | OptionalKey[T]) -> bool:
        """Whether a key has a value of its own."""
        value = self.section.values.get(key.name)
        return value is not None and value.text is not None

    def sections(self, schema: SectionSchema) -> list[Reader]:
        """Return the sections that a schema stands for, in order."""
        return [reader for found, reader in self._sections if found is schema]

    def error(self, message: str, key: Key[T] | OptionalKey[T] | None = None) -> None:
        """Note that a value, or the whole section, cannot be used."""
        self.problems.error(message, self._place(key), self._dotted(key))

    def warn(self, message: str, key: Key[T] | OptionalKey[T] | None = None) -> None:
        """Note that a value, or the whole section, is seldom meant so."""
        self.problems.warn(message, self._place(key), self._dotted(key))

    @staticmethod
    def _try(kind: Kind[T], value: Value | None) -> T | None:
        if value is None or value.text is None:
            return None
        with suppress(LocalError):  # noted when the section was checked
            return kind.read(value.text)
        return None

    def _place(self, key: Key[T] | OptionalKey[T] | None) -> Place:
        value = self.section.values.get(key.name) if key else None
        return value.place if value else self.section.place

    def _dotted(self, key: Key[T] | OptionalKey[T] | None) -> str:
        return ".".join([*self._path, key.name] if key else self._path)

    def _check_value(self, name: str, value: Value) -> None:
        dotted = ".".join([*self._path, name])
        key = next((one for one in self._schema.keys if matches(one.name, name)), None)
        if key is None:
            self._check_other(name, value, dotted)
            return
        try:
            if value.text is not None:
                key.kind.read(value.text)
        except ConfigError as error:
            # What a value swallowed may be a secret, and the message may quote it.
            is_told = not (self._schema.secret and _SWALLOWED.search(value.text or ""))
            message = error.message if is_told else "each setting needs a line of its own"
            self.problems.error(message, value.place, dotted, error.nearest)
        except LocalError as error:
            self.problems.error(str(error), value.place, dotted)

    def _check_other(self, name: str, value: Value, dotted: str) -> None:
        """Note a key that is not supported, or not known."""
        unsupported = next((one for one in self._schema.unsupported_keys if matches(one.name, name)), None)
        if unsupported:
            if value.text is not None and value.text.lower() not in unsupported.neutral:
                hint = f", except with '{unsupported.neutral[0]}'" if unsupported.neutral else ""
                self.problems.error(f"this key {_UNSUPPORTED}{hint}", value.place, dotted)
            return
        self._unknown("key", name, value.place, [key.name for key in self._schema.keys])

    def _check_section(self, name: str, section: Section) -> SectionSchema | None:
        dotted = ".".join([*self._path, name])
        # A whole name goes before a prefix: `children` before `c<suffix>`.
        known = sorted(self._schema.sections, key=lambda one: "<" in one.name)
        found = next((one for one in known if matches(one.name, name)), None)
        if found is None and any(matches(one, name) for one in self._schema.unsupported_sections):
            self.problems.error(f"this section {_UNSUPPORTED}", section.place, dotted)
        elif found is None:
            self._unknown("section", name, section.place, [one.name for one in known])
        return found

    def _unknown(self, what: str, name: str, place: Place, known: list[str]) -> None:
        plain = [one.partition("<")[0] for one in known]
        close = nearest(name, [one for one in plain if one])
        if self._schema.secret or (what == "key" and not self._path):
            # The name may be a piece of a secret that was broken in two; and no key belongs at the top.
            self.problems.error(
                f"there is a {what} here that is not known", place, ".".join(self._path), close
            )
            return
        other = "section" if what == "key" else "key"
        if self._is_other(what, name):
            message = f"{quote(name)} is a {other}, not a {what}"
            self.problems.error(message, place, ".".join([*self._path, name]))
            return
        self.problems.error(f"this {what} is not known", place, ".".join([*self._path, name]), close)

    def _is_other(self, what: str, name: str) -> bool:
        """Whether a key has the name of a section, or the other way round."""
        names = [one.name for one in (self._schema.sections if what == "key" else self._schema.keys)]
        return name in names
