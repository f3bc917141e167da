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

_DURATIONS = frozenset({"age", "idle", "path-mtu-age", "path-mtu-left", "soft-time", "hard-time"})
_KIB = 1024


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
@click.argument("name", required=False, metavar="[NAME|SPI]")
@click.option("--json", "as_json", is_flag=True, help="One JSON document with everything.")
@uri_option
def show(name: str | None, as_json: bool, uri: str) -> None:
    """Show every SA, of IKE and of manual keys; or those of one policy, or of one SPI, in full."""
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
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("policy", "SPI", "form", "between", "traffic", "age"):
        table.add_column(column, overflow="fold", no_wrap=column == "SPI")
    for one in sas:
        arrow = "in " if text_of(one, "direction") == "inbound" else "out"
        table.add_row(
            text_of(one, "policy"),
            f"{arrow} {text_of(one, 'spi')}\nnumber {text_of(one, 'sequence', '0')}",
            f"{_form(one)}\n{text_of(one, 'suite')}",
            f"{text_of(one, 'local')}\n{text_of(one, 'remote')}",
            f"{text_of(one, 'packets', '0')} packets\n{octets_text(_count(one, 'bytes'))}",
            f"{duration_text(_count(one, 'age'))}\n{text_of(one, 'state')}",
        )
    return table


def _form(one: Node) -> str:
    encap = " in UDP" if text_of(one, "encap") == "udp" else ""
    return f"{text_of(one, 'protocol')} {text_of(one, 'mode')}{encap}"


def _details(one: Node) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    for key in one:
        value = one[key]
        table.add_row(key, ", ".join(map(str, value)) if isinstance(value, list) else _with_unit(one, key))
    table.add_row("", "")
    return table


def _with_unit(one: Node, key: str) -> str:
    text = text_of(one, key)
    if key in _DURATIONS:
        return duration_text(_count(one, key))
    if key.rpartition("-")[2] == "bytes" and _count(one, key) >= _KIB:
        return f"{text} ({octets_text(_count(one, key))})"
    return text


def _count(one: Node, key: str) -> int:
    text = text_of(one, key, "0")
    return int(text) if text.isdecimal() else 0
