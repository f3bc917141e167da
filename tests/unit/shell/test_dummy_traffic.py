"""Dummies in virtual time, sealed by one engine and dropped by another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from scapy.layers.inet import IP, UDP

from perilune.databases.changes import AddSa, MoveSa, RemoveSa
from perilune.databases.processing import Processing
from perilune.databases.sad import Direction, SaName
from perilune.dataplane.engine import Engine
from perilune.dataplane.runtime import DummiesWanted
from perilune.model.errors import LocalError
from perilune.model.time import Duration, Instant
from perilune.shell.dummy_traffic import DummyTraffic
from support.esp_tunnel import Tunnel, path
from support.rng import SeededRng

START = Instant(5_000_000_000)
TUNNEL = Tunnel()
PACKET = bytes(IP(src="10.1.0.7", dst="10.2.0.9") / UDP(sport=1, dport=2) / b"real")


class Bench:
    """Two engines, and what makes the first one send dummies; the clock jumps to the next timeout."""

    def __init__(self, rate: int) -> None:
        self.left, self.right = TUNNEL.engines()
        self.now = START
        self.lengths: list[int] = []
        self.calls = 0
        self.traffic = DummyTraffic(self._send, SeededRng(7))
        sa = TUNNEL.sa(Direction.OUTBOUND)
        self.name = SaName(sa.spi, sa.path)
        self.added = AddSa(replace(sa, processing=replace(sa.processing, dummies=rate)))
        self.traffic.follow([self.added], self.now)

    def _send(self, wanted: Sequence[DummiesWanted]) -> list[int | None]:
        self.calls += 1
        return [self._fill(one) for one in wanted]

    def _fill(self, one: DummiesWanted) -> int | None:
        try:
            for _ in range(one.least - self.sent()):
                self.deliver(self.left.seal_dummy(one.sa, one.octets, self.now))
        except (LocalError, StopIteration):
            return None
        return self.sent()

    def deliver(self, packets: list[bytes]) -> None:
        for packet in packets:
            self.lengths.append(len(packet))
            self.right.open_packet(packet, self.now)

    def sent(self) -> int:
        return next(sa.packets for sa in self.left.stats().sas if sa.direction is Direction.OUTBOUND)

    def dummies(self) -> int:
        """Those that the receiver saw."""
        return self.right.stats().dropped("dummy_packet")

    def run(self, seconds: float) -> None:
        end = self.now + Duration.seconds(seconds)
        while (due := self.traffic.next_timeout()) is not None and due <= end:
            self.now = max(self.now, due)
            self.traffic.handle_timeout(self.now)
        self.now = end


@pytest.mark.parametrize("rate", [1, 3, 7, 50, 299])
def test_so_many_packets_leave_in_a_second(rate: int) -> None:
    bench = Bench(rate)
    bench.run(2)
    assert 2 * rate - max(rate // 50, 1) <= bench.dummies() <= 2 * rate


# covers R4303-2.6-1
def test_packets_that_somebody_sends_need_no_dummies() -> None:
    bench = Bench(10)
    for _ in range(20):
        bench.deliver(bench.left.seal_packet(PACKET, bench.now))
        bench.run(0.05)
    assert (bench.sent(), bench.dummies()) == (20, 0)
    bench.run(1)
    assert bench.dummies() in {9, 10}, "a busy second is no credit for a silent one"


def test_lengths_tell_nothing() -> None:
    bench = Bench(50)
    bench.run(2)
    assert len(set(bench.lengths)) > 20


def test_after_a_pause_only_a_second_is_made_up_for() -> None:
    bench = Bench(10)
    bench.now += Duration.seconds(60)
    bench.traffic.handle_timeout(bench.now)
    assert bench.dummies() == 10
    due = bench.traffic.next_timeout()
    assert due is not None
    assert due > bench.now


def test_what_has_no_dummies_costs_nothing() -> None:
    bench = Bench(0)
    inbound = TUNNEL.sa(Direction.INBOUND)
    bench.traffic.follow([AddSa(replace(inbound, processing=Processing(dummies=5)))], bench.now)
    assert bench.traffic.next_timeout() is None
    bench.run(5)
    assert bench.calls == 0


def test_an_sa_that_moves_goes_on_and_one_that_ends_does_not() -> None:
    bench = Bench(10)
    bench.run(1)
    new = path("192.0.2.1", "192.0.2.3")
    move = MoveSa(Direction.OUTBOUND, bench.name.spi, bench.name.path, new)
    bench.left.apply([move], bench.now)
    bench.traffic.follow([move], bench.now)
    before = bench.sent()
    bench.run(1)
    assert bench.sent() > before
    bench.left = Engine()
    bench.run(1)
    bench.traffic.follow([RemoveSa(Direction.OUTBOUND, bench.name.spi, new)], bench.now)
    assert bench.traffic.next_timeout() is None
