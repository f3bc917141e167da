"""`connections.<conn>` to a `PadEntry`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from perilune.config.children import read_child
from perilune.config.hosts import is_single
from perilune.config.insecure import check_insecure
from perilune.config.reader import Reader
from perilune.config.schema import child as child_keys
from perilune.config.schema import child_form as form_keys
from perilune.config.schema import connection as keys
from perilune.config.schema.section import OptionalKey, SectionSchema
from perilune.config.settings import DaemonSettings
from perilune.databases.pad import (
    AddressRange,
    ChildPolicy,
    ChildSelector,
    DynamicSelector,
    Host,
    HostName,
    PadEntry,
    StartAction,
)
from perilune.databases.processing import Mode
from perilune.databases.spd import Action
from perilune.model.iana import ProtocolId
from perilune.model.time import Duration

T = TypeVar("T")


def read_connection(reader: Reader, daemon: DaemonSettings) -> PadEntry:
    """Return a connection; mistakes are noted at the reader's problems.

    Args:
        reader: The section of the connection.
        daemon: Settings of the daemon that is to serve it; the ports are of use here.
    """
    child_readers = [
        child
        for children in reader.sections(child_keys.CHILDREN)
        for child in children.sections(child_keys.CHILD)
    ]
    children = tuple(map(read_child, child_readers))
    _check_authentication(reader, needed=not children or any(c.action is Action.PROTECT for c in children))
    _check_start(reader, child_readers)
    for child_reader, child in zip(child_readers, children, strict=True):
        _check_form(reader, child_reader, child, daemon)
    rekey_time, over_time, rand_time = _times(reader)
    return PadEntry(
        name=reader.name,
        local_addrs=reader.get(keys.LOCAL_ADDRS),
        remote_addrs=reader.get(keys.REMOTE_ADDRS),
        local_port=_local_port(reader, daemon),
        remote_port=reader.get(keys.REMOTE_PORT),
        proposals=check_insecure(reader, keys.PROPOSALS, allowed=keys.ALLOW_INSECURE),
        local_id=_of_round(reader, keys.LOCAL, keys.LOCAL_ID),
        remote_id=_of_round(reader, keys.REMOTE, keys.REMOTE_ID),
        remote_claims=_claims(reader),
        order=reader.get(keys.ORDER),
        encap=reader.get(keys.ENCAP),
        fragmentation=reader.get(keys.FRAGMENTATION),
        dpd_delay=reader.get(keys.DPD_DELAY),
        rekey_time=rekey_time,
        over_time=over_time,
        rand_time=rand_time,
        keyingtries=reader.get(keys.KEYINGTRIES),
        children=children,
    )


def _of_round(reader: Reader, schema: SectionSchema, key: OptionalKey[T]) -> T | None:
    rounds = reader.sections(schema)
    return rounds[0].find(key) if rounds else None


def _claims(reader: Reader) -> tuple[AddressRange, ...]:
    rounds = reader.sections(keys.REMOTE)
    return rounds[0].get(keys.CLAIMS) if rounds else ()


def _local_port(reader: Reader, daemon: DaemonSettings) -> int:
    port = reader.find(keys.LOCAL_PORT)
    if port is None:
        return daemon.port
    if port not in (daemon.port, daemon.port_nat_t):
        reader.error(
            f"{port} is neither daemon.port, {daemon.port}, nor daemon.port_nat_t, {daemon.port_nat_t}",
            keys.LOCAL_PORT,
        )
    return port


def _times(reader: Reader) -> tuple[Duration, Duration, Duration]:
    """Return rekey_time, over_time and rand_time."""
    rekey = reader.get(keys.REKEY_TIME)
    over = reader.find(keys.OVER_TIME)
    if over is None:
        over = Duration(rekey.ns // 10)
    rand = reader.find(keys.RAND_TIME)
    if rand is None:
        rand = min(over, Duration(rekey.ns // 2))
    elif rekey and rekey < rand:
        reader.error("rekey_time is less than rand_time", keys.RAND_TIME)
    return rekey, over, rand


def _check_authentication(reader: Reader, *, needed: bool) -> None:
    """Note ends of which nothing says how they prove who they are, or says so twice."""
    for schema, end in ((keys.LOCAL, "local"), (keys.REMOTE, "remote")):
        rounds = reader.sections(schema)
        if len(rounds) > 1:
            rounds[1].error("several rounds of authentication are not supported yet")
        elif rounds and not rounds[0].has(keys.AUTH) and needed:
            rounds[0].error("'auth = psk' is missing: without it certificates are meant")
        elif not rounds and needed:
            reader.error(f"'{end} {{ auth = psk }}' is missing: without it certificates are meant")


def _check_start(reader: Reader, children: list[Reader]) -> None:
    """Note children that are to begin a connection that says not where to."""
    if any(is_single(host) for host in reader.get(keys.REMOTE_ADDRS)):
        return
    for child in children:
        protects = isinstance(child.get(form_keys.MODE), Mode)
        if protects and child.get(child_keys.START_ACTION) is not StartAction.NONE:
            child.error(
                "the connection's remote_addrs has no name and no single address to begin with",
                child_keys.START_ACTION,
            )


def _check_form(reader: Reader, child_reader: Reader, child: ChildPolicy, daemon: DaemonSettings) -> None:
    """Note what a child cannot be between the ends of its connection."""
    is_ah = child.proposals and all(one.protocol is ProtocolId.AH for one in child.proposals)
    if is_ah and reader.get(keys.ENCAP):
        child_reader.warn(
            "AH passes no NAT, and the connection's 'encap = yes' pretends one: it cannot come up",
            child_keys.AH_PROPOSALS_KEY,
        )
    if child.action is not Action.PROTECT or child.form.mode is not Mode.TRANSPORT:
        return
    if daemon.wire is not None:
        child_reader.error(
            "in the wire there is no transport mode: packets are the stations'", form_keys.MODE
        )
    for key, selectors, hosts in (
        (child_keys.LOCAL_TS, child.local_ts, reader.get(keys.LOCAL_ADDRS)),
        (child_keys.REMOTE_TS, child.remote_ts, reader.get(keys.REMOTE_ADDRS)),
    ):
        if not _may_have_end(selectors, hosts):
            child_reader.warn(
                "mode transport is for packets of the connection's two ends, and none of them is in here:"
                " it cannot come up; 'mode = tunnel' is for networks",
                key,
            )


def _may_have_end(selectors: Sequence[ChildSelector], hosts: Sequence[Host]) -> bool:
    """Whether the address of an end may lie in traffic selectors; that of a name is not known yet."""
    return any(
        isinstance(selector, DynamicSelector)
        or isinstance(host, HostName)
        or host.contains(selector.first_address)
        or selector.contains_address(host.first)
        for selector in selectors
        for host in hosts
    )
