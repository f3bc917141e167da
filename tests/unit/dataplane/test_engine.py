"""The in-memory engine: what it carries, holds, refuses and tells."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw

from perilune.databases.changes import AddPolicy, AddSa, MoveSa, RemovePolicy, RemoveSa
from perilune.databases.processing import Mode
from perilune.databases.sad import Direction, Encapsulation, Lifetime, Limits
from perilune.databases.spd import Action, PolicyId, SpdEntry
from perilune.dataplane.engine import Engine
from perilune.dataplane.events import (
    Acquire,
    Audit,
    Flow,
    HardExpire,
    Limit,
    PeerMoved,
    SoftExpire,
    UnknownSpi,
)
from perilune.model.address import Endpoint, Path
from perilune.model.time import Duration
from support.esp_tunnel import LEFT_SPI, POLICY, RIGHT_SPI, START, SUITES, Tunnel, path, selectors

TUNNEL = Tunnel()
AT_RIGHT = Path(TUNNEL.path.remote, TUNNEL.path.local)
NONE = Encapsulation.NONE


def packet(
    source: str = "10.1.0.7", destination: str = "10.2.0.9", *, port: int = 4242, octets: int = 40
) -> bytes:
    return bytes(IP(src=source, dst=destination) / UDP(sport=1024, dport=port) / Raw(b"x" * octets))


def across(left: Engine, right: Engine, inner: bytes) -> list[bytes]:
    """Seal at the left, open at the right."""
    opened = []
    for sealed in left.seal(inner, START):
        opened += right.open(sealed.data, AT_RIGHT, sealed.encapsulation, START)
    return opened


def test_a_packet_crosses_and_both_ends_count_it() -> None:
    left, right = TUNNEL.engines()
    assert across(left, right, packet()) == [packet()]
    [outbound] = [sa for sa in left.stats().sas if sa.direction is Direction.OUTBOUND]
    [inbound] = [sa for sa in right.stats().sas if sa.direction is Direction.INBOUND]
    for sa in (outbound, inbound):
        assert (sa.spi, sa.peer_spi, sa.policy) == (RIGHT_SPI, LEFT_SPI, POLICY)
        assert (sa.packets, sa.octets, sa.sequence) == (1, len(packet()), 1)
        assert sa.last_used == START
        assert not sa.is_expired
    assert outbound.path == TUNNEL.path
    assert inbound.path == AT_RIGHT
    assert inbound.replay_window_packets == 128


@pytest.mark.parametrize("suite", SUITES, ids=str)
def test_the_second_copy_is_dropped_and_counted(suite: object) -> None:
    left, right = replace(TUNNEL, suite=suite).engines()
    [sealed] = left.seal(packet(), START)
    assert right.open(sealed.data, AT_RIGHT, NONE, START) == [packet()]
    assert right.open(sealed.data, AT_RIGHT, NONE, START) == []
    assert right.stats().dropped("replayed") == 1
    [audit] = right.take_events()
    assert audit == Audit(
        "replayed", START, RIGHT_SPI, AT_RIGHT.remote.address, AT_RIGHT.local.address, 1, None
    )


def test_a_packet_without_sa_is_held_and_asks_for_one_once() -> None:
    left, right = Engine(), TUNNEL.engine(at_left=False)
    left.apply([TUNNEL.policy()], START)
    assert left.seal(packet(), START) == []
    assert left.seal(packet(port=53), START) == []
    flow = Flow(ip_address("10.1.0.7"), ip_address("10.2.0.9"), 17, (1024, 4242))
    assert left.take_events() == [Acquire(POLICY, flow)]
    assert left.stats().policies[0].held == 2

    left.apply([AddSa(TUNNEL.sa(Direction.OUTBOUND))], START)
    released = left.release_held(START)
    opened = [right.open(sealed.data, AT_RIGHT, NONE, START) for sealed in released]
    assert opened == [[packet()], [packet(port=53)]]
    assert left.stats().policies[0].held == 0
    assert left.release_held(START) == []


def test_policy_decides_by_order() -> None:
    def entry(id_: int, priority: int, action: Action, remote: str) -> AddPolicy:
        return AddPolicy(
            SpdEntry(
                id=PolicyId(id_),
                name=f"p{id_}",
                priority=priority,
                action=action,
                local=selectors("10.1.0.0/16"),
                remote=selectors(remote),
            )
        )

    engine = TUNNEL.engine()
    engine.apply(
        [entry(7, 0, Action.BYPASS, "10.2.1.0/24"), entry(8, 0, Action.DISCARD, "10.2.2.0/24")], START
    )
    assert engine.seal(packet(destination="10.2.1.1"), START) == []
    assert engine.take_bypassed() == [packet(destination="10.2.1.1")]
    assert engine.take_bypassed() == []
    assert engine.seal(packet(destination="10.2.2.1"), START) == []
    assert engine.stats().dropped("policy_discard") == 1
    assert len(engine.seal(packet(destination="10.2.3.1"), START)) == 1
    assert engine.seal(packet(destination="10.3.0.1"), START) == []
    assert engine.stats().dropped("no_policy") == 1


def test_the_other_side_cannot_send_from_outside_its_selectors() -> None:
    """RFC 4301, section 5.2: the header of the packet must match the SA's selectors."""
    liar = replace(TUNNEL, left="10.0.0.0/8").engine()
    right = TUNNEL.engine(at_left=False)
    assert across(liar, right, packet(source="10.9.0.1")) == []
    assert right.stats().dropped("selector_mismatch") == 1
    assert across(liar, right, packet()) == [packet()]


def test_lifetimes_end_softly_then_hard() -> None:
    lifetime = Lifetime(soft=Limits(time=Duration.seconds(10)), hard=Limits(time=Duration.seconds(20)))
    engine = replace(TUNNEL, lifetime=lifetime).engine()
    due = engine.on_time(START)
    assert due == START + Duration.seconds(10)
    engine.on_time(START + Duration.seconds(10))
    assert {type(event) for event in engine.take_events()} == {SoftExpire}
    assert len(engine.seal(packet(), START + Duration.seconds(11))) == 1
    assert engine.on_time(START + Duration.seconds(20)) is None
    expired = engine.take_events()
    assert HardExpire(Direction.OUTBOUND, RIGHT_SPI, LEFT_SPI, POLICY, Limit.TIME) in expired
    assert HardExpire(Direction.INBOUND, LEFT_SPI, RIGHT_SPI, POLICY, Limit.TIME) in expired


def test_a_lifetime_in_packets_is_exact() -> None:
    lifetime = Lifetime(soft=Limits(packets=2), hard=Limits(packets=3))
    engine = replace(TUNNEL, lifetime=lifetime).engine()
    sent = [len(engine.seal(packet(), START)) for _ in range(5)]
    assert sent[:4] == [1, 1, 1, 0]
    kinds = [type(event) for event in engine.take_events()]
    assert kinds.count(SoftExpire) == 1
    assert kinds.count(HardExpire) == 1


def test_a_peer_behind_a_nat_moves_only_when_told() -> None:
    tunnel = replace(TUNNEL, path=path("192.0.2.1", "192.0.2.2", 4500), encapsulation=Encapsulation.UDP)
    left, right = tunnel.engines()
    at_right = Path(tunnel.path.remote, tunnel.path.local)
    moved = Path(at_right.local, Endpoint(ip_address("198.51.100.7"), 10_000))
    [sealed] = left.seal(packet(), START)
    assert right.open(sealed.data, moved, Encapsulation.UDP, START) == [packet()]
    assert right.take_events() == [PeerMoved(RIGHT_SPI, at_right.remote, moved)]

    answer = packet("10.2.0.9", "10.1.0.7")
    [still] = right.seal(answer, START)
    assert still.path == at_right
    right.apply([MoveSa(Direction.OUTBOUND, LEFT_SPI, at_right, moved)], START)
    [now] = right.seal(answer, START)
    assert (now.path, now.encapsulation) == (moved, Encapsulation.UDP)


def test_an_unknown_spi_is_told() -> None:
    engine = TUNNEL.engine(at_left=False)
    [sealed] = TUNNEL.engine().seal(packet(), START)
    foreign = bytes([0x77]) + sealed.data[1:]
    assert engine.open(foreign, AT_RIGHT, NONE, START) == []
    events = engine.take_events()
    assert UnknownSpi(0x7700_0000 | RIGHT_SPI & 0xFF_FFFF, AT_RIGHT.remote, False) in events
    assert engine.stats().dropped("unknown_spi") == 1


def test_removed_sas_carry_nothing() -> None:
    left, right = TUNNEL.engines()
    [sealed] = left.seal(packet(), START)
    right.apply([RemoveSa(Direction.INBOUND, RIGHT_SPI, AT_RIGHT)], START)
    assert right.open(sealed.data, AT_RIGHT, NONE, START) == []
    left.apply([RemovePolicy(POLICY)], START)
    assert left.stats().sas == ()
    assert left.seal(packet(), START) == []


@pytest.mark.parametrize("mode", [Mode.ANY, Mode.BEET, Mode.TRANSPORT, Mode.TUNNEL])
def test_whole_packets_of_every_mode(mode: Mode) -> None:
    hosts = {"left": "192.0.2.1/32", "right": "192.0.2.2/32"}
    left, right = Tunnel(mode=mode, **hosts).engines()
    plain = bytes(IP(src="192.0.2.1", dst="192.0.2.2", ttl=64) / UDP(dport=9) / bytes(100))
    [sealed] = left.seal_packet(plain, START)
    outer = IP(sealed)
    assert (outer.src, outer.dst, outer.proto) == ("192.0.2.1", "192.0.2.2", 50)
    assert right.open_packet(sealed, START) == [plain]
    assert right.open_packet(sealed, START) == []  # a replay


def test_an_icmp_flow_has_its_type_and_code() -> None:
    engine = Engine()
    engine.apply([TUNNEL.policy()], START)
    echo = bytes(IP(src="10.1.0.7", dst="10.2.0.9") / ICMP(type=8, code=0))
    assert engine.seal(echo, START) == []
    [acquire] = engine.take_events()
    assert isinstance(acquire, Acquire)
    assert acquire.flow.protocol == 1
    assert acquire.flow.ports == (8 << 8, 8 << 8)


@pytest.mark.parametrize(
    "octets", [b"", b"\x45", b"\x45" + bytes(18), bytes(64), b"\xff" * 1500, bytes(70_000)]
)
def test_nonsense_from_either_side_is_a_drop(octets: bytes) -> None:
    engine = TUNNEL.engine()
    assert engine.seal(octets, START) == []
    assert engine.open(octets, TUNNEL.path, NONE, START) == []
    assert sum(drop.packets for drop in engine.stats().drops) == 2
    assert engine.seal_packet(octets, START) == []
    assert engine.open_packet(octets, START) == []
    assert sum(drop.packets for drop in engine.stats().drops) == 4


def test_every_drop_reason_is_named_and_explained() -> None:
    drops = Engine().stats().drops
    names = [drop.name for drop in drops]
    assert len(names) == len(set(names)) > 15
    assert all(drop.text and drop.packets == 0 for drop in drops)
    assert any(drop.is_auditable for drop in drops)
