"""The table of `perilune status`, letter by letter."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from perilune.cli.client import Client
from perilune.cli.snapshot import take_snapshot
from perilune.cli.status_table import duration_text, octets_text, status_table
from support.nodes import ExampleNode, serving

GOLDEN = Path(__file__).with_name("status_table.txt")


def rendered(node: ExampleNode, path: Path, width: int = 132) -> str:
    with serving(node, path), Client(f"unix://{path}") as client:
        snapshot = take_snapshot(client)
    console = Console(width=width, color_system=None, file=io.StringIO())
    with console.capture() as capture:
        console.print(status_table(snapshot, console.width))
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def test_table_is_the_golden_one(tmp_path: Path) -> None:
    assert rendered(ExampleNode(), tmp_path / "vici") == GOLDEN.read_text()


def test_on_a_narrow_terminal_nothing_is_left_out(tmp_path: Path) -> None:
    text = rendered(ExampleNode(), tmp_path / "vici", 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for word in ("INSTALLED", "c0ffee02", "10.2.0.0/16"):
        assert word in text


def test_nothing_is_up(tmp_path: Path) -> None:
    node = ExampleNode()
    node.become_empty()
    text = rendered(node, tmp_path / "vici")
    assert "0 IKE SAs, 0 children" in text
    assert "net                 gw" in text


def test_form_of_a_child_that_is_no_plain_tunnel(tmp_path: Path) -> None:
    path = tmp_path / "vici"
    with serving(ExampleNode(), path), Client(f"unix://{path}") as client:
        snapshot = take_snapshot(client)
    (ike_sa, *_) = snapshot.ike_sas
    form = {"protocol": "AH", "mode": "transport", "compression": "IPComp", "encapsulation": "none"}
    child = replace(ike_sa.children[0], **form)  # type: ignore[arg-type] # names of its own
    console = Console(width=200, color_system=None, file=io.StringIO())
    with console.capture() as capture:
        console.print(
            status_table(replace(snapshot, ike_sas=(replace(ike_sa, children=(child,)),)), console.width)
        )
    assert "AH transport mode IPComp" in capture.get()


def test_half_a_tunnel(tmp_path: Path) -> None:
    node = ExampleNode()
    node.begin()
    text = rendered(node, tmp_path / "vici")
    assert "CONNECTING" in text
    assert "no children" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (7260, "2 h 1 min"),
        (86400 + 7200, "1 d 2 h"),
        (-5, "-5 s"),
    ],
)
def test_durations(seconds: int, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10 * 1024, "10 KiB"),
        (3 << 40, "3.0 TiB"),
        (1 << 60, "1048576 TiB"),
    ],
)
def test_octets(octets: int, text: str) -> None:
    assert octets_text(octets) == text
