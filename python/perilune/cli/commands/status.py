"""`perilune status`: what is configured, what is up, what is dropped."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict

import click
from rich.live import Live

from perilune.cli.client import Client
from perilune.cli.options import uri_option
from perilune.cli.snapshot import Snapshot, take_snapshot
from perilune.cli.status_table import status_table
from perilune.cli.terminal import table_console

_WATCH_S = 1.0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document; with --watch, one a line.")
@click.option("--watch", is_flag=True, help="Show it again every second, until interrupted.")
@uri_option
def status(as_json: bool, watch: bool, uri: str) -> None:
    """Show connections, IKE SAs, children, traps, and what was dropped and why."""
    with Client(uri) as client:
        if watch:
            _watch(client, as_json)
        elif as_json:
            click.echo(json.dumps(as_document(take_snapshot(client)), indent=2))
        else:
            console = table_console()
            console.print(status_table(take_snapshot(client), console.width))


def as_document(snapshot: Snapshot) -> dict[str, object]:
    """Return a snapshot as JSON has it, with the children that are down named."""
    document = asdict(snapshot)
    document["down"] = [f"{child.connection}/{child.name}" for child in snapshot.down]
    return document


def _watch(client: Client, as_json: bool) -> None:
    if as_json:
        while True:
            click.echo(json.dumps(as_document(take_snapshot(client))))
            time.sleep(_WATCH_S)
    console = table_console()
    while not console.is_terminal:
        console.print(status_table(take_snapshot(client), console.width))
        sys.stdout.flush()
        time.sleep(_WATCH_S)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            live.update(status_table(take_snapshot(client), console.width), refresh=True)
            time.sleep(_WATCH_S)
