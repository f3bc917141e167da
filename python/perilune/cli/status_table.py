"""How the state of a daemon looks on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from perilune.cli.snapshot import ChildSaState, IkeSaState, Snapshot

_KIB = 1024
_WIDE = 100
_SECONDS_IN_UNIT = (("d", 86400), ("h", 3600), ("min", 60))
_STATE_COLOURS = {"ESTABLISHED": "green", "INSTALLED": "green", "CONNECTING": "yellow", "REKEYING": "yellow"}


def status_table(snapshot: Snapshot, width: int) -> RenderableType:
    """Return everything there is to see, the tunnels first, for a terminal so many columns wide."""
    parts: list[RenderableType] = [_headline(snapshot)]
    parts += [_tunnel(ike_sa, is_narrow=width < _WIDE) for ike_sa in snapshot.ike_sas]
    parts += _unless_empty(_down(snapshot), snapshot.down)
    parts += _unless_empty(_policies(snapshot), snapshot.policies)
    parts += _unless_empty(_drops(snapshot), snapshot.drops)
    return Group(*parts)


def duration_text(seconds: int) -> str:
    """Return seconds as people say them: `45 s`, `12 min`, `3 h 20 min`."""
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    for place, (unit, size) in enumerate(_SECONDS_IN_UNIT):
        if seconds >= size:
            rest = seconds % size
            next_unit, next_size = _SECONDS_IN_UNIT[place + 1] if unit != "min" else ("s", 1)
            tail = f" {rest // next_size} {next_unit}" if rest // next_size else ""
            return f"{sign}{seconds // size} {unit}{tail}"
    return f"{sign}{seconds} s"


def octets_text(octets: int) -> str:
    """Return a count of octets with three digits or so: `812 B`, `4.2 KiB`, `97 MiB`."""
    size = float(octets)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < _KIB or unit == "TiB":
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= _KIB
    raise AssertionError


def _headline(snapshot: Snapshot) -> Text:
    text = Text()
    text.append(f"perilune {snapshot.version}", "bold")
    text.append(f" on {snapshot.host}, running {duration_text(snapshot.running_s)}: ")
    counts = [
        (len(snapshot.connections), "connection", "connections"),
        (len(snapshot.ike_sas), "IKE SA", "IKE SAs"),
        (len(snapshot.children), "child", "children"),
    ]
    text.append(", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts))
    return text


def _tunnel(ike_sa: IkeSaState, *, is_narrow: bool) -> Panel:
    colour = _STATE_COLOURS.get(ike_sa.state, "red")
    title = Text.assemble((ike_sa.connection, "bold"), f" #{ike_sa.unique_id} ", (ike_sa.state, colour))
    body: list[RenderableType] = [_ike_facts(ike_sa)]
    if ike_sa.children:
        body.append(_children(ike_sa.children, is_narrow=is_narrow))
    else:
        body.append(Text("no children", "dim"))
    return Panel(Group(*body), title=title, title_align="left", border_style=colour)


def _ike_facts(ike_sa: IkeSaState) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column()
    for end, address, identity, by in (
        ("local", ike_sa.local, ike_sa.local_id, ike_sa.local_auth),
        ("remote", ike_sa.remote, ike_sa.remote_id, ike_sa.remote_auth),
    ):
        facts.add_row(end, f"{address}  {identity}" + (f"  by {by}" if by else ""))
    role = "i* " if ike_sa.is_initiator else "i "
    end = "r" if ike_sa.is_initiator else "r*"
    facts.add_row("SPIs", f"{ike_sa.spi_i}_{role}{ike_sa.spi_r}_{end}")
    facts.add_row("suite", ike_sa.suite)
    if ike_sa.nat:
        facts.add_row("NAT", ", ".join(ike_sa.nat))
    times = [f"up {duration_text(ike_sa.age_s)}"]
    if ike_sa.rekey_in_s is not None:
        times.append(f"rekeys in {duration_text(ike_sa.rekey_in_s)}")
    facts.add_row("time", ", ".join(times))
    return facts


def _children(children: Iterable[ChildSaState], *, is_narrow: bool) -> Table:
    """Return what is known of children; on a narrow terminal a state is below its name."""
    states, spis = ([], "SPIs") if is_narrow else (["state"], "SPI in/out")
    table = _table("child", *states, "local - remote", "suite", spis, "in", "out", "rekey in")
    for child in children:
        name = Text(f"{child.name} #{child.unique_id}", "bold")
        state = Text(child.state, _STATE_COLOURS.get(child.state, "red"))
        rekey = "never" if child.rekey_in_s is None else duration_text(child.rekey_in_s)
        table.add_row(
            *([Text("\n").join([name, state])] if is_narrow else [name, state]),
            f"{_lines(child.local_ts)}\n{_lines(child.remote_ts)}",
            _form(child),
            f"{child.spi_in}\n{child.spi_out}",
            _traffic(child.octets_in, child.packets_in),
            _traffic(child.octets_out, child.packets_out),
            _in_two_lines(rekey) if is_narrow else rekey,
        )
    return table


def _in_two_lines(duration: str) -> str:
    number, *rest = duration.split(" ")
    return "\n".join(filter(None, [" ".join([number, *rest[:1]]), " ".join(rest[1:])]))


def _form(child: ChildSaState) -> str:
    protocol = "AH" if child.protocol == "AH" else ""
    mode = "" if child.mode == "tunnel" else f"{child.mode} mode"
    compressed = "IPComp" if child.compression == "IPComp" else ""
    udp = "in UDP" if child.encapsulation == "UDP" else ""
    extra = " ".join(part for part in (protocol, mode, compressed, udp) if part)
    return f"{child.suite}\n{extra}" if extra else child.suite


def _down(snapshot: Snapshot) -> Table:
    table = _table("configured, not up", "connection", "local - remote", "starts")
    starts = {
        "none": "by command",
        "start": "at once",
        "trap": "with traffic",
        "trap|start": "at once, with traffic",
    }
    for child in snapshot.down:
        table.add_row(
            Text(child.name, "yellow"),
            child.connection,
            f"{_lines(child.local_ts)} - {_lines(child.remote_ts)}",
            starts.get(child.start_action, child.start_action),
        )
    return table


def _policies(snapshot: Snapshot) -> Table:
    table = _table("policy", "action", "local - remote", "priority", "traffic", "held")
    for policy in snapshot.policies:
        table.add_row(
            policy.name,
            policy.action + (", traps" if policy.is_trap else ""),
            f"{_lines(policy.local_ts)} - {_lines(policy.remote_ts)}",
            str(policy.priority),
            _traffic(policy.octets, policy.packets),
            str(policy.held) if policy.held else "",
        )
    return table


def _drops(snapshot: Snapshot) -> Table:
    table = _table("packets dropped", "because", "counter")
    for drop in sorted(snapshot.drops, key=lambda drop: -drop.packets):
        table.add_row(Text(str(drop.packets), "red"), drop.text, Text(drop.name, "dim"))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _unless_empty(table: Table, rows: tuple[object, ...]) -> list[RenderableType]:
    return ["", table] if rows else []


def _lines(selectors: tuple[str, ...]) -> str:
    return " ".join(selectors)


def _traffic(octets: int, packets: int) -> str:
    return f"{octets_text(octets)}\n{packets} pkt" if packets else "none"
