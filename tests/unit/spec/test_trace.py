"""The requirements report finds what tests say they show, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spec.trace import Report, read_requirements, trace

REQUIREMENTS = """
["R4303-2.6-1"]
level = "MUST"
text = "Dummies are dropped"

["R4303-3.3.3-1"]
level = "MUST NOT"
text = "Cycle"
"""


SUM = """
["R4303-5-1"]
level = "MUST"
text = "All of it"
sum_of = ["R4303-"]
"""


def report(
    root: Path, *, python: str = "", rust: str = "", exceptions: str = "", requirements: str = REQUIREMENTS
) -> Report:
    files = {
        "spec/requirements.toml": requirements,
        "spec/exceptions.toml": exceptions,
        "tests/unit/test_it.py": python,
        "rust/engine/tests/it.rs": rust,
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return trace(root)


def missing(found: Report) -> list[str]:
    return [requirement.id for requirement in found.missing]


def test_nothing_said_is_nothing_shown(tmp_path: Path) -> None:
    assert missing(report(tmp_path)) == ["R4303-2.6-1", "R4303-3.3.3-1"]


def test_comments_in_both_languages_count(tmp_path: Path) -> None:
    found = report(
        tmp_path,
        python="# covers R4303-2.6-1, R4303-3.3.3-1\n@mark\ndef test_a() -> None: ...\n",
        rust="// covers R4303-2.6-1\n#[test]\nfn b() {}\n",
    )
    assert missing(found) == []
    assert [cover.test for cover in found.covers["R4303-2.6-1"]] == ["b", "test_a"]
    assert found.mistakes == ()


def test_a_comment_above_no_test_is_a_mistake(tmp_path: Path) -> None:
    found = report(tmp_path, python="# covers R4303-2.6-1\nx = 1\n")
    assert found.mistakes == ("tests/unit/test_it.py:1: no test follows the comment",)


def test_an_exception_accounts_for_its_requirement(tmp_path: Path) -> None:
    found = report(tmp_path, exceptions='["R4303-2.6-1"]\nreason = "not ours"\n')
    assert missing(found) == ["R4303-3.3.3-1"]


@pytest.mark.parametrize(
    ("id_", "mistake"),
    [("R4303-2.6-1", "is shown by test_a"), ("R4303-9-9", "there is no R4303-9-9")],
)
def test_an_exception_that_is_none_is_a_mistake(tmp_path: Path, id_: str, mistake: str) -> None:
    found = report(
        tmp_path,
        python="# covers R4303-2.6-1\ndef test_a() -> None: ...\n",
        exceptions=f'["{id_}"]\nreason = "none"\n',
    )
    assert mistake in found.mistakes[0]


def test_a_sum_is_shown_when_its_parts_are(tmp_path: Path) -> None:
    half = "# covers R4303-2.6-1\ndef test_a() -> None: ...\n"
    found = report(tmp_path, python=half, requirements=REQUIREMENTS + SUM)
    assert missing(found) == ["R4303-3.3.3-1", "R4303-5-1"]
    whole = half + "# covers R4303-3.3.3-1\ndef test_b() -> None: ...\n"
    found = report(tmp_path, python=whole, requirements=REQUIREMENTS + SUM)
    assert (missing(found), found.mistakes) == ([], ())


@pytest.mark.parametrize(
    ("python", "requirements", "mistake"),
    [
        ("# covers R4303-5-1\ndef test_a() -> None: ...\n", REQUIREMENTS + SUM, "R4303-5-1 is a sum"),
        ("", SUM, "R4303-5-1 is the sum of nothing"),
    ],
)
def test_a_sum_that_is_none_is_a_mistake(
    tmp_path: Path, python: str, requirements: str, mistake: str
) -> None:
    (found,) = report(tmp_path, python=python, requirements=requirements).mistakes
    assert mistake in found


def test_an_entry_with_other_keys_is_named(tmp_path: Path) -> None:
    path = tmp_path / "requirements.toml"
    path.write_text('["R4303-2.6-1"]\nlevel = "MUST"\n')
    with pytest.raises(ValueError, match=r"R4303-2\.6-1 has the keys \['level'\]"):
        read_requirements(path)
