"""Which events are written down, and in which words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perilune.agent.audit.record import AuditRecord, Value
from perilune.databases.changes import AddPolicy, AddSa, Change, MoveSa, RemovePolicy, RemoveSa
from perilune.databases.sad import Direction, SadEntry
from perilune.databases.spd import PolicyId, SpdEntry
from perilune.dataplane.events import Audit, DeviceLost, HardExpire, SequenceExhausted
from perilune.ike.events import (
    AuthenticationFailed,
    ChildSaDown,
    ChildSaRekeyed,
    ChildSaUp,
    IkeEvent,
    IkeSaDown,
    IkeSaRekeyed,
    IkeSaUp,
    PeerMoved,
    PeerUnreachable,
    Refused,
)
from perilune.ike.names import IkeName
from perilune.model.address import Path
from perilune.model.selector import TrafficSelector
from perilune.model.spi import Spi, format_ike_spi, format_spi

LIMITED = frozenset({"authentication_failed", "refused"})
"""Events that somebody without keys can cause as often as he likes."""

_AuditedEvent = (
    AuthenticationFailed
    | ChildSaDown
    | ChildSaRekeyed
    | ChildSaUp
    | IkeSaDown
    | IkeSaRekeyed
    | IkeSaUp
    | PeerMoved
    | PeerUnreachable
    | Refused
)


class Trail:
    """Turns what happens into records; it knows the SPD, so that an SA's record names its entry."""

    def __init__(self) -> None:
        self._policies: dict[PolicyId, SpdEntry] = {}

    def of_changes(self, changes: Sequence[Change]) -> Iterator[AuditRecord]:
        """Return the records of changes of the SAD and the SPD."""
        for change in changes:
            match change:
                case AddPolicy(entry):
                    self._policies[entry.id] = entry
                    yield AuditRecord("policy_added", _policy_fields(entry))
                case RemovePolicy(id):
                    yield AuditRecord("policy_removed", self._policy_name(id))
                    self._policies.pop(id, None)
                case AddSa(entry):
                    fields = _sa_fields(entry) | self._policy_name(entry.policy)
                    yield AuditRecord("sa_added", fields)
                    if is_insecure(entry):
                        yield AuditRecord("insecure_sa", fields)
                case RemoveSa(direction, spi, path):
                    yield AuditRecord("sa_removed", _sa_name(direction, spi, path))
                case MoveSa(direction, spi, old, new):
                    fields = _sa_name(direction, spi, new) | {"old_remote": str(old.remote.address)}
                    yield AuditRecord("sa_moved", fields)

    def of_data_plane(self, event: Audit | DeviceLost | HardExpire | SequenceExhausted) -> AuditRecord:
        """Return the record of what the data plane told."""
        match event:
            case Audit():
                return AuditRecord("packet_dropped", packet_fields(event))
            case HardExpire():
                fields: dict[str, Value] = {
                    "direction": event.direction.value,
                    "spi": format_spi(event.spi),
                    "limit": event.limit.value,
                }
                return AuditRecord("sa_expired", fields | self._policy_name(event.policy))
            case SequenceExhausted():
                fields = {"direction": Direction.OUTBOUND.value, "spi": format_spi(event.spi)}
                return AuditRecord("sequence_exhausted", fields | self._policy_name(event.policy))
            case DeviceLost():
                return AuditRecord("device_lost", {"device": event.name, "reason": event.reason})

    def _policy_name(self, policy: PolicyId) -> dict[str, Value]:
        entry = self._policies.get(policy)
        return {"policy": entry.name if entry else str(policy)}


def of_ike_event(event: IkeEvent) -> AuditRecord | None:
    """Return the record of an event of IKE; None for those that are not audited."""
    if not isinstance(event, _AuditedEvent):
        return None
    name = type(event).__name__
    kind = "".join(f"_{char.lower()}" if char.isupper() else char for char in name).removeprefix("_")
    fields = _ike_fields(event.ike) | {"text": str(event).removeprefix(f"{event.ike}: ")}
    return AuditRecord(kind, fields | _details(event))


def packet_fields(event: Audit) -> dict[str, Value]:
    """Return what RFC 4302, 4303 and 4301 want to know of a packet, except the time, which a line has."""
    fields: dict[str, Value] = {"reason": event.reason}
    if event.spi is not None:
        fields["spi"] = format_spi(event.spi)
    fields |= {"source": str(event.source), "destination": str(event.destination)}
    if event.sequence is not None:
        fields["sequence"] = event.sequence
    if event.flow_label is not None:
        fields["flow_label"] = event.flow_label
    return fields


def is_insecure(entry: SadEntry) -> bool:
    """Whether an algorithm is for old peers only, or nothing shows that packets are the peer's (RFC 4301)."""
    return entry.suite.is_insecure


def _details(event: _AuditedEvent) -> dict[str, Value]:
    fields: dict[str, Value] = {}
    match event:
        case AuthenticationFailed() | ChildSaUp() | IkeSaUp() | PeerUnreachable():
            fields |= _path_fields(event.path)
        case PeerMoved():
            fields |= _path_fields(event.new)
    match event:
        case AuthenticationFailed():
            fields["by_peer"] = event.by_peer
        case ChildSaDown() | ChildSaRekeyed() | ChildSaUp():
            fields["child"] = event.child.name
        case IkeSaUp():
            fields |= {"local_id": str(event.local_id), "remote_id": str(event.remote_id)}
            fields |= {"local_auth": event.local_auth, "remote_auth": event.remote_auth}
        case Refused():
            fields |= {"by_peer": event.by_peer, "what": event.what}
    return fields


def _ike_fields(ike: IkeName) -> dict[str, Value]:
    return {
        "connection": ike.connection,
        "ike_id": ike.id,
        "spi_i": format_ike_spi(ike.spi_i),
        "spi_r": format_ike_spi(ike.spi_r),
    }


def _path_fields(path: Path) -> dict[str, Value]:
    return {"local": str(path.local), "remote": str(path.remote)}


def _sa_name(direction: Direction, spi: Spi, path: Path) -> dict[str, Value]:
    return {
        "direction": direction.value,
        "spi": format_spi(spi),
        "local": str(path.local.address),
        "remote": str(path.remote.address),
    }


def _sa_fields(entry: SadEntry) -> dict[str, Value]:
    return _sa_name(entry.direction, entry.spi, entry.path) | {
        "suite": str(entry.suite),
        "encapsulation": entry.encapsulation.value,
        "local_ts": _texts(entry.local),
        "remote_ts": _texts(entry.remote),
    }


def _policy_fields(entry: SpdEntry) -> dict[str, Value]:
    more: dict[str, Value] = {"conditions": list(entry.conditions.texts)} if entry.conditions.texts else {}
    return more | {
        "policy": entry.name,
        "action": entry.action.value,
        "way": entry.way.value,
        "priority": entry.priority,
        "acquires": entry.acquires,
        "local_ts": _texts(entry.local),
        "remote_ts": _texts(entry.remote),
    }


def _texts(selectors: Sequence[TrafficSelector]) -> list[str]:
    return [str(selector) for selector in selectors]
