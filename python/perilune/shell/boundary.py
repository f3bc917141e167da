"""Has nftables enforce the boundary, in a table of our own that outlives the daemon.

    Boundary.set()     -> boundary_rules.ruleset() -> nft -f -     one transaction: no moment without rules
    nft -j list table  -> rules_in_force()                          what there is, and what it counted

The table stays when the daemon ends, however it ends: what it keeps from the wire is policy, not a tunnel.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from perilune.databases.spd import Action, PolicyId, SpdEntry, Way
from perilune.model.errors import ResourceError
from perilune.model.selector import everything
from perilune.shell.boundary_book import BoundaryBook
from perilune.shell.boundary_rules import REMOVAL, TABLE, BoundarySettings, ruleset, way_of

MISSING: Final = "there is no program nft; Debian has it in the package nftables"
_PLACES: Final = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin"
_PATIENCE_SECONDS: Final = 30.0
_SAMPLE: Final = SpdEntry(
    id=PolicyId(1),
    name="sample",
    priority=0,
    action=Action.PROTECT,
    local=(everything(4), everything(6)),
    remote=(everything(4), everything(6)),
)
_LOG = logging.getLogger("perilune.boundary")


@dataclass(frozen=True, slots=True)
class CountedRule:
    """A rule that policy made, as it is in the kernel."""

    way: Way
    policy: str
    verdict: str
    packets: int
    octets: int


def find_nft() -> str | None:
    """Return where the program nft is; None if it is not installed."""
    return shutil.which("nft") or shutil.which("nft", path=_PLACES)


def is_usable(nft: str, settings: BoundarySettings) -> str:
    """Return why the kernel does not let us have rules; empty if it does. Nothing is changed."""
    try:
        _run(nft, "--check", "--file", "-", text=ruleset([_SAMPLE], settings))
    except ResourceError as error:
        return str(error)
    return ""


def rules_in_force(nft: str) -> list[CountedRule] | None:
    """Return the rules that there are, in their order; None where there is no table.

    Raises:
        ResourceError: nft failed.
    """
    tables = json.loads(_run(nft, "--json", "list", "tables"))["nftables"]
    if {"family": "inet", "name": TABLE} not in [_named(one.get("table", {})) for one in tables]:
        return None
    listed = json.loads(_run(nft, "--json", "list", "table", "inet", TABLE))["nftables"]
    rules = [one["rule"] for one in listed if "rule" in one and "comment" in one["rule"]]
    return [_counted(rule, way) for rule in rules if (way := way_of(rule["chain"])) is not None]


def remove_rules(nft: str) -> None:
    """Let everything pass again.

    Raises:
        ResourceError: nft failed.
    """
    _run(nft, "--file", "-", text=REMOVAL)


class Boundary:
    """Keeps the rules those of the SPD.

    Args:
        nft: The program.
        settings: What is never looked at.
    """

    def __init__(self, nft: str, settings: BoundarySettings) -> None:
        self._nft = nft
        self._settings = settings
        self._book = BoundaryBook()
        self._is_behind = True

    def note(self, added: Sequence[SpdEntry], removed: Sequence[PolicyId]) -> None:
        """Take note of changes of the SPD."""
        for id_ in removed:
            self._is_behind |= self._book.remove(id_)
        for entry in added:
            self._is_behind |= self._book.add(entry)

    def take(self) -> tuple[SpdEntry, ...] | None:
        """Return the entries that the kernel's rules are to be made of; None if they are made of them."""
        if not self._is_behind:
            return None
        self._is_behind = False
        return tuple(self._book.entries)

    def put_back(self) -> None:
        """Note that the rules could not be made of what was taken."""
        self._is_behind = True

    def set(self, entries: Sequence[SpdEntry]) -> None:
        """Have the kernel's rules be those of an SPD; this takes a while, and any thread may do it.

        Raises:
            ResourceError: nft failed; the rules are those that they were.
        """
        text = ruleset(entries, self._settings, _counts(rules_in_force(self._nft) or []))
        _run(self._nft, "--file", "-", text=text)
        _LOG.debug("the boundary has %d policies", len(entries))


def _named(table: Mapping[str, Any]) -> dict[str, object]:
    return {key: table.get(key) for key in ("family", "name")}


def _counted(rule: Mapping[str, Any], way: Way) -> CountedRule:
    """Return a rule of one of our chains; what its expressions do not say is as if nothing was counted."""
    words: dict[str, Any] = {key: value for expression in rule["expr"] for key, value in expression.items()}
    counter = words.get("counter") or {}
    return CountedRule(
        way=way,
        policy=str(rule.get("comment", "")),
        verdict="drop" if "drop" in words else "accept",
        packets=int(counter.get("packets", 0)),
        octets=int(counter.get("bytes", 0)),
    )


def _counts(rules: Sequence[CountedRule]) -> dict[tuple[Way, str], list[tuple[int, int]]]:
    counts: dict[tuple[Way, str], list[tuple[int, int]]] = {}
    for rule in rules:
        counts.setdefault((rule.way, rule.policy), []).append((rule.packets, rule.octets))
    return counts


def _run(nft: str, *words: str, text: str = "") -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a program that was looked up, with words of our own
            [nft, *words], input=text, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ResourceError(f"{nft} cannot be run: {error}") from error
    if done.returncode:
        raise ResourceError(f"nftables refuses: {(done.stderr or done.stdout).strip()[:500]}")
    return done.stdout
