"""`perilune sa`: every SA with all that is known of it, and SAs with manual keys that come and go."""

from __future__ import annotations

import json
import sys

import click
from rich.table import Table

from perilune.agent.vici.codec import Node
from perilune.cli.client import Client, CommandError, text_of
from perilune.cli.exit_codes import ExitCode
from perilune.cli.options import uri_option
from perilune.cli.status_table import duration_text, octets_text
from perilune.cli.terminal import table_console


@click.group()
def sa() -> None:
    """Show SAs, and add and remove those with manual keys."""


@sa.command()
@click.argument("name")
@click.argument("settings", nargs=-1, metavar="KEY=VALUE...")
@uri_option
def add(name: str, settings: tuple[str, ...], uri: str) -> None:
    """Add an SA with manual keys until the daemon ends.

    KEY=VALUE are the keys of a section 'sas.NAME' of the configuration. Arguments of a command can be seen by
    every user of this host, so write '-' for KEY=VALUE to have them read from standard input, one a line.
    """
    values = dict(_setting(one) for word in settings for one in _lines(word))
    with Client(uri) as client:
        client.request("perilune-sa-add", {"name": name, "values": values})
    click.echo(f"{name} is added")


@sa.command(name="del")
@click.argument("name")
@uri_option
def delete(name: str, uri: str) -> None:
    """Remove an SA with manual keys and erase them."""
    with Client(uri) as client:
        client.request("perilune-sa-del", {"name": name})
    click.echo(f"{name} is removed")


@sa.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document with everything.")
@uri_option
def show(name: str | None, as_json: bool, uri: str) -> None:
    """Show every SA, of IKE and of manual keys, or those of one policy in full."""
    with Client(uri) as client:
        sas = client.stream("perilune-sa-list", "perilune-sa", {"name": name} if name else {})
    if name and not sas:
        raise CommandError(
            f"there is no SA '{name}'", ExitCode.REFUSED, "'perilune sa show' shows all of them"
        )
    if as_json:
        click.echo(json.dumps(sas, indent=2))
    elif name:
        for one in sas:
            table_console().print(_details(one))
    else:
        table_console().print(_overview(sas))


def _lines(word: str) -> list[str]:
    if word != "-":
        return [word]
    return [line.strip() for line in sys.stdin.read().splitlines() if line.strip()]


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        # Not quoted: it may be a key that lost its name.
        raise CommandError("a setting is KEY=VALUE", ExitCode.WRONG_USE)
    return key.strip(), value.strip()


def _overview(sas: list[Node]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in (
        "policy",
        "",
        "SPI",
        "form",
        "between",
        "algorithms",
        "sequence",
        "traffic",
        "age",
        "state",
    ):
        table.add_column(column)
    for one in sas:
        arrow = "in" if text_of(one, "direction") == "inbound" else "out"
        between = f"{text_of(one, 'local')} - {text_of(one, 'remote')}"
        traffic = f"{text_of(one, 'packets', '0')} packets, {octets_text(_count(one, 'bytes'))}"
        table.add_row(
            text_of(one, "policy"),
            arrow,
            text_of(one, "spi"),
            _form(one),
            between,
            text_of(one, "suite"),
            text_of(one, "sequence"),
            traffic,
            duration_text(_count(one, "age")),
            text_of(one, "state"),
        )
    return table


def _form(one: Node) -> str:
    encap = " in UDP" if text_of(one, "encap") == "udp" else ""
    return f"{text_of(one, 'protocol')} {text_of(one, 'mode')}{encap}"


def _details(one: Node) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    for key, value in one.items():
        table.add_row(key, ", ".join(map(str, value)) if isinstance(value, list) else str(value))
    table.add_row("", "")
    return table


def _count(one: Node, key: str) -> int:
    text = text_of(one, key, "0")
    return int(text) if text.isdecimal() else 0
