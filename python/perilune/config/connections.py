"""`connections.<conn>` to a `PadEntry`."""

from __future__ import annotations

from collections.abc import Sequence

from perilune.config.children import read_child
from perilune.config.hosts import is_single
from perilune.config.insecure import check_insecure
from perilune.config.key_files import KeyFiles
from perilune.config.reader import Reader
from perilune.config.rounds import check_anonymous, read_local, read_remote
from perilune.config.schema import child as child_keys
from perilune.config.schema import child_form as form_keys
from perilune.config.schema import connection as keys
from perilune.config.settings import DaemonSettings
from perilune.databases.pad import (
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


def read_connection(reader: Reader, daemon: DaemonSettings, keys_of: KeyFiles) -> PadEntry:
    """Return a connection; mistakes are noted at the reader's problems.

    Args:
        reader: The section of the connection.
        daemon: Settings of the daemon that is to serve it; the ports are of use here.
        keys_of: Where keys come from.
    """
    child_readers = [
        child
        for children in reader.sections(child_keys.CHILDREN)
        for child in children.sections(child_keys.CHILD)
    ]
    children = tuple(map(read_child, child_readers))
    needed = not children or any(child.action is Action.PROTECT for child in children)
    local, remote = read_local(reader, keys_of, needed=needed), read_remote(reader, keys_of, needed=needed)
    check_anonymous(remote, children, child_readers)
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
        local_id=local.id,
        local_proof=local.proof,
        remote_id=remote.id,
        remote_proof=remote.proof,
        remote_claims=remote.claims,
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
