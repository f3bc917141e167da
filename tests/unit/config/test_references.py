"""Sections that inherit."""

from __future__ import annotations

import pytest

from perilune.config.references import referenced, resolve
from perilune.config.syntax import parse
from perilune.config.tree import Section
from perilune.model.errors import ConfigError


def resolved(text: str) -> Section:
    return resolve(parse(text))


def test_own_values_win_then_references_from_left_to_right() -> None:
    tree = resolved(
        """
        one { a = 1
              b = 1
              c = 1 }
        two { a = 2
              b = 2
              d = 2 }
        s : one, two { a = 0 }
        """
    )
    texts = {name: value.text for name, value in tree.sections["s"].values.items()}
    assert texts == {"a": "0", "b": "1", "c": "1", "d": "2"}


def test_sections_within_are_inherited_and_merged() -> None:
    tree = resolved(
        """
        base { local { auth = psk
                       id = base }
               children { net { mode = tunnel } } }
        extra { local { round = 1 } }
        connections {
            a : base { local : extra.local { id = a } }
            b : connections.a { children { other { mode = drop } } }
        }
        """
    )
    b = tree.sections["connections"].sections["b"]
    local = {name: value.text for name, value in b.sections["local"].values.items()}
    assert local == {"id": "a", "round": "1", "auth": "psk"}
    assert list(b.sections["children"].sections) == ["other", "net"]
    assert all(not section.references for section in tree.sections.values())


def test_own_sections_come_before_inherited_ones() -> None:
    tree = resolved("base { x {}\n y {} }\ns : base { z {}\n y {} }")
    assert list(tree.sections["s"].sections) == ["z", "y", "x"]


def test_key_with_nothing_behind_it_inherits_nothing() -> None:
    tree = resolved("base { a = 1 }\ns : base { a = }")
    assert tree.sections["s"].values["a"].text is None


def test_place_is_where_the_value_was_written() -> None:
    tree = resolved("base {\n a = 1\n}\ns : base {\n}")
    assert tree.sections["s"].values["a"].place.line == 2


def test_one_section_by_two_ways_is_no_loop() -> None:
    tree = resolved("base { a = 1 }\nl : base {}\nr : base {}\ns : l, r {}")
    assert tree.sections["s"].values["a"].text == "1"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a : a {}", 1, "inherits from itself"),
        ("a : b {}\nb : c {}\nc : a {}", 3, "inherits from itself"),
        ("a {}\n\nb : aa {}", 3, r"there is no section 'aa' \(did you mean 'a'\?\)"),
        ("s { conn {} }\nb : s.con {}", 2, r"did you mean 's.conn'"),
        ("b : x.y.z {}", 1, "there is no section 'x.y.z'$"),
        ("a { x : a {} }", 1, "without end"),
    ],
)
def test_reference_that_leads_nowhere(text: str, line: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        resolved(text)
    assert caught.value.line == line


def test_hostile_inheritance_ends_soon() -> None:
    doubling = "s0 { a = 1 }\n" + "".join(
        f"s{n} {{ l : s{n - 1} {{}}\n r : s{n - 1} {{}} }}\n" for n in range(1, 30)
    )
    diamonds = "s0 { a = 1 }\nt0 { a = 1 }\n" + "".join(
        f"s{n} : s{n - 1}, t{n - 1} {{}}\nt{n} : s{n - 1}, t{n - 1} {{}}\n" for n in range(1, 30)
    )
    chain = "s0 {}\n" + "".join(f"s{n} : s{n - 1} {{}}\n" for n in range(1, 5000))
    for text in (doubling, diamonds, chain):
        with pytest.raises(ConfigError, match=r"inherit|without end"):
            resolved(text)


def test_templates_are_those_that_something_refers_to() -> None:
    assert referenced(parse("a : t.u, v {}\nt { u {} }\nv {}\nw {}")) == {"t", "v"}
