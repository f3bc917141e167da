"""The compiled engine, and how our values become its arguments and its answers our values.

Nothing else imports `_native`. Its calls take and give plain tuples, numbers, strings and bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, TypedDict

from perilune.databases.changes import (
    AddPolicy,
    AddSa,
    Change,
    MoveSa,
    RemovePolicy,
    RemoveSa,
    ReserveSequence,
)
from perilune.databases.conditions import Conditions, Masked
from perilune.databases.processing import Processing, TfcToPathMtu
from perilune.databases.sad import Direction, Encapsulation, Lifetime, SadEntry
from perilune.databases.spd import Action, PolicyId, SpdEntry
from perilune.dataplane._native import Engine as NativeEngine
from perilune.dataplane._native import Runtime as NativeRuntime
from perilune.dataplane.events import (
    Acquire,
    Audit,
    DeviceLost,
    Event,
    Flow,
    HardExpire,
    IkeDatagram,
    Limit,
    PeerMoved,
    SequenceExhausted,
    SequenceLow,
    SoftExpire,
    UnknownSpi,
)
from perilune.dataplane.stats import DataPlaneStats, DropStats, PolicyStats, SaStats
from perilune.model.address import Endpoint, Path
from perilune.model.iana import SnId
from perilune.model.selector import TrafficSelector
from perilune.model.spi import Spi
from perilune.model.time import Instant

__all__ = [
    "NativeEngine",
    "NativeRuntime",
    "events_from_native",
    "native_changes",
    "native_path",
    "path_from_native",
    "stats_from_native",
]

_PATHS = 1024
"""Paths whose other form is kept: addresses to text and back would cost more than the rest of a call."""

NativeEndpoint = tuple[str, int]
NativePath = tuple[NativeEndpoint, NativeEndpoint]
"""Local end, remote end."""

NativeSelector = tuple[bytes, bytes, int, int, int]
"""First and last address, protocol, first and last port, as IKE writes them."""

NativeLimits = tuple[int | None, int | None, int | None]
"""Octets, packets, nanoseconds."""


class NativeProcessing(TypedDict):
    """The form of an SA's packets, as `_native` reads it."""

    mode: str
    inner: tuple[str, str] | None
    df: str
    dscp: bytes | None
    hop_limit: int
    flow_label: int
    fragmentation: str
    tfc: int | str | None
    compression: int | None
    destination_options: str
    preserved: tuple[bool, bool]
    path_mtu: int | None
    path_mtu_age_ns: int
    believe_icmp: bool


class NativeSa(TypedDict):
    """An SA, as `_native` reads it."""

    spi: int
    peer_spi: int
    inbound: bool
    policy: int
    path: NativePath
    udp: bool
    protocol: int
    processing: NativeProcessing
    lookup: str
    within: tuple[int, NativePath] | None
    encryption: int
    key_bits: int
    integrity: int
    encryption_key: bytes
    integrity_key: bytes
    allow_insecure: bool
    esn: bool
    replay_window: int
    sequence: tuple[int, int | None, bool]
    local: list[NativeSelector]
    remote: list[NativeSelector]
    soft: NativeLimits
    hard: NativeLimits
    ready_after: int | None
    stateful_fragments: bool


NativeMasked = tuple[int, int]
"""Value and mask."""


class NativeConditions(TypedDict):
    """Conditions of an SPD entry, as `_native` reads them."""

    tos: NativeMasked | None
    traffic_class: NativeMasked | None
    flow_label: int | None
    level: tuple[int, int] | None
    user: int | None
    local_address: NativeMasked | None
    remote_address: NativeMasked | None


class NativePolicy(TypedDict):
    """An SPD entry, as `_native` reads it."""

    id: int
    priority: int
    action: str
    way: str
    conditions: NativeConditions
    populate: tuple[bool, bool, bool, bool, bool]
    local: list[NativeSelector]
    remote: list[NativeSelector]
    hold: bool
    icmp_errors: str


def native_changes(changes: Iterable[Change]) -> list[tuple[str, object]]:
    """Return changes as `_native` takes them."""
    return [_native_change(change) for change in changes]


def _native_change(change: Change) -> tuple[str, object]:
    match change:
        case AddSa(entry):
            return "add_sa", _native_sa(entry)
        case RemoveSa(direction, spi, path):
            return "remove_sa", (direction is Direction.INBOUND, spi, native_path(path))
        case MoveSa(direction, spi, old, new):
            return "move_sa", (direction is Direction.INBOUND, spi, native_path(old), native_path(new))
        case ReserveSequence(spi, path, until):
            return "reserve_sequence", (spi, native_path(path), until)
        case AddPolicy(entry):
            return "add_policy", _native_policy(entry)
        case RemovePolicy(policy):
            return "remove_policy", policy


def _native_sa(entry: SadEntry) -> NativeSa:
    suite = entry.suite
    return {
        "spi": entry.spi,
        "peer_spi": entry.peer_spi,
        "inbound": entry.direction is Direction.INBOUND,
        "policy": entry.policy,
        "path": native_path(entry.path),
        "udp": entry.encapsulation is Encapsulation.UDP,
        "protocol": entry.protocol,
        "processing": _native_processing(entry.processing),
        "lookup": entry.lookup.value,
        "within": (entry.within.spi, native_path(entry.within.path)) if entry.within else None,
        "encryption": suite.encryption.id,
        "key_bits": suite.encryption.key_bits,
        "integrity": suite.integrity,
        "encryption_key": entry.keys.encryption.reveal(),
        "integrity_key": entry.keys.integrity.reveal(),
        "allow_insecure": entry.allow_insecure,
        "esn": suite.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64,
        "replay_window": entry.replay_window_packets,
        "sequence": (entry.sequence.used, entry.sequence.reserved, entry.sequence.cycles),
        "local": _native_selectors(entry.local),
        "remote": _native_selectors(entry.remote),
        "soft": _native_limits(entry.lifetime)[0],
        "hard": _native_limits(entry.lifetime)[1],
        "ready_after": entry.ready_after,
        "stateful_fragments": entry.stateful_fragments,
    }


def _native_processing(form: Processing) -> NativeProcessing:
    return {
        "mode": form.mode.value,
        "inner": (str(form.inner.local), str(form.inner.remote)) if form.inner else None,
        "df": form.df.value,
        "dscp": bytes(form.dscp.outer) if form.dscp else None,
        "hop_limit": form.hop_limit,
        "flow_label": form.flow_label,
        "fragmentation": form.fragmentation.value,
        "tfc": form.tfc.value if isinstance(form.tfc, TfcToPathMtu) else form.tfc,
        "compression": form.compression,
        "destination_options": form.destination_options.value,
        "preserved": (form.preserve_source, form.preserve_destination),
        "path_mtu": form.path_mtu,
        "path_mtu_age_ns": form.path_mtu_age.ns,
        "believe_icmp": form.believe_icmp,
    }


def _native_policy(entry: SpdEntry) -> NativePolicy:
    return {
        "id": entry.id,
        "priority": entry.priority,
        "action": entry.action.value,
        "way": entry.way.value,
        "conditions": _native_conditions(entry.conditions),
        "populate": entry.populate.flags,
        "local": _native_selectors(entry.local),
        "remote": _native_selectors(entry.remote),
        "hold": entry.acquires,
        "icmp_errors": entry.icmp_errors.value,
    }


def _native_conditions(conditions: Conditions) -> NativeConditions:
    return {
        "tos": _native_masked(conditions.tos),
        "traffic_class": _native_masked(conditions.traffic_class),
        "flow_label": conditions.flow_label,
        "level": conditions.level,
        "user": conditions.user,
        "local_address": _native_masked(conditions.local_address),
        "remote_address": _native_masked(conditions.remote_address),
    }


def _native_masked(masked: Masked | None) -> NativeMasked | None:
    return None if masked is None else (masked.value, masked.mask)


def _native_limits(lifetime: Lifetime) -> tuple[NativeLimits, NativeLimits]:
    soft, hard = (
        (limits.octets, limits.packets, limits.time.ns if limits.time is not None else None)
        for limits in (lifetime.soft, lifetime.hard)
    )
    return soft, hard


def _native_selectors(selectors: Iterable[TrafficSelector]) -> list[NativeSelector]:
    return [
        (s.first_address.packed, s.last_address.packed, s.protocol, s.first_port, s.last_port)
        for s in selectors
    ]


@lru_cache(maxsize=_PATHS)
def native_path(path: Path) -> NativePath:
    """Return a path as `_native` takes it."""
    return (str(path.local.address), path.local.port), (str(path.remote.address), path.remote.port)


@lru_cache(maxsize=_PATHS)
def path_from_native(path: NativePath) -> Path:
    """Return a path that `_native` gave."""
    local, remote = path
    return Path(_endpoint(local), _endpoint(remote))


def _endpoint(native: NativeEndpoint) -> Endpoint:
    return Endpoint(ip_address(native[0]), native[1])


def events_from_native(natives: Sequence[tuple[Any, ...]]) -> list[Event]:
    """Return events that `_native` gave, each a name and its values."""
    return [_EVENTS[name](*values) for name, *values in natives]


def _acquire(
    policy: PolicyId, source: str, destination: str, protocol: int, ports: tuple[int, int] | None
) -> Acquire:
    return Acquire(policy, Flow(ip_address(source), ip_address(destination), protocol, ports))


def _audit(reason: str, now: int, sa: tuple[Spi, int], ends: tuple[str, str], flow_label: int) -> Audit:
    (spi, sequence), (source, destination) = sa, ends
    return Audit(
        reason,
        Instant(now),
        spi or None,
        ip_address(source),
        ip_address(destination),
        sequence or None,
        flow_label or None,
    )


def _hard_expire(inbound: bool, spi: Spi, peer_spi: Spi, policy: PolicyId, limit: str) -> HardExpire:
    return HardExpire(_direction(inbound), spi, peer_spi, policy, Limit(limit))


def _ike_datagram(path: NativePath, encapsulated: bool, data: bytes) -> IkeDatagram:
    return IkeDatagram(path_from_native(path), data, encapsulated)


def _peer_moved(spi: Spi, old: NativeEndpoint, new: NativePath) -> PeerMoved:
    return PeerMoved(spi, _endpoint(old), path_from_native(new))


def _soft_expire(inbound: bool, spi: Spi, peer_spi: Spi, policy: PolicyId, limit: str) -> SoftExpire:
    return SoftExpire(_direction(inbound), spi, peer_spi, policy, Limit(limit))


def _unknown_spi(spi: Spi, remote: NativeEndpoint, encapsulated: bool) -> UnknownSpi:
    return UnknownSpi(spi, _endpoint(remote), encapsulated)


_EVENTS: dict[str, Callable[..., Event]] = {
    "acquire": _acquire,
    "audit": _audit,
    "device_lost": DeviceLost,
    "hard_expire": _hard_expire,
    "ike_datagram": _ike_datagram,
    "peer_moved": _peer_moved,
    "sequence_exhausted": SequenceExhausted,
    "sequence_low": SequenceLow,
    "soft_expire": _soft_expire,
    "unknown_spi": _unknown_spi,
}


def _direction(inbound: bool) -> Direction:
    return Direction.INBOUND if inbound else Direction.OUTBOUND


def stats_from_native(native: dict[str, Any]) -> DataPlaneStats:
    """Return statistics that `_native` gave."""
    return DataPlaneStats(
        sas=tuple(map(_sa_stats, native["sas"])),
        policies=tuple(
            PolicyStats(
                policy=PolicyId(id_), action=Action(action), packets=packets, octets=octets, held=held
            )
            for id_, action, packets, octets, held in native["policies"]
        ),
        drops=tuple(DropStats(*drop) for drop in native["drops"]),
        events_lost=native["events_lost"],
        work=native["work"],
    )


def _sa_stats(native: dict[str, Any]) -> SaStats:
    last_used, path_mtu = native["last_used"], native["path_mtu"]
    return SaStats(
        direction=_direction(native["inbound"]),
        spi=Spi(native["spi"]),
        peer_spi=Spi(native["peer_spi"]),
        policy=PolicyId(native["policy"]),
        path=path_from_native(native["path"]),
        encapsulation=Encapsulation.UDP if native["udp"] else Encapsulation.NONE,
        packets=native["packets"],
        octets=native["octets"],
        errors=native["errors"],
        added=Instant(native["added"]),
        last_used=Instant(last_used) if last_used is not None else None,
        sequence=native["sequence"],
        replay_window_packets=native["replay_window"],
        path_mtu=(path_mtu[0], Instant(path_mtu[1])) if path_mtu else None,
        is_ready=native["ready"],
        is_expired=native["expired"],
    )
