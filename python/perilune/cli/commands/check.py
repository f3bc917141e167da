"""`perilune check`: would the daemon take this configuration?"""

from __future__ import annotations

from pathlib import Path as FilePath

import click
from rich.table import Table

from perilune.cli.options import CONFIG_FILE
from perilune.cli.terminal import error_console, table_console
from perilune.config.load import load
from perilune.config.settings import Settings
from perilune.databases.pad import ChildPolicy
from perilune.databases.spd import Action


@click.command()
@click.argument("file", type=CONFIG_FILE)
def check(file: FilePath) -> None:
    """Read FILE as the daemon would, and say what is wrong with it.

    Every mistake is told with file, line and key; then the exit code is 2.
    """
    settings = load(file)
    errors = error_console()
    for warning in settings.warnings:
        errors.print(f"warning: {warning}", style="yellow")
    console = table_console()
    console.print(summary_table(settings))
    console.print(f"{file} can be used.", style="green", soft_wrap=True)


def summary_table(settings: Settings) -> Table:
    """Return the connections and children of a configuration."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("connection", "remote", "identities", "child", "local - remote", "starts"):
        table.add_column(column)
    for connection in settings.connections:
        remote = ", ".join(map(str, connection.remote_addrs))
        identities = f"{connection.local_id or 'our address'} - {connection.remote_id or 'anyone'}"
        first = (connection.name, _any_text(remote), identities)
        for child in connection.children:
            local_ts = " ".join(map(str, child.local_ts))
            remote_ts = " ".join(map(str, child.remote_ts))
            table.add_row(*first, child.name, f"{local_ts} - {remote_ts}", _starts(child))
            first = ("", "", "")
        if not connection.children:
            table.add_row(*first, "none", "", "")
    table.caption = f"{len(settings.secrets)} secret(s), control socket {settings.daemon.vici}"
    table.caption_justify = "left"
    return table


def _starts(child: ChildPolicy) -> str:
    """Return when a child begins; what is let by or discarded is so from the start."""
    always = {Action.BYPASS: "passes", Action.DISCARD: "is dropped"}
    return always.get(child.action) or child.start_action.value


def _any_text(addresses: str) -> str:
    return addresses.replace("0.0.0.0-255.255.255.255", "%any4").replace(
        "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "%any6"
    )
