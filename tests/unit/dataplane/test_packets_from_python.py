"""The code in docs/user/packets-from-python.md does what is said there; and the engine as a library."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path as FilePath

import pytest
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.packet import Raw

from perilune.databases.changes import AddSa
from perilune.databases.processing import Processing
from perilune.databases.sad import Direction, SaName
from perilune.dataplane.engine import Engine
from perilune.model.errors import LocalError
from support.esp_tunnel import START, Tunnel

PAGE = FilePath(__file__).parents[3] / "docs" / "user" / "packets-from-python.md"
TUNNEL = Tunnel()


def packet(octets: int = 40) -> bytes:
    return bytes(IP(src="10.1.0.7", dst="10.2.0.9") / UDP(sport=1024, dport=53) / Raw(b"x" * octets))


def test_code_of_the_page_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    assert len(blocks) == 5


def test_packets_that_were_held_leave_whole() -> None:
    engine, right = Engine(), TUNNEL.engine(at_left=False)
    engine.apply([TUNNEL.policy()], START)
    assert engine.seal_packet(packet(), START) == []
    assert engine.release_packets(START) == []
    engine.apply([AddSa(TUNNEL.sa(way)) for way in (Direction.INBOUND, Direction.OUTBOUND)], START)
    [sealed] = engine.release_packets(START)
    assert right.open_packet(sealed, START) == [packet()]


# covers R4301-5.2-10
def test_fragments_wait_for_each_other() -> None:
    left, right = TUNNEL.engines()
    [sealed] = left.seal_packet(packet(900), START)
    pieces = [bytes(piece) for piece in fragment(IP(sealed), 400)]
    assert len(pieces) == 3
    opened = [right.open_packet(piece, START) for piece in reversed(pieces)]
    assert opened == [[], [], [packet(900)]]


def test_an_icmp_error_lowers_the_path_mtu() -> None:
    left, _ = TUNNEL.engines()
    [sealed] = left.seal_packet(packet(900), START)
    # covers R4301-6.1.1-2
    router = IP(src="198.51.100.1", dst="192.0.2.1") / ICMP(type=3, code=4, nexthopmtu=800)
    stranger = IP(src="198.51.100.1", dst="192.0.2.1") / ICMP(type=3, code=4, nexthopmtu=700)
    assert left.note_icmp_error(bytes(router / Raw(sealed[:36])), START)
    assert not left.note_icmp_error(bytes(stranger / Raw(packet()[:36])), START)
    assert len(left.seal_packet(packet(900), START)) == 2
    assert left.take_replies() == []


def test_reasons_are_told_once() -> None:
    left, right = TUNNEL.engines()
    [sealed] = left.seal_packet(packet(), START)
    right.open_packet(sealed, START)
    assert right.take_drops() == []
    for _ in range(2):
        right.open_packet(sealed, START)
    assert [(drop.name, drop.packets) for drop in right.take_drops()] == [("replayed", 2)]
    assert right.take_drops() == []
    assert right.stats().dropped("replayed") == 2


def test_too_big_is_told_once_for_each_packet() -> None:
    left = Engine()
    narrow = replace(TUNNEL.sa(Direction.OUTBOUND), processing=Processing(path_mtu=600))
    left.apply([TUNNEL.policy(), AddSa(narrow)], START)
    large = bytes(IP(src="10.1.0.7", dst="10.2.0.9", flags="DF") / UDP(sport=1, dport=2) / Raw(b"x" * 900))
    assert left.seal_packet(large, START) == []
    [told] = left.take_replies()
    assert (IP(told).src, IP(told).dst) == ("10.2.0.9", "10.1.0.7")
    assert [drop.name for drop in left.take_drops()] == ["path_mtu_exceeded"]
    assert left.take_replies() == []


def test_a_dummy_is_dropped_by_its_receiver() -> None:
    left, right = Tunnel().engines()
    sa = Tunnel().sa(Direction.OUTBOUND)

    [dummy] = left.seal_dummy(SaName(sa.spi, sa.path), 400, START)

    assert len(dummy) > 400
    assert right.open_packet(dummy, START) == []
    assert {drop.name for drop in right.stats().drops if drop.packets} == {"dummy_packet"}


def test_a_dummy_needs_an_sa() -> None:
    sa = Tunnel().sa(Direction.OUTBOUND)
    with pytest.raises(LocalError, match="no SA"):
        Engine().seal_dummy(SaName(sa.spi, sa.path), 400, START)
