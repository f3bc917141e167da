"""VICI messages: what is written is read, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perilune.agent.vici.codec import DEEPEST_SECTION, Node, Scalar, Tree, decode, encode
from perilune.model.errors import DecodeError, LocalError

_texts = st.text(st.characters(codec="utf-8"), max_size=40)
_not_text = st.binary(min_size=1, max_size=20).map(lambda octets: b"\xff" + octets)
_scalars = _texts | _not_text
_trees = st.recursive(
    st.dictionaries(_texts.filter(lambda name: len(name.encode()) < 256), _scalars | st.lists(_scalars)),
    lambda inner: st.dictionaries(_texts, _scalars | st.lists(_scalars) | inner, max_size=4),
    max_leaves=12,
)


# The example of strongSwan's description of the protocol.
EXAMPLE: Tree = {
    "key1": "value1",
    "section1": {"sub-section": {"key2": "value2"}, "list1": ["item1", "item2"]},
}
EXAMPLE_OCTETS = bytes.fromhex(
    "03046b657931000676616c756531"
    "010873656374696f6e31"
    "010b7375622d73656374696f6e"
    "03046b657932000676616c756532"
    "02"
    "04056c69737431"
    "0500056974656d31"
    "0500056974656d32"
    "06"
    "02"
)


def test_known_message() -> None:
    assert encode(EXAMPLE) == EXAMPLE_OCTETS
    assert decode(EXAMPLE_OCTETS) == EXAMPLE


@given(_trees)
def test_what_is_written_is_read(tree: Tree) -> None:
    assert decode(encode(tree)) == tree


@given(st.binary(max_size=200))
def test_octets_are_read_or_refused(octets: bytes) -> None:
    try:
        tree = decode(octets)
    except DecodeError:
        return
    assert decode(encode(tree)) == tree


@given(st.integers(0, len(EXAMPLE_OCTETS) - 1), st.integers(0, 255))
def test_damaged_message_is_read_or_refused(at: int, octet: int) -> None:
    damaged = EXAMPLE_OCTETS[:at] + bytes([octet]) + EXAMPLE_OCTETS[at + 1 :]
    try:
        tree = decode(damaged)
    except DecodeError:
        return
    assert decode(encode(tree)) == tree


@pytest.mark.parametrize("end", range(1, len(EXAMPLE_OCTETS)))
def test_no_beginning_of_a_message_raises_anything_else(end: int) -> None:
    try:
        decode(EXAMPLE_OCTETS[:end])
    except DecodeError:
        return
    assert end == EXAMPLE_OCTETS.index(b"\x01")


@pytest.mark.parametrize(
    ("octets", "what"),
    [
        ("02", "cannot stand here"),
        ("00", "cannot stand here"),
        ("07", "cannot stand here"),
        ("050001", "cannot stand here"),
        ("06", "cannot stand here"),
        ("010161", "does not end"),
        ("040161", "wants 1 octets"),
        ("04016103", "cannot stand in a list"),
        ("0301ff0000", "is not UTF-8"),
        ("0302610000", "wants"),
        ("030161ffff00", "wants 65535 octets, 1 are left"),
    ],
)
def test_what_is_no_message_is_refused(octets: str, what: str) -> None:
    with pytest.raises(DecodeError, match=what):
        decode(bytes.fromhex(octets))


def test_depth_is_bounded_both_ways() -> None:
    deepest: Node = {}
    for _ in range(DEEPEST_SECTION):
        deepest = {"s": deepest}
    assert decode(encode(deepest)) == deepest

    with pytest.raises(LocalError, match="deeper"):
        encode({"s": deepest})
    with pytest.raises(DecodeError, match="too deep"):
        decode(b"\x01\x01s" * 100_000 + b"\x02" * 100_000)


@pytest.mark.parametrize("tree", [{"n" * 256: ""}, {"n": "v" * 65536}, {"n": ["v" * 65536]}])
def test_what_does_not_fit_is_refused(tree: Node) -> None:
    with pytest.raises(LocalError):
        encode(tree)


@pytest.mark.parametrize("value", ["", "v" * 65535, b"\xff" * 65535])
def test_longest_value_fits(value: Scalar) -> None:
    assert decode(encode({"n" * 255: value})) == {"n" * 255: value}
