"""The language of strongswan.conf(5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from perilune.config.syntax import DEEPEST_SECTION, parse
from perilune.config.tree import Place, Section, render
from perilune.model.errors import ConfigError


def values(section: Section) -> dict[str, str | None]:
    return {name: value.text for name, value in section.values.items()}


def test_example_of_the_manual() -> None:
    tree = parse(
        """
        a = b
        section-one {
            somevalue = asdf
            subsection {
                othervalue = xxx
            }
            # yei, a comment
            yetanother = zz
        }
        section-two {
            x = 12
        }
        """
    )
    assert values(tree) == {"a": "b"}
    assert values(tree.sections["section-one"]) == {"somevalue": "asdf", "yetanother": "zz"}
    assert values(tree.sections["section-one"].sections["subsection"]) == {"othervalue": "xxx"}
    assert values(tree.sections["section-two"]) == {"x": "12"}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("plain", "plain"),
        ("  two   words \t", "two words"),
        ("x # comment", "x"),
        ("x# comment", "x"),
        ("", None),
        ("   # comment", None),
        ('""', ""),
        ('"  kept # } as it is  "', "  kept # } as it is  "),
        (r'"a\nb\tc\r\"\\d\q"', 'a\nb\tc\r"\\dq'),
        ('"first\nsecond"', "first\nsecond"),
        ('"one \\\ntwo"', "one two"),
        ('"one \\\r\ntwo"', "one two"),
        ('a "b  c" d', "a b  c d"),
        ("10.1.0.0/16, 10.2.0.0/16[tcp/80]", "10.1.0.0/16, 10.2.0.0/16[tcp/80]"),
        ("key=value={x", "key=value={x"),
        ("windows\r", "windows"),
    ],
)
def test_value(written: str, meant: str | None) -> None:
    tree = parse(f"key = {written}\nnext = 1\n")
    assert values(tree) == {"key": meant, "next": "1"}


def test_everything_on_one_line() -> None:
    tree = parse("a { b { c = 1 } d = 2 } e = 3")
    assert values(tree) == {"e": "3"}
    assert values(tree.sections["a"]) == {"d": "2"}
    assert values(tree.sections["a"].sections["b"]) == {"c": "1"}


def test_brace_may_stand_on_its_own_line() -> None:
    assert values(parse("a # comment\n\n{\nb = 1\n}\n").sections["a"]) == {"b": "1"}


def test_sections_continue_and_values_are_replaced() -> None:
    tree = parse("s { a = 1\n b = 1 }\ns { b = 2\n c = 2 }\n")
    assert values(tree.sections["s"]) == {"a": "1", "b": "2", "c": "2"}
    assert tree.sections["s"].values["b"].place.line == 3


def test_places_survive_long_strings_and_comments() -> None:
    tree = parse('a = "1\n2\n3"\n# comment\n\nb = 1\nc = "x\\\ny"\nd = 2\n', Path("gw.conf"))
    lines = {name: value.place for name, value in tree.values.items()}
    assert lines == {
        name: Place(Path("gw.conf"), line) for name, line in zip("abcd", (1, 6, 7, 9), strict=True)
    }


def test_references() -> None:
    tree = parse("a : b, c.d ,\n e { }\nb { }\na : b, f {}")
    assert [str(reference) for reference in tree.sections["a"].references] == ["b", "c.d", "e", "f"]


def test_include_can_be_a_name_too() -> None:
    tree = parse("include = 1\ninclude { a = 2 }\n")
    assert values(tree) == {"include": "1"}
    assert values(tree.sections["include"]) == {"a": "2"}


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a {\n b = 1\n", 1, "no '}'"),
        ("a = 1\n}\n", 2, "closes nothing"),
        ("a b\n", 1, "belongs behind a name"),
        ("a\nb = 1\n", 1, "belongs behind a name"),
        ("a = 1\n= 2\n", 2, "belongs here"),
        ('"a" = 1\n', 1, "is a value"),
        ('a = 1\nb = "x\ny\n', 2, "has no end"),
        ("a : { }\n", 1, "name of a section"),
        ("a : b. { }\n", 1, "name of a section"),
        ("a : b, = { }\n", 1, "name of a section"),
        ("a.b = 1\n", 1, "belongs behind a name"),
        ("\n\na = \x00\n", 3, "control characters"),
        ("a = \x9b2J\n", 1, "control characters"),
        ("\u202ea = 1\n", 1, "printable"),
        ("x" * 256 + " = 1", 1, "at most 255"),
        ("include x.conf\n", 1, "not included here"),
        ("a { " * (DEEPEST_SECTION + 1), 1, "nested deeper"),
        ("a { " * 100_000, 1, "nested deeper"),
        ("}" * 100_000, 1, "closes nothing"),
    ],
)
def test_mistake_has_its_line(text: str, line: int, word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught:
        parse(text, Path("x.conf"))
    assert (caught.value.file, caught.value.line) == (Path("x.conf"), line)


@pytest.mark.parametrize(
    "text",
    [
        'secret "hunter2 is long',
        "secret = ab\nhunter2\n",
        "ike { secret = ab}hunter2 x }",
        'ike { secret = "x"hunter2"  }',
        "secret : hunter2 = 1",
    ],
)
def test_mistake_does_not_quote_what_may_be_a_secret(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert "hunter2" not in str(caught.value)


def test_repr_shows_no_values() -> None:
    assert "hunter2" not in repr(parse("secrets { ike { secret = hunter2 } }"))


def test_rendered_text_reads_as_the_same_tree() -> None:
    text = 'a = "x"\ne =\ns : t, u.v {\n    b = "1"\n    t {\n    }\n}\n'
    assert render(parse(text)) == text
