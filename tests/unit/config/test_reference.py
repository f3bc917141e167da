"""The manual says what the schema says, and its example works."""

from __future__ import annotations

from pathlib import Path

import pytest

from perilune.config.load import load_text
from perilune.config.reference import with_tables
from perilune.config.schema.root import ROOT
from perilune.config.schema.section import Key, SectionSchema

MANUAL = Path(__file__).parents[3] / "docs" / "user" / "configuration.md"


def sections(section: SectionSchema) -> list[SectionSchema]:
    return [section, *(inner for below in section.sections for inner in sections(below))]


def test_tables_of_the_manual_are_those_of_the_schema() -> None:
    text = MANUAL.read_text()
    assert text == with_tables(text), "run: python -m perilune.config.reference < FILE, and replace FILE"


def test_example_of_the_manual() -> None:
    example = MANUAL.read_text().split("```")[1].replace("include conf.d/*.conf", "")
    settings = load_text(example)
    assert settings.warnings == ()
    assert [one.name for one in settings.connections[0].children] == ["offices", "ssh"]


@pytest.mark.parametrize("section", sections(ROOT), ids=lambda section: section.name or "root")
def test_every_default_is_of_its_kind_and_names_are_single(section: SectionSchema) -> None:
    for key in section.keys:
        if isinstance(key, Key):
            key.kind.read(key.default)
        assert key.doc
    names = [one.name for one in (*section.keys, *section.unsupported_keys)]
    assert len(names) == len(set(names))
