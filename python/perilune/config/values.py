"""What a value's text can mean: yes or no, numbers, times, sizes, words, lists.

A `Kind` reads text and says in the documentation what it reads. A message quotes the text; kinds for
secrets are in `shared_secrets.py` and don't.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Generic, TypeVar

from perilune.model.errors import ConfigError
from perilune.model.time import Duration

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
LONGEST_QUOTE = 64


@dataclass(frozen=True, slots=True)
class Kind(Generic[T_co]):
    """A sort of value."""

    description: str
    """For the documentation, in Markdown."""

    read: Callable[[str], T_co]
    """Raises LocalError, most often ConfigError without file and line, on text that is not of this kind."""


def quote(text: str) -> str:
    """Return text as a message shows it: in quotes, on one line, not too long."""
    shown = text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE] + "…"
    return "'" + "".join(c if c.isprintable() else "�" for c in shown) + "'"


def nearest(word: str, known: Mapping[str, object] | list[str]) -> str | None:
    """Return the known word that was probably meant, or None where none is like it."""
    close = get_close_matches(word[:LONGEST_QUOTE], list(known), n=1)
    return close[0] if close else None


def words(text: str) -> list[str]:
    """Split a list at its commas.

    Raises:
        ConfigError: There is nothing in it.
    """
    found = [word.strip() for word in text.split(",") if word.strip()]
    if not found:
        raise ConfigError("the list is empty")
    return found


def list_of(kind: Kind[T]) -> Kind[tuple[T, ...]]:
    """Return the kind of a list, separated by commas."""
    return Kind(f"list of {kind.description}", lambda text: tuple(kind.read(word) for word in words(text)))


def choice(options: Mapping[str, T], aliases: Mapping[str, T] | None = None) -> Kind[T]:
    """Return the kind of one word out of a few; aliases are read and not named in messages."""
    known = {**options, **(aliases or {})}

    def read(text: str) -> T:
        word = text.lower()
        if word not in known:
            raise ConfigError(
                f"{quote(text)} is not one of {', '.join(options)}", nearest=nearest(word, options)
            )
        return known[word]

    return Kind(", ".join(f"`{option}`" for option in options), read)


YES_NO: Kind[bool] = choice(
    {"yes": True, "no": False},
    {"true": True, "enabled": True, "1": True, "false": False, "disabled": False, "0": False},
)
"""`yes` or `no`."""

_DECIMAL = re.compile(r"[0-9]{1,20}")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,16}")
_TIME = re.compile(r"([0-9]{1,10}) *([smhdSMHD]?)")
_SIZE = re.compile(r"([0-9]{1,19}) *([kmgKMG]?)")
_DECIMAL_FRACTION = re.compile(r"[0-9]{1,10}(\.[0-9]{1,9})?")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
LONGEST_TIME_S = 10 * 365 * 86400
"""Ten years; more seconds are a mistake."""

LARGEST_COUNT = 2**63 - 1
"""Octets and packets are counted in 63 bits."""


def number(first: int, last: int) -> Kind[int]:
    """Return the kind of a whole number, decimal or hexadecimal, within bounds."""

    def read(text: str) -> int:
        if _DECIMAL.fullmatch(text):
            value = int(text)
        elif _HEXADECIMAL.fullmatch(text):
            value = int(text, 16)
        else:
            raise ConfigError(f"{quote(text)} is no whole number")
        return _within(value, first, last, text)

    return Kind("number" if last == LARGEST_COUNT else f"{first} to {last}", read)


def _within(value: int, first: int, last: int, text: str) -> int:
    if not first <= value <= last:
        raise ConfigError(f"{quote(text)} is not from {first} to {last}")
    return value


def fraction(first: float, last: float) -> Kind[float]:
    """Return the kind of a decimal fraction within bounds."""

    def read(text: str) -> float:
        if not _DECIMAL_FRACTION.fullmatch(text):
            raise ConfigError(f"{quote(text)} is no number such as 1.8")
        if not first <= float(text) <= last:
            raise ConfigError(f"{quote(text)} is not from {first:g} to {last:g}")
        return float(text)

    return Kind(f"{first:g} to {last:g}", read)


def _read_time(text: str) -> Duration:
    match = _TIME.fullmatch(text)
    if not match:
        raise ConfigError(f"{quote(text)} is no time such as 90, 90s, 30m, 4h or 1d")
    seconds = int(match[1]) * _SECONDS[match[2].lower()]
    if seconds > LONGEST_TIME_S:
        raise ConfigError(f"{quote(text)} is longer than ten years")
    return Duration(seconds * 1_000_000_000)


def _read_seconds(text: str) -> Duration:
    if _DECIMAL_FRACTION.fullmatch(text) and float(text) <= LONGEST_TIME_S:
        return Duration.seconds(float(text))
    return _read_time(text)


def _read_size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if not match:
        raise ConfigError(f"{quote(text)} is no size such as 1500, 64k, 20m or 1g")
    return _within(int(match[1]) * _FACTORS[match[2].lower()], 0, LARGEST_COUNT, text)


TIME: Kind[Duration] = Kind("time", _read_time)
"""Whole seconds, or a number with s, m, h or d."""

FINE_TIME: Kind[Duration] = Kind("time, also with a fraction", _read_seconds)
"""A time that may be a decimal fraction of seconds."""

SIZE: Kind[int] = Kind("size", _read_size)
"""Octets, or a number with k, m or g in powers of 1024."""

COUNT: Kind[int] = number(0, LARGEST_COUNT)
"""How many there are of something."""

PORT: Kind[int] = number(1, 65535)
"""A UDP port."""
