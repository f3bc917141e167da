"""What a daemon says of itself, as values: read from VICI's answers, shown as a table or as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from perilune.agent.vici.codec import Node
from perilune.cli.client import Client, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSaState:
    """A Child SA: a pair of SAs that carry traffic."""

    name: str
    connection: str
    unique_id: int
    state: str
    protocol: str
    """`ESP` or `AH`."""

    mode: str
    """`tunnel`, `transport` or `beet`."""

    compression: str
    """`IPComp` or `none`."""

    encapsulation: str
    """`UDP` or `none`."""

    spi_in: str
    spi_out: str
    """Both hexadecimal, 8 digits."""

    suite: str
    octets_in: int
    octets_out: int
    packets_in: int
    packets_out: int
    idle_in_s: int | None
    idle_out_s: int | None
    """Since the last packet; None before the first."""

    rekey_in_s: int | None
    ends_in_s: int | None
    age_s: int
    local_ts: tuple[str, ...]
    remote_ts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IkeSaState:
    """An IKE SA."""

    connection: str
    unique_id: int
    state: str
    is_initiator: bool
    local: str
    remote: str
    """Address and port."""

    local_id: str
    remote_id: str
    local_auth: str
    remote_auth: str
    """By what either end proved who it is; empty before it did."""

    spi_i: str
    spi_r: str
    """Both hexadecimal, 16 digits."""

    nat: tuple[str, ...]
    """Which ends are behind a NAT: `local`, `remote`, `pretended`."""

    suite: str
    age_s: int
    rekey_in_s: int | None
    children: tuple[ChildSaState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredChild:
    """A child of the configuration."""

    name: str
    connection: str
    mode: str
    start_action: str
    local_ts: tuple[str, ...]
    remote_ts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredConnection:
    """A connection of the configuration."""

    name: str
    local_addrs: tuple[str, ...]
    remote_addrs: tuple[str, ...]
    local_id: str
    remote_id: str
    proposals: tuple[str, ...]
    children: tuple[ConfiguredChild, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyState:
    """An entry of the SPD."""

    name: str
    action: str
    is_trap: bool
    priority: int
    held: int
    """Packets that wait for an SA now."""

    packets: int
    octets: int
    local_ts: tuple[str, ...]
    remote_ts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A reason to drop packets, and how many there were."""

    name: str
    text: str
    packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that `perilune status` shows."""

    version: str
    host: str
    running_s: int
    connections: tuple[ConfiguredConnection, ...] = ()
    ike_sas: tuple[IkeSaState, ...] = ()
    policies: tuple[PolicyState, ...] = ()
    drops: tuple[Drop, ...] = ()
    """Only those that happened."""

    work: Mapping[str, int] = field(default_factory=dict)
    exchanges: Mapping[str, int] = field(default_factory=dict)

    @property
    def children(self) -> tuple[ChildSaState, ...]:
        """Every Child SA."""
        return tuple(child for ike_sa in self.ike_sas for child in ike_sa.children)

    @property
    def down(self) -> tuple[ConfiguredChild, ...]:
        """Children that are configured to carry protected traffic and have no SA now."""
        up = {(child.connection, child.name) for child in self.children if child.state == "INSTALLED"}
        return tuple(
            child
            for connection in self.connections
            for child in connection.children
            if child.mode == "TUNNEL" and (child.connection, child.name) not in up
        )


def take_snapshot(client: Client) -> Snapshot:
    """Ask the daemon.

    Raises:
        CommandError: It did not answer.
    """
    version = client.request("version")
    status = client.request("perilune-status")
    connections = client.stream("list-conns", "list-conn")
    ike_sas = client.stream("list-sas", "list-sa")
    return Snapshot(
        version=text_of(version, "version"),
        host=f"{text_of(version, 'sysname')} {text_of(version, 'release')} {text_of(version, 'machine')}",
        running_s=number_of(status, "running"),
        connections=tuple(_connection(name, node) for event in connections for name, node in _named(event)),
        ike_sas=tuple(_ike_sa(name, node) for event in ike_sas for name, node in _named(event)),
        policies=tuple(_policy(name, node) for name, node in _named(_section(status, "policies"))),
        drops=tuple(
            Drop(name=name, text=text_of(node, "text"), packets=number_of(node, "packets"))
            for name, node in _named(_section(status, "drops"))
        ),
        work={name: number_of(node, name) for node in [_section(status, "work")] for name in node},
        exchanges={name: number_of(node, name) for node in [_section(status, "exchanges")] for name in node},
    )


def _connection(name: str, node: Node) -> ConfiguredConnection:
    return ConfiguredConnection(
        name=name,
        local_addrs=texts_of(node, "local_addrs"),
        remote_addrs=texts_of(node, "remote_addrs"),
        local_id=text_of(_section(node, "local-1"), "id") or "%any",
        remote_id=text_of(_section(node, "remote-1"), "id") or "%any",
        proposals=texts_of(node, "proposals"),
        children=tuple(
            ConfiguredChild(
                name=child,
                connection=name,
                mode=text_of(section, "mode"),
                start_action=text_of(section, "start_action"),
                local_ts=texts_of(section, "local-ts"),
                remote_ts=texts_of(section, "remote-ts"),
            )
            for child, section in _named(_section(node, "children"))
        ),
    )


def _ike_sa(name: str, node: Node) -> IkeSaState:
    ends = {"nat-local": "local", "nat-remote": "remote", "nat-fake": "pretended"}
    return IkeSaState(
        connection=name,
        unique_id=number_of(node, "uniqueid"),
        state=text_of(node, "state"),
        is_initiator=text_of(node, "initiator") == "yes",
        local=f"{text_of(node, 'local-host')}[{text_of(node, 'local-port')}]",
        remote=f"{text_of(node, 'remote-host')}[{text_of(node, 'remote-port')}]",
        local_id=text_of(node, "local-id"),
        local_auth=text_of(node, "local-auth"),
        remote_auth=text_of(node, "remote-auth"),
        remote_id=text_of(node, "remote-id"),
        spi_i=text_of(node, "initiator-spi"),
        spi_r=text_of(node, "responder-spi"),
        nat=tuple(end for key, end in ends.items() if text_of(node, key) == "yes"),
        suite=_suite(node),
        age_s=number_of(node, "established"),
        rekey_in_s=_optional(node, "rekey-time"),
        children=tuple(_child_sa(name, child) for _key, child in _named(_section(node, "child-sas"))),
    )


def _child_sa(connection: str, node: Node) -> ChildSaState:
    return ChildSaState(
        name=text_of(node, "name"),
        connection=connection,
        unique_id=number_of(node, "uniqueid"),
        state=text_of(node, "state"),
        protocol=text_of(node, "protocol"),
        mode=text_of(node, "mode").lower(),
        compression="IPComp" if text_of(node, "cpi-out") else "none",
        encapsulation="UDP" if text_of(node, "encap") == "yes" else "none",
        spi_in=text_of(node, "spi-in"),
        spi_out=text_of(node, "spi-out"),
        suite=_suite(node),
        octets_in=number_of(node, "bytes-in"),
        octets_out=number_of(node, "bytes-out"),
        packets_in=number_of(node, "packets-in"),
        packets_out=number_of(node, "packets-out"),
        idle_in_s=_optional(node, "use-in"),
        idle_out_s=_optional(node, "use-out"),
        rekey_in_s=_optional(node, "rekey-time"),
        ends_in_s=_optional(node, "life-time"),
        age_s=number_of(node, "install-time"),
        local_ts=texts_of(node, "local-ts"),
        remote_ts=texts_of(node, "remote-ts"),
    )


def _policy(name: str, node: Node) -> PolicyState:
    return PolicyState(
        name=name,
        action=text_of(node, "action"),
        is_trap=text_of(node, "trap") == "yes",
        priority=number_of(node, "priority"),
        held=number_of(node, "held"),
        packets=number_of(node, "packets"),
        octets=number_of(node, "bytes"),
        local_ts=texts_of(node, "local-ts"),
        remote_ts=texts_of(node, "remote-ts"),
    )


_ADDITIONAL = tuple(f"ke{number}" for number in range(1, 8))
"""Additional key exchanges, in the order in which they run."""


def _suite(node: Node) -> str:
    bits = text_of(node, "encr-keysize")
    encryption = text_of(node, "encr-alg") + (f"-{bits}" if bits else "")
    others = [text_of(node, key) for key in ("integ-alg", "prf-alg", "dh-group")]
    others += [f"{key.upper()}_{text_of(node, key)}" for key in _ADDITIONAL if key in node]
    esn = ["ESN"] if text_of(node, "esn") == "1" else []
    return "/".join(part for part in [encryption, *others, *esn] if part)


def _named(node: Node) -> Iterator[tuple[str, Node]]:
    for name, value in node.items():
        if isinstance(value, Mapping):
            yield name, value


def _section(node: Node, key: str) -> Node:
    value = node.get(key)
    return value if isinstance(value, Mapping) else {}


def texts_of(node: Node, key: str) -> tuple[str, ...]:
    """Return a list of a message; empty where it has none."""
    value = node.get(key)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def number_of(node: Node, key: str) -> int:
    """Return a number of a message; 0 where it has none."""
    return _optional(node, key) or 0


def _optional(node: Node, key: str) -> int | None:
    text = text_of(node, key)
    return int(text) if text.removeprefix("-").isdecimal() else None
