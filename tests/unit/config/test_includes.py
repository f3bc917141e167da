"""Files that include files."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest

from perilune.config.files import LARGEST_FILE_OCTETS, SystemFiles
from perilune.config.includes import DEEPEST_INCLUDE, read_tree
from perilune.config.tree import Place, Section
from perilune.model.errors import ConfigError


class Shelf:
    """Files that exist in a test only."""

    def __init__(self, files: dict[str, str | bytes]) -> None:
        self.files = {
            Path(name): text.encode() if isinstance(text, str) else text for name, text in files.items()
        }

    def read(self, file: Path) -> bytes:
        if file not in self.files:
            raise ConfigError("no such file or directory", file=file)
        return self.files[file]

    def matching(self, pattern: str) -> Sequence[Path]:
        return sorted(file for file in self.files if fnmatch(str(file), pattern))


def read(files: dict[str, str | bytes]) -> Section:
    return read_tree(Path("/etc/main.conf"), Shelf(files))


def test_example_of_the_manual() -> None:
    tree = read(
        {
            "/etc/main.conf": "a = b\nsection-one {\n  somevalue = before include\n"
            "  include include.conf\n}\ninclude other.conf\n",
            "/etc/include.conf": "somevalue = asdf\nsubsection {\n  othervalue = yyy\n}\nyetanother = zz\n",
            "/etc/other.conf": "section-one { subsection { othervalue = xxx } }\nsection-two { x = 12 }\n",
        }
    )
    one = tree.sections["section-one"]
    assert one.values["somevalue"].text == "asdf"
    assert one.values["yetanother"].text == "zz"
    assert one.sections["subsection"].values["othervalue"].text == "xxx"
    assert tree.sections["section-two"].values["x"].text == "12"
    assert one.values["somevalue"].place == Place(Path("/etc/include.conf"), 1)


def test_pattern_is_relative_to_its_own_file_and_sorted() -> None:
    tree = read(
        {
            "/etc/main.conf": "include sub/first.conf",
            "/etc/sub/first.conf": "include conf.d/*.conf # comment\n",
            "/etc/sub/conf.d/2.conf": "a = 2",
            "/etc/sub/conf.d/1.conf": "a = 1\nb = 1",
            "/etc/conf.d/3.conf": "a = 3",
        }
    )
    assert (tree.values["a"].text, tree.values["b"].text) == ("2", "1")


@pytest.mark.parametrize("name", ["'a b.conf'", '"a b.conf"', r"a\ b.conf", "a\\ b.conf }"])
def test_blanks_in_names(name: str) -> None:
    files: dict[str, str | bytes] = {"/etc/a b.conf": "x = 1", "/etc/main.conf": f"s {{\n include {name}\n}}"}
    if name.startswith("'"):
        with pytest.raises(ConfigError, match="no such file"):
            read(files)
    elif name.endswith("}"):
        with pytest.raises(ConfigError, match="closes nothing"):
            read(files)
    else:
        assert read(files).sections["s"].values["x"].text == "1"


def test_wildcard_may_match_nothing_and_a_name_may_not() -> None:
    assert read({"/etc/main.conf": "include conf.d/*.conf\n"}).values == {}
    with pytest.raises(ConfigError, match=r"/etc/gone\.conf: no such file") as caught:
        read({"/etc/main.conf": "\ninclude gone.conf\n"})
    assert (caught.value.file, caught.value.line) == (Path("/etc/main.conf"), 2)


def test_loop() -> None:
    with pytest.raises(ConfigError, match="includes itself") as caught:
        read({"/etc/main.conf": "\ninclude b.conf", "/etc/b.conf": "a = 1\n\ninclude main.conf"})
    assert (caught.value.file, caught.value.line) == (Path("/etc/b.conf"), 3)


def test_long_chain_and_wide_fan() -> None:
    chain: dict[str, str | bytes] = {
        f"/etc/{n}.conf": f"include {n + 1}.conf" for n in range(DEEPEST_INCLUDE + 2)
    }
    with pytest.raises(ConfigError, match="deeper than"):
        read({"/etc/main.conf": "include 0.conf", **chain})
    fan: dict[str, str | bytes] = {f"/etc/f{n}.conf": "include g*.conf" for n in range(40)}
    fan |= {f"/etc/g{n}.conf": "a = 1" for n in range(40)}
    with pytest.raises(ConfigError, match="files are included"):
        read({"/etc/main.conf": "include f*.conf", **fan})


def test_includes_within_sections_count_as_depth() -> None:
    nested = "a {" * 20 + "include b.conf\n" + "}" * 20
    with pytest.raises(ConfigError, match="nested deeper") as caught:
        read({"/etc/main.conf": nested, "/etc/b.conf": "a {" * 20})
    assert caught.value.file == Path("/etc/b.conf")


def test_binary_file() -> None:
    with pytest.raises(ConfigError, match="UTF-8") as caught:
        read({"/etc/main.conf": b"a = 1\nb = \xff\xfe\n"})
    assert caught.value.line == 2


def test_files_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "main.conf").write_text("include conf.d/*.conf\n")
    (tmp_path / "conf.d" / "b.conf").write_text("a = b\n")
    (tmp_path / "conf.d" / "a.conf").write_text("a = a\n")
    tree = read_tree(tmp_path / "main.conf", SystemFiles())
    assert tree.values["a"].text == "b"


@pytest.mark.parametrize("kind", ["missing", "directory", "huge"])
def test_file_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "main.conf"
    if kind == "directory":
        file.mkdir()
    elif kind == "huge":
        file.write_bytes(b"#" * (LARGEST_FILE_OCTETS + 1))
    with pytest.raises(ConfigError) as caught:
        read_tree(file, SystemFiles())
    assert caught.value.file == file
