"""Configurations nobody would write."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from perilune.config.load import load_text
from perilune.config.problems import InvalidConfigError
from perilune.config.proposals import ESP_PROPOSALS, IKE_PROPOSALS
from perilune.config.schema.root import ROOT
from perilune.config.schema.section import SectionSchema
from perilune.config.syntax import parse
from perilune.config.traffic_selectors import read_selector
from perilune.config.tree import Place, Reference, Section, Value, render
from perilune.model.errors import ConfigError, LocalError
from perilune.model.selector import TrafficSelector

HERE = Place(None, 1)
CONTROL = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)]))
NAMES = st.text(
    st.characters(exclude_characters=CONTROL + '.,:{}="# ', exclude_categories=["C", "Z"]),
    min_size=1,
    max_size=8,
)
TEXTS = st.none() | st.text(
    st.characters(exclude_characters=CONTROL, exclude_categories=["Cs"])
    | st.sampled_from("\n\r\t\\\"#{}'= "),
    max_size=20,
)
REFERENCES = st.lists(
    st.lists(NAMES, min_size=1, max_size=3).map(lambda path: Reference(tuple(path), HERE)),
    max_size=2,
    unique_by=lambda reference: reference.path,
)


def section(values: dict[str, str | None], inner: dict[str, Section], references: list[Reference]) -> Section:
    named = {
        name: Section(name, HERE, below.values, below.sections, below.references)
        for name, below in inner.items()
    }
    return Section("", HERE, {name: Value(text, HERE) for name, text in values.items()}, named, references)


VALUES = st.dictionaries(NAMES, TEXTS, max_size=4)
SECTIONS = st.recursive(
    st.builds(section, VALUES, st.just({}), REFERENCES),
    lambda below: st.builds(section, VALUES, st.dictionaries(NAMES, below, max_size=3), REFERENCES),
    max_leaves=8,
)
TREES = st.builds(section, VALUES, st.dictionaries(NAMES, SECTIONS, max_size=3), st.just([]))


def contents(tree: Section) -> object:
    """Return a tree without its places."""
    return (
        [(name, value.text) for name, value in tree.values.items()],
        [(name, contents(below)) for name, below in tree.sections.items()],
        [reference.path for reference in tree.references],
    )


@given(TREES)
def test_rendered_tree_reads_as_itself(tree: Section) -> None:
    assert contents(parse(render(tree))) == contents(tree)


def vocabulary(schema: SectionSchema) -> set[str]:
    own = {key.name.partition("<")[0] for key in (*schema.keys, *schema.unsupported_keys)}
    return own.union(*(vocabulary(below) | {below.name.partition("<")[0]} for below in schema.sections))


PIECES = st.sampled_from(
    [
        *sorted(vocabulary(ROOT) - {""}),
        *'{}=:,.#"\\\n\n \t',
        "include ",
        "gw",
        "psk",
        "%any",
        "1h",
        "10.0.0.0/8",
        "0x00",
    ]
)


@given(
    st.text(max_size=200)
    | st.lists(PIECES, max_size=60).map("".join)
    | st.lists(PIECES, max_size=60).map(" ".join)
)
def test_no_text_raises_anything_else(text: str) -> None:
    with suppress(InvalidConfigError):
        load_text(text)
    with suppress(ConfigError):
        rendered = render(parse(text))
        assert contents(parse(rendered)) == contents(parse(text))


def lines(schema: SectionSchema) -> list[str]:
    """Return the names of a section's keys and sections as they are written."""
    return [key.name.replace("<suffix>", "-1") for key in (*schema.keys, *schema.unsupported_keys)]


@st.composite
def configurations(draw: st.DrawFn, schema: SectionSchema = ROOT) -> str:
    """Return text with names that are right and values that may be."""
    keys = draw(st.lists(st.sampled_from(lines(schema)), max_size=6)) if schema.keys else []
    inner = draw(st.lists(st.sampled_from(schema.sections), max_size=3)) if schema.sections else []
    some = st.sampled_from(
        ["yes", "no", "0", "1", "100", "1h", "%any", "psk", "start", "::/0", "default", "x", ""]
    )
    body = "".join(f"{key} = {draw(some)}\n" for key in keys)
    for below in inner:
        name = below.name.replace("<suffix>", "-1").strip("<>")
        body += f"{name} {{\n{draw(configurations(below))}}}\n"
    return body


@given(configurations())
def test_likely_values_raise_nothing_else(text: str) -> None:
    with suppress(InvalidConfigError):
        settings = load_text(text)
        assert settings == load_text(text)


@given(
    st.lists(
        st.sampled_from(
            [
                "aes256",
                "aes128gcm16",
                "sha256",
                "prfsha256",
                "x25519",
                "esn",
                "noesn",
                "default",
                ",",
                "-",
                "md5",
            ]
        )
    )
)
def test_proposals_are_complete_or_refused(words: list[str]) -> None:
    for kind in (IKE_PROPOSALS, ESP_PROPOSALS):
        with suppress(ConfigError):
            proposals = kind.read("-".join(words).replace("-,-", ","))
            assert [proposal.number for proposal in proposals] == list(range(1, len(proposals) + 1))
            assert all(len(set(one.transforms)) == len(one.transforms) for one in proposals)


@given(st.text(max_size=40) | st.text("0123456789./:-[]tcpudpanyicmp()", max_size=40))
def test_no_selector_raises_anything_else(text: str) -> None:
    with suppress(LocalError):
        selector = read_selector(text)
        if isinstance(selector, TrafficSelector):
            assert read_selector(str(selector)).protocol == selector.protocol
