"""The state of a node in VICI's words: the messages of `list-sa`, `list-conn` and the like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from perilune.agent.node import Node as IpsecNode
from perilune.agent.vici.codec import Scalar, Tree
from perilune.databases.pad import (
    ANY_IPV4,
    ANY_IPV6,
    AddressRange,
    ChildPolicy,
    ChildSelector,
    DynamicSelector,
    Host,
    PadEntry,
)
from perilune.databases.proof import LocalProof, NoProof, RemoteProof, SharedKey
from perilune.databases.sad import Direction, Encapsulation
from perilune.databases.spd import Action, SpdEntry
from perilune.dataplane.stats import PolicyStats, SaStats
from perilune.ike.status import ChildSaStatus, IkeSaStatus
from perilune.model.algorithms import ENCRYPTION
from perilune.model.iana import EncrId, IntegId, KeId, ProtocolId, SnId
from perilune.model.proposal import Encryption
from perilune.model.selector import TrafficSelector
from perilune.model.spi import Spi, format_ike_spi
from perilune.model.time import Instant

_MODES = {Action.PROTECT: "TUNNEL", Action.BYPASS: "PASS", Action.DISCARD: "DROP"}
_CLASSES: dict[type, str] = {SharedKey: "pre-shared key", NoProof: "null"}
"""Proofs that are no signature."""

_GROUPS = {KeId.CURVE25519: "CURVE_25519", KeId.CURVE448: "CURVE_448"}
"""Where strongSwan's spelling is not IANA's."""

SaCounters = Mapping[tuple[Direction, Spi], SaStats]


def describe_ike_sa(sa: IkeSaStatus, node: IpsecNode, counters: SaCounters) -> Tree:
    """Return what `list-sa` says of an IKE SA."""
    now = node.now()
    tree = describe_ike_sa_briefly(sa)
    if sa.suite is not None:
        tree |= _encryption(sa.suite.encryption)
        tree |= _integrity(sa.suite.integrity)
        tree["prf-alg"] = sa.suite.prf.name
        tree["dh-group"] = _group(sa.suite.key_exchange)
        tree |= _additional(sa.suite.additional_key_exchanges)
    if sa.established_at is not None:
        tree["established"] = _seconds(now, sa.established_at)
    if sa.rekey_at is not None:
        tree["rekey-time"] = _seconds(sa.rekey_at, now)
    children: Tree = {
        f"{child.name.name}-{child.name.id}": describe_child_sa(child, node, counters)
        for child in sa.children
    }
    tree["child-sas"] = children
    return tree


def describe_ike_sa_briefly(sa: IkeSaStatus) -> Tree:
    """Return who an IKE SA is between, which does not change with traffic."""
    tree: Tree = {
        "uniqueid": str(sa.name.id),
        "version": "2",
        "state": sa.state.name,
        "local-host": str(sa.path.local.address),
        "local-port": str(sa.path.local.port),
        "local-id": str(sa.local_id) if sa.local_id else "%any",
        "remote-host": str(sa.path.remote.address),
        "remote-port": str(sa.path.remote.port),
        "remote-id": str(sa.remote_id) if sa.remote_id else "%any",
    }
    for key, by in (("local-auth", sa.local_auth), ("remote-auth", sa.remote_auth)):
        if by is not None:
            tree[key] = by
    if sa.original_initiator:
        tree["initiator"] = "yes"
    tree["initiator-spi"] = format_ike_spi(sa.name.spi_i)
    tree["responder-spi"] = format_ike_spi(sa.name.spi_r)
    for key, is_behind in (("nat-local", sa.nat.local_behind), ("nat-remote", sa.nat.remote_behind)):
        if is_behind:
            tree[key] = "yes"
    if sa.nat.between:
        tree["nat-any"] = "yes"
    return tree


def describe_child_sa(child: ChildSaStatus, node: IpsecNode, counters: SaCounters) -> Tree:
    """Return what `list-sa` says of a Child SA."""
    now = node.now()
    tree: Tree = {
        "name": child.name.name,
        "uniqueid": str(child.name.id),
        "reqid": str(child.policy),
        "state": child.state.name,
        "mode": child.mode.name,
        "protocol": child.protocol.name,
    }
    if child.encapsulation is Encapsulation.UDP:
        tree["encap"] = "yes"
    tree["spi-in"] = f"{child.name.spi_in:08x}"
    tree["spi-out"] = f"{child.name.spi_out:08x}"
    if child.cpi_in is not None and child.cpi_out is not None:
        tree |= {"cpi-in": f"{child.cpi_in:04x}", "cpi-out": f"{child.cpi_out:04x}"}
    if child.protocol is ProtocolId.ESP:
        tree |= _encryption(child.suite.encryption)
    tree |= _integrity(child.suite.integrity)
    if child.suite.key_exchange is not KeId.NONE:
        tree["dh-group"] = _group(child.suite.key_exchange)
    if child.suite.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64:
        tree["esn"] = "1"
    tree |= _traffic("in", counters.get((Direction.INBOUND, child.name.spi_in)), now)
    tree |= _traffic("out", counters.get((Direction.OUTBOUND, child.name.spi_out)), now)
    lifetime = node.lifetime(child.name.spi_in)
    if lifetime is not None and lifetime.soft.time is not None:
        tree["rekey-time"] = _seconds(child.installed_at + lifetime.soft.time, now)
    if lifetime is not None and lifetime.hard.time is not None:
        tree["life-time"] = _seconds(child.installed_at + lifetime.hard.time, now)
    tree["install-time"] = _seconds(now, child.installed_at)
    tree["local-ts"] = _texts(child.local)
    tree["remote-ts"] = _texts(child.remote)
    return tree


def describe_connection(entry: PadEntry) -> Tree:
    """Return what `list-conn` says of a connection."""
    return {
        "local_addrs": hosts_texts(entry.local_addrs),
        "remote_addrs": hosts_texts(entry.remote_addrs),
        "version": "IKEv2",
        "reauth_time": "0",
        "rekey_time": str(round(entry.rekey_time.in_seconds)),
        "dpd_delay": str(round(entry.dpd_delay.in_seconds)),
        "proposals": [str(proposal) for proposal in entry.proposals],
        "local-1": _authentication(entry.local_id, entry.local_proof),
        "remote-1": _authentication(entry.remote_id, entry.remote_proof),
        "children": {child.name: _configured_child(child) for child in entry.children},
    }


def describe_policy(entry: SpdEntry) -> Tree:
    """Return what `list-policy` says of a policy."""
    connection, _, child = entry.name.rpartition("/")
    return {
        "child": child,
        "ike": connection,
        "mode": _MODES[entry.action],
        "local-ts": _texts(entry.local),
        "remote-ts": _texts(entry.remote),
    }


def describe_policy_traffic(entry: SpdEntry, counters: PolicyStats | None) -> Tree:
    """Return what `perilune-status` says of a policy."""
    return {
        "action": entry.action.value,
        "trap": "yes" if entry.acquires and entry.action is Action.PROTECT else "no",
        "priority": str(entry.priority),
        "held": str(counters.held if counters else 0),
        "packets": str(counters.packets if counters else 0),
        "bytes": str(counters.octets if counters else 0),
        "local-ts": _texts(entry.local),
        "remote-ts": _texts(entry.remote),
    }


def hosts_texts(hosts: Iterable[Host]) -> list[Scalar]:
    """Return addresses as a configuration writes them."""
    hosts = tuple(hosts)
    if set(hosts) == {ANY_IPV4, ANY_IPV6}:
        return ["%any"]
    return [_host_text(host) for host in hosts]


def selector_text(selector: ChildSelector) -> str:
    """Return a selector as swanctl writes it, `dynamic` included."""
    if isinstance(selector, TrafficSelector):
        return str(selector)
    if selector == DynamicSelector():
        return "dynamic"
    ports = f"{selector.first_port}-{selector.last_port}"
    return f"dynamic[{selector.protocol or 'any'}/{'any' if ports == '0-65535' else ports}]"


def _configured_child(child: ChildPolicy) -> Tree:
    soft = child.lifetime.soft
    return {
        "mode": child.form.mode.name if child.action is Action.PROTECT else _MODES[child.action],
        "rekey_time": str(round(soft.time.in_seconds) if soft.time else 0),
        "rekey_bytes": str(soft.octets or 0),
        "rekey_packets": str(soft.packets or 0),
        "start_action": child.start_action.value,
        "dpd_action": child.dpd_action.value,
        "close_action": child.close_action.value,
        "local-ts": [selector_text(selector) for selector in child.local_ts],
        "remote-ts": [selector_text(selector) for selector in child.remote_ts],
    }


def _authentication(identity: object | None, proof: LocalProof | RemoteProof) -> Tree:
    tree: Tree = {"class": _CLASSES.get(type(proof), "public key")}
    if identity is not None:
        tree["id"] = str(identity)
    return tree


_CBC = frozenset(
    {EncrId.ENCR_3DES, EncrId.ENCR_BLOWFISH, EncrId.ENCR_CAST, EncrId.ENCR_DES, EncrId.ENCR_IDEA}
)
"""Ciphers whose mode strongSwan names, and IANA does not."""


def _encryption(encryption: Encryption) -> Tree:
    name = encryption.id.name.removeprefix("ENCR_")
    tree: Tree = {"encr-alg": f"{name}_CBC" if encryption.id in _CBC else name}
    if ENCRYPTION[encryption.id].sends_key_bits:
        tree["encr-keysize"] = str(encryption.key_bits)
    return tree


def _integrity(integrity: IntegId) -> Tree:
    if integrity is IntegId.NONE:
        return {}
    return {"integ-alg": integrity.name.removeprefix("AUTH_")}


def _group(method: KeId) -> str:
    return _GROUPS.get(method, method.name)


def _additional(methods: Iterable[KeId]) -> Tree:
    """Return the additional key exchanges in the order in which they ran (RFC 9370)."""
    return {f"ke{number}": _group(method) for number, method in enumerate(methods, 1)}


def _traffic(way: str, counters: SaStats | None, now: Instant) -> Tree:
    tree: Tree = {
        f"bytes-{way}": str(counters.octets if counters else 0),
        f"packets-{way}": str(counters.packets if counters else 0),
    }
    if counters is not None and counters.last_used is not None:
        tree[f"use-{way}"] = _seconds(now, counters.last_used)
    return tree


def _seconds(later: Instant, earlier: Instant) -> str:
    return str(round((later - earlier).in_seconds))


def _texts(selectors: Iterable[TrafficSelector]) -> list[Scalar]:
    return [str(selector) for selector in selectors]


def _host_text(host: Host) -> str:
    match host:
        case AddressRange() if host == ANY_IPV4:
            return "%any4"
        case AddressRange() if host == ANY_IPV6:
            return "%any6"
        case _:
            return str(host)
