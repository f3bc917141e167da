"""SPD entries with conditions, of one direction, and with populate flags, as the engine obeys them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption
from scapy.layers.inet6 import HBHOptUnknown, IPv6, IPv6ExtHdrHopByHop
from scapy.packet import Packet

from perilune.databases.changes import AddPolicy
from perilune.databases.conditions import Conditions, Masked, Populate
from perilune.databases.spd import Action, PolicyId, SpdEntry, Way
from perilune.dataplane.engine import Engine
from perilune.dataplane.events import Acquire
from perilune.model.errors import LocalError
from perilune.model.selector import TrafficSelector, everything
from perilune.model.time import Instant

NOW = Instant(0)
ALL = (everything(4), everything(6))
V4 = IP(src="10.1.0.7", dst="10.2.9.3") / UDP(sport=1, dport=53)
V6 = IPv6(src="fd01::7", dst="fd02::3") / UDP(sport=1, dport=53)


def entry(conditions: Conditions = Conditions(), **more: object) -> SpdEntry:  # noqa: B008 - frozen
    values = {"action": Action.BYPASS, "local": ALL, "remote": ALL, "acquires": False} | more
    return SpdEntry(id=PolicyId(1), name="x", priority=1, conditions=conditions, **values)  # type: ignore[arg-type] # any field


def passes(policy: SpdEntry, packet: Packet) -> bool:
    engine = Engine()
    engine.apply([AddPolicy(policy)], NOW)
    engine.seal(bytes(packet), NOW)
    return bool(engine.take_bypassed())


def changed(packet: Packet, **fields: int) -> Packet:
    copy = packet.copy()
    for name, value in fields.items():
        setattr(copy, name, value)
    return copy


def labelled(version: int, level: int) -> Packet:
    """A packet with a label of CIPSO, a tag of type 1, or of CALIPSO, without categories."""
    if version == 4:
        label = IPOption(b"\x86\x0a\x00\x00\x00\x03\x01\x04\x00" + bytes([level]))
        return IP(src="10.1.0.7", dst="10.2.9.3", options=[label]) / UDP(sport=1, dport=53)
    data = b"\x00\x00\x00\x03\x00" + bytes([level]) + b"\x00\x00"
    options = IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=7, optdata=data)])
    return IPv6(src="fd01::7", dst="fd02::3") / options / UDP(sport=1, dport=53)


@pytest.mark.parametrize(
    ("conditions", "selected", "others"),
    [
        (Conditions(tos=Masked(0xB8, 0xFC)), [changed(V4, tos=0xBB)], [V4, changed(V6, tc=0xB8)]),
        (Conditions(traffic_class=Masked(0xB8, 0xFC)), [changed(V6, tc=0xB9)], [V6, changed(V4, tos=0xB8)]),
        (Conditions(flow_label=0xABCDE), [changed(V6, fl=0xABCDE)], [V6, V4]),
        (Conditions(remote_address=Masked(0x0901, 0xFF01)), [V4], [changed(V4, dst="10.2.9.2"), V6]),
        (Conditions(local_address=Masked(7, 0xFF)), [V4, V6], [changed(V4, src="10.1.0.8")]),
        (Conditions(user=0), [], [V4, V6]),
        (Conditions(level=(0, 255)), [labelled(4, 0), labelled(6, 255)], [V4, V6]),
        (Conditions(level=(2, 3)), [labelled(4, 2), labelled(6, 3)], [labelled(4, 4), labelled(6, 1)]),
    ],
    ids=lambda value: " ".join(value.texts) if isinstance(value, Conditions) else "",
)
def test_conditions_are_asked_of_packets(
    conditions: Conditions, selected: list[Packet], others: list[Packet]
) -> None:
    assert all(passes(entry(conditions), packet) for packet in selected)
    assert not any(passes(entry(conditions), packet) for packet in others)


# covers R4301-4.4.1.1-7
def test_icmp_types_and_codes_are_one_number() -> None:
    unreachable = TrafficSelector.of_network(ip_network("0.0.0.0/0"), 1, (3 << 8) | 1, (3 << 8) | 13)
    policy = entry(local=(unreachable,), remote=(TrafficSelector.of_network(ip_network("0.0.0.0/0"), 1),))

    def icmp(type_: int, code: int) -> Packet:
        return IP(src="10.1.0.7", dst="10.2.0.9") / ICMP(type=type_, code=code)

    assert passes(policy, icmp(3, 1))
    assert passes(policy, icmp(3, 13))
    assert not passes(policy, icmp(3, 0))
    assert not passes(policy, icmp(3, 14))
    assert not passes(policy, icmp(8, 0))


# covers R4301-4.4.1-7
def test_an_entry_for_what_comes_in_says_nothing_about_what_leaves() -> None:
    assert passes(entry(way=Way.OUT), V4)
    assert not passes(entry(way=Way.IN), V4)


def test_protection_of_one_direction_cannot_be_written() -> None:
    with pytest.raises(LocalError, match="one direction"):
        entry(action=Action.PROTECT, way=Way.OUT)


def test_populate_flags_make_each_connection_ask_for_its_own_sa() -> None:
    engine = Engine()
    flags = Populate(remote_address=True, remote_port=True)
    policy = entry(action=Action.PROTECT, acquires=True, populate=flags)
    engine.apply([AddPolicy(policy)], NOW)
    for destination, port in (("10.2.0.1", 80), ("10.2.0.1", 80), ("10.2.0.1", 443), ("10.2.0.2", 80)):
        engine.seal(bytes(IP(src="10.1.0.7", dst=destination) / TCP(sport=1024, dport=port)), NOW)
    flows = [event.flow for event in engine.take_events() if isinstance(event, Acquire)]
    asked = [(flow.destination, flow.ports[1]) for flow in flows if flow.ports]
    first, second = ip_address("10.2.0.1"), ip_address("10.2.0.2")
    assert asked == [(first, 80), (first, 443), (second, 80)]
