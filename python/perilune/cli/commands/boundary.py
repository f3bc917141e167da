"""`perilune boundary`: what the host keeps from passing in the clear, also while no daemon runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path as FilePath

import click
from rich.table import Table

from perilune.cli.client import Client, CommandError, socket_path
from perilune.cli.exit_codes import ExitCode
from perilune.cli.options import uri_option
from perilune.cli.status_table import octets_text
from perilune.cli.terminal import table_console
from perilune.shell.boundary import MISSING, CountedRule, find_nft, remove_rules, rules_in_force


@click.group()
def boundary() -> None:
    """The rules that keep protected traffic from passing in the clear."""


@boundary.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def show(as_json: bool) -> None:
    """Show the rules in the order in which they are asked, and what each has let pass or dropped.

    It needs no daemon, for the rules stay when the daemon ends; it needs the right to ask nftables.
    """
    rules = rules_in_force(_nft())
    if as_json:
        document = {"stands": rules is not None, "rules": [_as_document(rule) for rule in rules or []]}
        click.echo(json.dumps(document, indent=2))
    elif rules is None:
        click.echo("there is no boundary: everything may pass in the clear")
    else:
        table_console().print(_table(rules))


@boundary.command()
@uri_option
def remove(uri: str) -> None:
    """Let everything pass in the clear again, until a daemon starts that enforces its policy."""
    if _runs_a_daemon(socket_path(uri)):
        raise CommandError(
            "the daemon runs and would set the boundary again",
            ExitCode.REFUSED,
            "end it first, or have it start with 'enforce_policy = no' in its section 'daemon'",
        )
    remove_rules(_nft())
    click.echo("the boundary is gone: everything may pass in the clear")


def _nft() -> str:
    nft = find_nft()
    if nft is None:
        raise CommandError(MISSING, ExitCode.NOT_ALLOWED)
    return nft


def _runs_a_daemon(path: FilePath) -> bool:
    try:
        with Client(str(path)) as client:
            client.request("version")
    except CommandError as error:
        return error.code is not ExitCode.NO_DAEMON
    return True


def _as_document(rule: CountedRule) -> dict[str, object]:
    return {**asdict(rule), "way": rule.way.value}


def _table(rules: list[CountedRule]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("way", "policy", "in the clear", "packets", "octets"):
        table.add_column(column)
    for rule in rules:
        verdict = "passes" if rule.verdict == "accept" else "is dropped"
        table.add_row(rule.way.value, rule.policy, verdict, str(rule.packets), octets_text(rule.octets))
    return table
