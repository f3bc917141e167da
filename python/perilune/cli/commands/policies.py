"""`perilune policies`: the SPD in its order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import click
from rich.table import Table
from rich.text import Text

from perilune.agent.vici.codec import Node
from perilune.cli.client import Client, text_of
from perilune.cli.options import uri_option
from perilune.cli.snapshot import number_of, texts_of
from perilune.cli.terminal import table_console

_COLOURS = {"protect": "green", "bypass": "yellow", "discard": "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySa:
    """An SA of an entry."""

    direction: str
    spi: str
    remote: str
    packets: int
    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An entry of the SPD."""

    place: int
    """Counted from 1, as they are asked."""

    name: str
    order: int
    action: str
    direction: str
    is_trap: bool
    local: tuple[str, ...]
    remote: tuple[str, ...]
    conditions: tuple[str, ...]
    pfp: tuple[str, ...]
    held: int
    """Packets that wait for an SA now."""

    packets: int
    octets: int
    sa_count: int
    sas: tuple[PolicySa, ...]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option(
    "--decorrelated",
    is_flag=True,
    help="Without overlaps: each entry as the parts that no entry before it selects (RFC 4301, appendix B).",
)
@uri_option
def policies(as_json: bool, decorrelated: bool, uri: str) -> None:
    """Show the SPD in its order, with what each entry did and the SAs it has."""
    request: dict[str, str | bytes] = {"decorrelated": "yes"} if decorrelated else {}
    with Client(uri) as client:
        found = client.stream("perilune-policies", "perilune-policy", request)
    if decorrelated:
        _show_pieces(found, as_json)
        return
    entries = [_policy(node) for node in found]
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries], indent=2))
    else:
        table_console().print(_table(entries))


def _policy(node: Node) -> Policy:
    sas = node.get("sas")
    sections = sas.values() if isinstance(sas, Mapping) else ()
    return Policy(
        place=number_of(node, "place"),
        name=text_of(node, "name"),
        order=number_of(node, "order"),
        action=text_of(node, "action"),
        direction=text_of(node, "direction"),
        is_trap=text_of(node, "traps") == "yes",
        local=texts_of(node, "local"),
        remote=texts_of(node, "remote"),
        conditions=texts_of(node, "conditions"),
        pfp=texts_of(node, "pfp"),
        held=number_of(node, "held"),
        packets=number_of(node, "packets"),
        octets=number_of(node, "bytes"),
        sa_count=number_of(node, "sa-count"),
        sas=tuple(_sa(section) for section in sections if isinstance(section, Mapping)),
    )


def _sa(node: Node) -> PolicySa:
    return PolicySa(
        direction=text_of(node, "direction"),
        spi=text_of(node, "spi"),
        remote=text_of(node, "remote-host"),
        packets=number_of(node, "packets"),
        octets=number_of(node, "bytes"),
    )


def _table(entries: list[Policy]) -> Table:
    table = _columns("#", "policy", "action", "local", "remote", "packets", "SAs")
    for entry in entries:
        way = "" if entry.direction == "both" else f" {entry.direction}"
        asked = [*entry.conditions, *([f"pfp = {', '.join(entry.pfp)}"] if entry.pfp else [])]
        held = f"\n{entry.held} held" if entry.held else ""
        table.add_row(
            str(entry.place),
            entry.name,
            Text(entry.action + way, _COLOURS.get(entry.action, "")),
            "\n".join(entry.local),
            "\n".join([*entry.remote, *asked]),
            f"{entry.packets}{held}",
            _sas_text(entry),
        )
    return table


def _sas_text(entry: Policy) -> str:
    if entry.sa_count:
        shown = [f"{sa.direction} {sa.spi}" for sa in entry.sas[:4]]
        more = entry.sa_count - len(shown)
        return "\n".join([*shown, *([f"and {more} more"] if more > 0 else [])])
    return "with traffic" if entry.is_trap else ""


def _show_pieces(found: list[Node], as_json: bool) -> None:
    keys = ("name", "action", "direction")
    pieces = [{key: text_of(node, key) for key in keys} for node in found]
    ends = [(" ".join(texts_of(node, "local")), " ".join(texts_of(node, "remote"))) for node in found]
    if as_json:
        document = [
            piece | {"local": local, "remote": remote}
            for piece, (local, remote) in zip(pieces, ends, strict=True)
        ]
        click.echo(json.dumps(document, indent=2))
        return
    table = _columns("policy", "action", "direction", "local", "remote")
    for piece, (local, remote) in zip(pieces, ends, strict=True):
        table.add_row(*piece.values(), local, remote)
    table_console().print(table)


def _columns(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    return table
