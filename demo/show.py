"""How the demo looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lab.capture import Overheard
from lab.daemon import IkeDaemon
from lab.errors import LabError

DRAWING = """\
  host a          gateway a                gateway b                host b
  10.1.0.10 ----- 10.1.0.1 192.0.2.1 ~~~~~ 192.0.2.2 10.2.0.1 ----- 10.2.0.10
                                (an eavesdropper)"""

ETHERNET_OCTETS = 14
UNINTERESTING = {"other", "ICMPv6", "protocol 0"}


class Stage:
    """Where the demo is shown.

    Args:
        console: rich's.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._number = 0

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Show one step, with what came out of it and how long it took.

        Raises:
            LabError: What went wrong inside.
        """
        said: list[str] = []
        start = time.monotonic()
        self._number += 1
        try:
            yield said.append
        except LabError:
            self.console.print(f"[bold red]✘[/] {self._number:2d}  {title}")
            raise
        took = f"{time.monotonic() - start:5.2f} s"
        self.console.print(f"[bold green]✔[/] {self._number:2d}  [bold]{title}[/]  [dim]{took}[/]")
        for line in said:
            self.console.print(f"      {line}", style="cyan")

    def drawing(self) -> None:
        """Show who is where."""
        self.console.print(Text(DRAWING, style="dim"))

    def sad(self, gateway: IkeDaemon) -> None:
        """Show a gateway's SAD."""
        columns = ("SPI", "direction", "algorithm", "state", "packets", "octets")
        table = _table(f"SAD of {gateway.namespace.name}", columns, right=("packets", "octets"))
        for sa in gateway.child_sas():
            fields = sa.fields
            algorithm = "-".join(
                str(fields[key]) for key in ("encr-alg", "encr-keysize", "integ-alg") if key in fields
            )
            for way, name in (("in", "inbound"), ("out", "outbound")):
                counts = (fields.get(f"packets-{way}", "0"), fields.get(f"bytes-{way}", "0"))
                table.add_row(
                    f"0x{fields[f'spi-{way}']}", name, algorithm, sa.state, *map(_thousands, counts)
                )
        self.console.print(table)

    def spd(self, gateway: IkeDaemon) -> None:
        """Show a gateway's SPD."""
        columns = ("policy", "local", "remote", "action")
        table = _table(f"SPD of {gateway.namespace.name}", columns)
        with gateway.control() as control:
            policies = control.stream("list-policies", "list-policy")[0]
        for message in policies:
            for name, policy in message.items():
                selectors = (" ".join(policy[side]) for side in ("local-ts", "remote-ts"))
                table.add_row(name, *selectors, f"protect, {policy['mode'].lower()}")
        self.console.print(table)

    def eavesdropper(self, heard: Mapping[str, Overheard], needles: Sequence[str]) -> None:
        """Show what was read in different places, side by side."""
        table = _table("The same download, overheard", ("", *heard), right=list(heard))
        kinds = {kind for overheard in heard.values() for kind in overheard.packets} - UNINTERESTING
        for kind in sorted(kinds):
            counts = (overheard.packets.get(kind, 0) for overheard in heard.values())
            table.add_row(f"{kind} packets", *map(_thousands, counts))
        for needle in needles:
            seen = (overheard.seen[needle] for overheard in heard.values())
            table.add_row(
                f'"{needle}"', *(f"[{'red' if times else 'green'}]{times:,} times[/]" for times in seen)
            )
        self.console.print(table)

    def packet(self, place: str, overheard: Overheard) -> None:
        """Show the beginning of one packet as an eavesdropper has it."""
        for kind in sorted({"ESP", "ESP in UDP", "TCP"} & set(overheard.samples)):
            octets = bytes.fromhex(overheard.samples[kind])[ETHERNET_OCTETS:]
            self.console.print(f"  {place}: {kind}", style="dim")
            self.console.print(Text(dump(octets), style="dim"))

    def fail(self, reason: str, logs: Sequence[tuple[str, str]] = ()) -> None:
        """Say what went wrong, with the end of the gateways' logs."""
        for name, log in logs:
            tail = "\n".join(log.splitlines()[-20:])
            self.console.print(Panel(Text(tail), title=f"end of the log of {name}", border_style="dim"))
        self.console.print(Panel(Text(reason), title="The demo did not work", border_style="red"))

    def curtain(self, seconds: float, code: int) -> None:
        """Say that it is over."""
        verdict = "[bold green]All of it worked[/]" if code == 0 else "[bold red]Not all of it worked[/]"
        self.console.print(f"{verdict}, in {seconds:.0f} s. Namespaces, processes and files are gone.")


def dump(octets: bytes, lines: int = 7) -> str:
    """Hexadecimal and ASCII, sixteen octets a line."""
    rows = []
    for at in range(0, min(len(octets), 16 * lines), 16):
        row = octets[at : at + 16]
        readable = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in row)
        rows.append(f"    {at:04x}  {row.hex(' '):47}  {readable}")
    return "\n".join(rows)


def save_picture(console: Console, path: Path) -> None:
    """Write everything shown so far as SVG."""
    console.save_svg(str(path), title="make demo")


def _table(title: str, columns: Sequence[str], right: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def _thousands(number: object) -> str:
    return f"{int(str(number)):,}"
