"""The schema as Markdown, for docs/user/configuration.md.

`python -m perilune.config.reference < FILE` writes a document again with the tables of today.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from perilune.config.schema.root import ROOT
from perilune.config.schema.section import Key, OptionalKey, SectionSchema
from perilune.config.values import Kind

BEGIN = "<!-- keys: made by python -m perilune.config.reference -->"
END = "<!-- end of keys -->"


def with_tables(document: str) -> str:
    """Return a document with the tables of today between its two marks.

    Raises:
        ValueError: A mark is missing.
    """
    before, rest = document.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def tables() -> str:
    """Return one table for each section, each key with its kind, default and meaning."""
    return "\n".join(line for section in ROOT.sections for line in _tables(section, ()))


def _tables(section: SectionSchema, around: tuple[str, ...]) -> Iterator[str]:
    path = (*around, section.name)
    yield f"### `{'.'.join(path)}`\n\n{section.doc}\n"
    if section.keys:
        yield "| key | value | default | meaning |\n| --- | --- | --- | --- |"
        yield from (_row(key) for key in section.keys)
        yield ""
    refused = [key.name for key in section.unsupported_keys] + list(section.unsupported_sections)
    if refused:
        yield "Known to swanctl.conf and not supported yet: " + ", ".join(map(_code, sorted(refused))) + ".\n"
    for below in section.sections:
        yield from _tables(below, path)


def _row(key: Key[object] | OptionalKey[object]) -> str:
    kind: Kind[object] = key.kind
    default = f"`{key.default}`" if isinstance(key, Key) else key.absent
    return "| " + " | ".join(map(_cell, (f"`{key.name}`", kind.description, default, key.doc))) + " |"


def _code(name: str) -> str:
    return f"`{name}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(with_tables(sys.stdin.read()))
