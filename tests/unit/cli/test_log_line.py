"""A line of `perilune log`."""

from __future__ import annotations

from perilune.cli.commands.log import line


def test_line_about_an_ike_sa() -> None:
    fields = {"time": "T", "group": "ike", "ikesa-name": "gw", "spis": "5ad1.../08c2...", "msg": "up"}
    assert line(fields) == "T ike: [ike=gw 5ad1.../08c2...] up"
    del fields["spis"]
    assert line(fields) == "T ike: [ike=gw] up"


def test_line_about_nothing_in_particular() -> None:
    assert line({"time": "T", "group": "daemon", "msg": "ready"}) == "T daemon: ready"
    assert line("nonsense") == ": "
