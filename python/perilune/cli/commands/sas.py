"""`perilune initiate`, `terminate` and `rekey`: what is done to SAs."""

from __future__ import annotations

import click

from perilune.agent.vici.codec import Node
from perilune.cli.client import Client, CommandError, text_of
from perilune.cli.options import chosen_sas, sa_options, timeout_option, uri_option

_GRACE_S = 5.0
"""The daemon keeps the time that was given; we wait a little longer for what it says about it."""


@click.command()
@click.option("--child", metavar="NAME", help="The child to set up.")
@click.option("--ike", metavar="NAME", help="Its connection; alone, only the IKE SA is set up.")
@timeout_option
@uri_option
def initiate(child: str | None, ike: str | None, timeout: float, uri: str) -> None:
    """Set up a child, and the IKE SA it needs, and wait until it stands."""
    request = chosen_sas(ike=ike, child=child)
    _control(uri, "initiate", request, timeout, f"{child or ike} is not up")
    click.echo(f"{child or ike} is up")


@click.command()
@sa_options
@click.option("--force", is_flag=True, help="Don't wait for the peer to agree.")
@timeout_option
@uri_option
def terminate(force: bool, timeout: float, uri: str, **chosen: str | int | None) -> None:
    """Delete IKE SAs with their children, or children alone, here and at the peer."""
    request = chosen_sas(**chosen)
    if force:
        request["force"] = "yes"
    response = _control(uri, "terminate", request, timeout, "not all ended")
    click.echo(f"{text_of(response, 'terminated', '0')} ended")


@click.command()
@sa_options
@uri_option
def rekey(uri: str, **chosen: str | int | None) -> None:
    """Give IKE SAs or children new keys, without loss of traffic."""
    with Client(uri) as client:
        response = client.request("rekey", chosen_sas(**chosen))
    click.echo(f"{text_of(response, 'matches', '0')} being rekeyed")


def _control(uri: str, command: str, request: dict[str, str | bytes], timeout_s: float, outcome: str) -> Node:
    """Send a command and show what happens meanwhile.

    Args:
        uri: Where the daemon listens.
        command: The command.
        request: What goes with it.
        timeout_s: The time that the daemon has for it, in seconds.
        outcome: What to say of a failure whose reason was among what was shown.
    """
    request["timeout"] = str(round(timeout_s * 1000))
    request["loglevel"] = "1"
    shown: set[str] = set()

    def show(event: Node) -> None:
        click.echo(f"[{text_of(event, 'group')}] {text_of(event, 'msg')}", err=True)
        shown.add(text_of(event, "msg"))

    with Client(uri, timeout_s + _GRACE_S) as client:
        try:
            return client.request(command, request, event="control-log", on_event=show)
        except CommandError as error:
            if str(error) not in shown:
                raise
            raise CommandError(outcome, error.code) from error
