"""VICI messages: trees of sections, lists and values.

A message is a sequence of elements, each a type octet and what the type wants:

    SECTION_START 1   name                 a section opens
    SECTION_END   2                        the innermost section ends
    KEY_VALUE     3   name, value
    LIST_START    4   name                 a list opens
    LIST_ITEM     5   value
    LIST_END      6                        the list ends

A name is an octet with its length and so many octets; a value is a 16-bit length, most significant octet
first, and so many octets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import TypeAlias

from perilune.model.errors import DecodeError, LocalError

Scalar: TypeAlias = str | bytes
"""A value; `str` wherever the octets are UTF-8, else `bytes`."""

Tree: TypeAlias = "dict[str, Scalar | list[Scalar] | Tree]"
"""A message or one of its sections, in order."""

Node: TypeAlias = Mapping[str, "Scalar | list[Scalar] | Node"]
"""A tree that nobody writes to."""

DEEPEST_SECTION = 32
"""Sections in sections, so that a hostile message cannot exhaust the stack of whoever walks it."""


class Element(IntEnum):
    """Type octet of an element."""

    SECTION_START = 1
    SECTION_END = 2
    KEY_VALUE = 3
    LIST_START = 4
    LIST_ITEM = 5
    LIST_END = 6


def encode(tree: Node) -> bytes:
    """Return the octets of a message.

    Raises:
        LocalError: A name is longer than 255 octets, a value longer than 65535, or sections lie
            deeper than `DEEPEST_SECTION`.
    """
    return b"".join(_encode_section(tree, 0))


def decode(data: bytes) -> Tree:
    """Read a message.

    Of two elements with the same name in one section, the later one counts.

    Raises:
        DecodeError: The octets are no message; there is no notify for it.
    """
    reader = _Reader(data)
    root: Tree = {}
    stack = [root]
    while not reader.is_at_end:
        start = reader.offset
        match reader.octet("element"):
            case Element.SECTION_START:
                name = reader.name()
                if len(stack) > DEEPEST_SECTION:
                    raise reader.error("sections lie too deep", "section", start)
                section: Tree = {}
                stack[-1][name] = section
                stack.append(section)
            case Element.SECTION_END if len(stack) > 1:
                stack.pop()
            case Element.KEY_VALUE:
                name = reader.name()  # before the value: Python evaluates the right side first
                stack[-1][name] = reader.value()
            case Element.LIST_START:
                name = reader.name()
                stack[-1][name] = reader.items()
            case element:
                raise reader.error(f"element {element} cannot stand here", "element", start)
    if len(stack) > 1:
        raise reader.error("a section does not end", "section", len(data))
    return root


class _Reader:
    """Takes elements off the front of a message."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = 0

    @property
    def is_at_end(self) -> bool:
        return self.offset == len(self._data)

    def error(self, message: str, field: str, offset: int | None = None) -> DecodeError:
        at = self.offset if offset is None else offset
        return DecodeError(message, offset=at, field=f"VICI {field}", notify=None)

    def octet(self, field: str) -> int:
        return self._take(1, field)[0]

    def name(self) -> str:
        start = self.offset
        octets = self._take(self.octet("name length"), "name")
        try:
            return octets.decode()
        except UnicodeDecodeError as error:
            raise self.error("is not UTF-8", "name", start) from error

    def value(self) -> Scalar:
        octets = self._take(int.from_bytes(self._take(2, "value length"), "big"), "value")
        try:
            return octets.decode()
        except UnicodeDecodeError:
            return octets

    def items(self) -> list[Scalar]:
        items = []
        while True:
            start = self.offset
            match self.octet("list element"):
                case Element.LIST_ITEM:
                    items.append(self.value())
                case Element.LIST_END:
                    return items
                case element:
                    raise self.error(f"element {element} cannot stand in a list", "element", start)

    def _take(self, count: int, field: str) -> bytes:
        octets = self._data[self.offset : self.offset + count]
        if len(octets) < count:
            raise self.error(f"wants {count} octets, {len(octets)} are left", field)
        self.offset += count
        return octets


def _encode_section(tree: Node, depth: int) -> Iterator[bytes]:
    if depth > DEEPEST_SECTION:
        raise LocalError(f"VICI sections lie deeper than {DEEPEST_SECTION}")
    for name, node in tree.items():
        if isinstance(node, Mapping):
            yield _named(Element.SECTION_START, name)
            yield from _encode_section(node, depth + 1)
            yield bytes([Element.SECTION_END])
        elif isinstance(node, list):
            yield _named(Element.LIST_START, name)
            for item in node:
                yield bytes([Element.LIST_ITEM]) + _value(item)
            yield bytes([Element.LIST_END])
        else:
            yield _named(Element.KEY_VALUE, name) + _value(node)


def _named(element: Element, name: str) -> bytes:
    octets = name.encode("utf-8", "backslashreplace")
    if len(octets) > 0xFF:
        raise LocalError(f"the VICI name {name[:32]}... is longer than 255 octets")
    return bytes([element, len(octets)]) + octets


def _value(value: Scalar) -> bytes:
    octets = value if isinstance(value, bytes) else value.encode("utf-8", "backslashreplace")
    if len(octets) > 0xFFFF:
        raise LocalError(f"a VICI value of {len(octets)} octets is longer than 65535")
    return len(octets).to_bytes(2, "big") + octets
