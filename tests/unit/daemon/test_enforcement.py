"""When nftables is told of changes of the SPD; a program in the place of nft writes down what it is told."""

from __future__ import annotations

import asyncio
import logging
from ipaddress import ip_network
from pathlib import Path

import pytest

from perilune.daemon.enforcement import Enforcement
from perilune.databases.changes import AddPolicy, RemovePolicy
from perilune.databases.spd import Action, PolicyId, SpdEntry
from perilune.model.selector import TrafficSelector
from perilune.shell import boundary
from perilune.shell.boundary_rules import BoundarySettings

NFT = """#!/bin/sh
case "$*" in
  *tables*) echo '{{"nftables": []}}' ;;
  *--check*) cat > /dev/null ;;
  *) [ ! -e {directory}/broken ] || {{ echo "no such luck" >&2; exit 1; }}
     cat > {directory}/new && mv {directory}/new {directory}/$(ls {directory} | grep -c '^[0-9]') ;;
esac
"""
SETTINGS = BoundarySettings(device="perilune0", ports=(500, 4500), mark=220)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where each text that nft was given is, by its number from 0."""
    program = tmp_path / "nft"
    program.write_text(NFT.format(directory=tmp_path))
    program.chmod(0o755)
    monkeypatch.setattr("perilune.daemon.enforcement.find_nft", lambda: str(program))
    assert boundary.is_usable(str(program), SETTINGS) == ""
    return tmp_path


def added(number: int) -> AddPolicy:
    selectors = tuple(TrafficSelector.of_network(ip_network(f"10.{number}.0.0/16")) for _ in range(2))
    entry = SpdEntry(
        id=PolicyId(number),
        name=f"gw/{number}",
        priority=number,
        action=Action.PROTECT,
        local=selectors,
        remote=selectors,
    )
    return AddPolicy(entry)


def texts(told: Path) -> list[str]:
    return [path.read_text() for path in sorted(told.glob("[0-9]*"), key=lambda path: int(path.name))]


def names(text: str) -> set[int]:
    return {number for number in range(1, 60) if f'comment "gw/{number}"' in text}


def test_changes_that_come_together_are_told_together(told: Path) -> None:
    async def run() -> None:
        enforcement = Enforcement(None, SETTINGS)
        enforcement.open()
        enforcement.follow([added(1)], only_grow=False)
        assert texts(told) == [], "not before the whole configuration is loaded"
        enforcement.begin()
        for number in range(2, 52):
            enforcement.follow([added(number)], only_grow=False)
        await enforcement.settle()
        enforcement.follow([RemovePolicy(PolicyId(1))], only_grow=False)
        enforcement.follow([RemovePolicy(PolicyId(2))], only_grow=True)
        await enforcement.say_farewell()

    asyncio.run(run())
    assert [names(text) for text in texts(told)] == [{1}, set(range(1, 52)), set(range(2, 52))]


def test_what_nft_refuses_is_told_again(told: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        enforcement = Enforcement(True, SETTINGS)
        enforcement.open()
        enforcement.follow([added(1)], only_grow=False)
        (told / "broken").touch()
        enforcement.begin()
        assert texts(told) == []
        (told / "broken").unlink()
        await enforcement.settle()
        await enforcement.settle()

    with caplog.at_level(logging.ERROR, "perilune.daemon"):
        asyncio.run(run())
    assert [names(text) for text in texts(told)] == [{1}]
    assert "no such luck" in caplog.text
