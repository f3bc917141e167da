"""`perilune log`: what the daemon logs, as it happens."""

from __future__ import annotations

import json

import click

from perilune.cli.client import Client
from perilune.cli.options import uri_option


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@uri_option
def log(as_json: bool, uri: str) -> None:
    """Follow the daemon's log, until interrupted."""
    with Client(uri) as client:
        for _name, message in client.listen("log"):
            click.echo(json.dumps(message) if as_json else line(message))


def line(message: object) -> str:
    """Return a log event as the daemon itself writes it."""
    fields = message if isinstance(message, dict) else {}
    connection = fields.get("ikesa-name")
    where = f"[ike={connection} {fields.get('spis', '')}".rstrip() + "] " if connection else ""
    return f"{fields.get('time', '')} {fields.get('group', '')}: {where}{fields.get('msg', '')}".lstrip()
