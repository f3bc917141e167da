"""`policies.<policy>` to an `SpdTemplate`, and what is wrong with several of them together."""

from __future__ import annotations

from collections.abc import Sequence

from perilune.config.policy_values import Addresses, AllTypes, MessageTypes
from perilune.config.reader import Reader
from perilune.config.schema import policy as keys
from perilune.config.schema.section import Key
from perilune.config.settings import DaemonSettings
from perilune.config.traffic_selectors import ANY_PORT, OPAQUE
from perilune.config.values import nearest, quote
from perilune.databases.conditions import NOT_POPULATED, Conditions
from perilune.databases.pad import ChildPolicy, ChildSelector, PadEntry
from perilune.databases.spd import LAST_TEMPLATE, Action, IcmpErrors, SpdTemplate, Way
from perilune.model.errors import LocalError
from perilune.model.selector import ANY_PROTOCOL, TrafficSelector

_STEP = 10
_ICMP = frozenset({1, 58})
_MOBILITY = 135
_MOST_SELECTORS = 254
"""A payload counts to 255 (RFC 7296, section 3.13), and a packet's own selector may go before them."""

_Types = tuple[MessageTypes, ...] | AllTypes
_Ports = tuple[tuple[int, int], ...]


def read_policies(
    readers: Sequence[Reader], connections: Sequence[PadEntry], daemon: DaemonSettings
) -> tuple[SpdTemplate, ...]:
    """Return the entries in their order; mistakes are noted at the readers' problems."""
    templates: list[SpdTemplate] = []
    by_order: dict[int, str] = {}
    last = 0
    for reader in readers:
        order = reader.find(keys.ORDER)
        last = min(last + _STEP, LAST_TEMPLATE) if order is None else order
        if last in by_order:
            reader.error(f"entry '{by_order[last]}' has the order {last} already", keys.ORDER)
        by_order[last] = reader.name
        _check_user(reader, daemon)
        template = _read(reader, last, connections)
        if template is not None:
            templates.append(template)
    return tuple(sorted(templates, key=lambda template: template.order))


def _read(reader: Reader, order: int, connections: Sequence[PadEntry]) -> SpdTemplate | None:
    action = reader.find(keys.ACTION)
    if action is None:
        if not reader.has(keys.ACTION):
            reader.error("'action' is missing")
        return None
    _check_layers(reader)
    if action is not Action.PROTECT:
        _check_one_end_of_types(reader)
    connection, child = _child(reader, action, connections)
    local_addresses = _addresses(reader, keys.LOCAL, child.local_ts if child else ())
    remote_addresses = _addresses(reader, keys.REMOTE, child.remote_ts if child else ())
    local = _side(reader, keys.LOCAL, local_addresses, keys.LOCAL_PORTS, keys.LOCAL_TYPES)
    remote = _side(reader, keys.REMOTE, remote_addresses, keys.REMOTE_PORTS, keys.REMOTE_TYPES)
    conditions = _conditions(reader, local_addresses, remote_addresses)
    if not local or not remote or conditions is None:
        return None
    versions = {one.version for one in local} & {one.version for one in remote}
    if not versions:
        reader.error("local and remote have no address family in common", keys.REMOTE)
    _check_fields(reader, versions)
    if child is not None:
        _check_allowed(reader, child, local, remote)
    _check_protection(reader, action)
    return SpdTemplate(
        name=reader.name,
        order=order,
        action=action,
        way=reader.get(keys.DIRECTION),
        local=local,
        remote=remote,
        conditions=conditions,
        populate=reader.get(keys.PFP),
        icmp_errors=reader.find(keys.ICMP_ERRORS) or (child.icmp_errors if child else IcmpErrors.RELATED),
        connection=connection,
        child=child.name if child is not None else "",
    )


def _addresses(reader: Reader, key: Key[Addresses], allowed: Sequence[ChildSelector]) -> Addresses:
    """Return the addresses of one end: as written, else the child's, else any."""
    ranges = [(one.first_address, one.last_address) for one in allowed if isinstance(one, TrafficSelector)]
    if reader.has(key) or not ranges or len(ranges) < len(allowed):
        return reader.get(key)
    return Addresses(tuple(dict.fromkeys(ranges)))


def _side(
    reader: Reader,
    key: Key[Addresses],
    addresses: Addresses,
    ports_key: Key[_Ports],
    types_key: Key[_Types],
) -> tuple[TrafficSelector, ...]:
    """Return the selectors of one end: each address range with each protocol and its ports or types."""
    ports, types = reader.get(ports_key), reader.get(types_key)
    selectors = tuple(
        TrafficSelector(first, last, protocol, *layer)
        for first, last in addresses.ranges
        for protocol in reader.get(keys.PROTOCOL)
        for layer in _layers(protocol, ports, types)
    )
    if len(selectors) > _MOST_SELECTORS:
        reader.error(f"these are {len(selectors)} selectors, more than {_MOST_SELECTORS}", key)
        return ()
    return selectors


def _layers(protocol: int, ports: _Ports, types: _Types) -> _Ports:
    if protocol == _MOBILITY or protocol in _ICMP:
        if isinstance(types, AllTypes):
            return (types.value,)
        return tuple(one.mobility if protocol == _MOBILITY else one.icmp for one in types)
    return (ANY_PORT,) if protocol == ANY_PROTOCOL else ports


def _check_layers(reader: Reader) -> None:
    """Note ports and message types of which no protocol knows anything."""
    protocols = set(reader.get(keys.PROTOCOL))
    with_types = protocols & (_ICMP | {_MOBILITY})
    for ports in (keys.LOCAL_PORTS, keys.REMOTE_PORTS):
        if reader.has(ports) and reader.get(ports) != (ANY_PORT,) and not protocols - with_types - {0}:
            reader.error("ports need a protocol that has them, such as 'protocol = tcp'", ports)
    for types in (keys.LOCAL_TYPES, keys.REMOTE_TYPES):
        if reader.has(types) and reader.get(types) is not AllTypes.ANY and not with_types:
            reader.error("types need 'protocol = icmp', 'icmpv6' or '135', the Mobility Header", types)


def _check_one_end_of_types(reader: Reader) -> None:
    """Warn of message types of one end only, which leave out no message that the other end sends."""
    if reader.get(keys.DIRECTION) is not Way.BOTH:
        return
    for told, other, way in (
        (keys.LOCAL_TYPES, keys.REMOTE_TYPES, Way.OUT),
        (keys.REMOTE_TYPES, keys.LOCAL_TYPES, Way.IN),
    ):
        if reader.has(told) and reader.get(told) is not AllTypes.ANY and not reader.has(other):
            reader.warn(
                f"the other way it selects them all; say '{other.name}' too, or 'direction = {way.value}'",
                told,
            )


def _check_fields(reader: Reader, versions: set[int]) -> None:
    """Note fields of headers that the packets between these addresses do not have."""
    for key, version in ((keys.TOS, 4), (keys.TRAFFIC_CLASS, 6), (keys.FLOW_LABEL, 6)):
        if reader.has(key) and versions and version not in versions:
            reader.error(f"only IPv{version} has this, and local and remote have no addresses of it", key)


def _conditions(reader: Reader, local: Addresses, remote: Addresses) -> Conditions | None:
    try:
        return Conditions(
            tos=reader.find(keys.TOS),
            traffic_class=reader.find(keys.TRAFFIC_CLASS),
            flow_label=reader.find(keys.FLOW_LABEL),
            level=reader.find(keys.LEVEL),
            user=reader.find(keys.USER),
            local_address=local.masked,
            remote_address=remote.masked,
        )
    except LocalError as error:
        reader.error(str(error), keys.TOS)
        return None


def _child(reader: Reader, action: Action, connections: Sequence[PadEntry]) -> tuple[str, ChildPolicy | None]:
    """Return the connection and the child that an entry names."""
    name = reader.find(keys.CHILD)
    if action is not Action.PROTECT:
        if name is not None:
            reader.error("only 'action = protect' has a child", keys.CHILD)
        return "", None
    if name is None:
        reader.error("'child' is missing: whose SAs are to protect the traffic?")
        return "", None
    connection, _, child = name.rpartition("/")
    found = [
        (entry.name, one)
        for entry in connections
        for one in entry.children
        if one.name == child and connection in {"", entry.name} and one.action is Action.PROTECT
    ]
    if len(found) == 1:
        return found[0]
    if found:
        owners = " and ".join(owner for owner, _ in found)
        reader.error(f"{owners} each have a child {quote(child)}; write CONNECTION/CHILD", keys.CHILD)
        return "", None
    known = [f"{entry.name}/{one.name}" for entry in connections for one in entry.children]
    close = nearest(name, known)
    meant = f"; was '{close}' meant?" if close else ""
    reader.error(f"there is no child {quote(name)} that protects{meant}", keys.CHILD)
    return "", None


def _check_allowed(
    reader: Reader,
    child: ChildPolicy,
    local: tuple[TrafficSelector, ...],
    remote: tuple[TrafficSelector, ...],
) -> None:
    """Note selectors that the child does not allow, so that no SA could carry them."""
    sides = (
        (keys.LOCAL, "local_ts", local, child.local_ts),
        (keys.REMOTE, "remote_ts", remote, child.remote_ts),
    )
    for key, name, ours, allowed in sides:
        ranges = [one for one in allowed if isinstance(one, TrafficSelector)]
        if len(ranges) < len(allowed):
            continue  # what `dynamic` will be is not known yet
        for one in ours:
            if not any(range_.contains(one) for range_ in ranges):
                reader.error(f"{one} lies outside {name} of child '{child.name}'", key)
                break


def _check_user(reader: Reader, daemon: DaemonSettings) -> None:
    if reader.has(keys.USER) and daemon.wire is not None:
        reader.error("what comes over a wire is of no user of this host", keys.USER)
    if reader.has(keys.USER) and reader.get(keys.DIRECTION) is Way.IN:
        reader.error("what arrives is of no user of this host", keys.USER)


def _check_protection(reader: Reader, action: Action) -> None:
    populate = reader.get(keys.PFP)
    if action is not Action.PROTECT:
        if reader.has(keys.ICMP_ERRORS):
            reader.error("only 'action = protect' has SAs to carry them", keys.ICMP_ERRORS)
        if populate != NOT_POPULATED:
            reader.error("only 'action = protect' makes SAs to populate", keys.PFP)
        return
    if reader.get(keys.DIRECTION) is not Way.BOTH:
        reader.error("protection goes both ways: SAs come in pairs", keys.DIRECTION)
    for flag, ports in (
        (populate.local_port, keys.LOCAL_PORTS),
        (populate.remote_port, keys.REMOTE_PORTS),
    ):
        if flag and OPAQUE in reader.get(ports):
            reader.error("a port that is opaque cannot be populated from a packet", keys.PFP)
