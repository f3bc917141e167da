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
from perilune.databases.sad import Direction
from perilune.databases.spd import Action, Way
from perilune.model.spi import format_spi

_WAYS = {Direction.INBOUND: "in ", Direction.OUTBOUND: "out"}


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
    for table in (policies_table(settings), summary_table(settings), sas_table(settings)):
        if table.row_count:
            console.print(table)
            console.print()
    console.print(
        f"{len(settings.secrets)} secret(s), control socket {settings.daemon.vici}",
        style="dim",
        markup=False,
        soft_wrap=True,
    )
    console.print(f"{file} can be used.", style="green", soft_wrap=True)


def summary_table(settings: Settings) -> Table:
    """Return the connections and children of a configuration."""
    table = _columns(
        "connection", "remote", "identities", "authentication", "child", "local - remote", "starts"
    )
    for connection in settings.connections:
        remote = ", ".join(map(str, connection.remote_addrs))
        identities = f"{connection.local_id or 'our address'} - {connection.remote_id or 'anyone'}"
        proofs = f"{connection.local_proof} - {connection.remote_proof}"
        first = (connection.name, _any_text(remote), identities, proofs)
        for child in connection.children:
            local_ts = " ".join(map(str, child.local_ts))
            remote_ts = " ".join(map(str, child.remote_ts))
            table.add_row(*first, child.name, f"{local_ts} - {remote_ts}", _starts(child))
            first = ("", "", "", "")
        if not connection.children:
            table.add_row(*first, "none", "", "")
    return table


def policies_table(settings: Settings) -> Table:
    """Return the entries of the SPD that the configuration has in so many words, in their order."""
    table = _columns("order", "policy", "action", "local", "remote")
    for entry in settings.policies:
        way = "" if entry.way is Way.BOTH else f" {entry.way.value}"
        whose = f" {entry.connection}/{entry.child}" if entry.child else ""
        asked = [*map(str, entry.remote), *entry.conditions.texts]
        action = f"{entry.action.value}{way}{whose}"
        table.add_row(
            str(entry.order), entry.name, action, "\n".join(map(str, entry.local)), "\n".join(asked)
        )
    return table


def sas_table(settings: Settings) -> Table:
    """Return the SAs with manual keys."""
    table = _columns("SA", "SPI", "form", "between", "local - remote")
    for sa in settings.sas:
        spis = [f"{_WAYS[direction]} {format_spi(keys.spi)}" for direction, keys in sa.directions]
        form = f"{sa.protocol.name} {sa.processing.mode.value}"
        ends = f"{sa.path.local.address}\n{sa.path.remote.address}"
        local_ts, remote_ts = (" ".join(map(str, side)) for side in (sa.local, sa.remote))
        table.add_row(sa.name, "\n".join(spis), f"{form}\n{sa.suite}", ends, f"{local_ts} - {remote_ts}")
    return table


def _columns(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _starts(child: ChildPolicy) -> str:
    """Return when a child begins; what is let by or discarded is so from the start."""
    always = {Action.BYPASS: "passes", Action.DISCARD: "is dropped"}
    return always.get(child.action) or child.start_action.value


def _any_text(addresses: str) -> str:
    return addresses.replace("0.0.0.0-255.255.255.255", "%any4").replace(
        "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "%any6"
    )
