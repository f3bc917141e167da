"""What a section may hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from perilune.config.values import Kind

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Key(Generic[T_co]):
    """A key that always has a value."""

    name: str
    kind: Kind[T_co]
    default: str
    """Text that the kind reads."""

    doc: str
    """For the documentation, in Markdown."""


@dataclass(frozen=True, slots=True)
class OptionalKey(Generic[T_co]):
    """A key that may have no value."""

    name: str
    """`id<suffix>` is every key that begins with `id`."""

    kind: Kind[T_co]
    absent: str
    """What holds without it, for the documentation."""

    doc: str


@dataclass(frozen=True, slots=True)
class UnsupportedKey:
    """A key of swanctl.conf that cannot be obeyed here yet."""

    name: str
    neutral: tuple[str, ...] = ()
    """Values that ask for nothing we don't do, and so are fine; in lower case, the usual one first."""


@dataclass(frozen=True, slots=True)
class SectionSchema:
    """What a section may hold."""

    name: str
    """`<conn>` is any name, `ike<suffix>` every name that begins with `ike`."""

    doc: str
    keys: tuple[Key[object] | OptionalKey[object], ...] = ()
    unsupported_keys: tuple[UnsupportedKey, ...] = ()
    sections: tuple[SectionSchema, ...] = ()
    unsupported_sections: tuple[str, ...] = ()
    """Names, of which one may end in `<suffix>` too."""

    secret: bool = False
    """Whether text in it may be a secret that lost its key, so that no message may quote even a name."""


OFF = ("no", "false", "disabled", "0")
ON = ("yes", "true", "enabled", "1")
NO_TIME = ("0", "0s", "0m", "0h", "0d")


def matches(pattern: str, name: str) -> bool:
    """Whether a declared name (`children`, `ike<suffix>`, `<conn>`) stands for a name in a file."""
    prefix, bracket, _ = pattern.partition("<")
    return name.startswith(prefix) if bracket else name == pattern
