"""`perilune run`: the daemon."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as FilePath

import click

from perilune.cli.client import socket_path
from perilune.cli.options import CONFIG_FILE
from perilune.config.load import load
from perilune.config.settings import LogLevel, Settings


@click.command()
@click.option(
    "-c", "--config", type=CONFIG_FILE, required=True, help="The configuration, as in swanctl.conf."
)
@click.option(
    "--uri", envvar="PERILUNE_URI", metavar="URI", help="The control socket; else daemon.vici says it."
)
@click.option(
    "--log-level", type=click.Choice([level.value for level in LogLevel]), help="Else daemon.log says it."
)
@click.option(
    "--key-log",
    type=click.Path(file_okay=False, path_type=FilePath),
    metavar="DIR",
    help="Write all keys there for Wireshark. Whoever reads them reads the traffic.",
)
def run(config: FilePath, uri: str | None, log_level: str | None, key_log: FilePath | None) -> None:
    """Carry traffic as FILE says, until SIGTERM or SIGINT; SIGHUP reads FILE again."""
    from perilune.daemon.main import run_daemon  # noqa: PLC0415 - the other commands start without the engine

    def read_settings() -> Settings:
        settings = load(config)
        daemon = settings.daemon
        if uri is not None:
            daemon = replace(daemon, vici=socket_path(uri))
        if log_level is not None:
            daemon = replace(daemon, log=LogLevel(log_level))
        if key_log is not None:
            daemon = replace(daemon, keylog=key_log)
        return replace(settings, daemon=daemon)

    run_daemon(read_settings)
