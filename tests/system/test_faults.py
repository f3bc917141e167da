"""Packets that are spoilt, and queues that are full: what is lost is counted, and nothing else is lost."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lab.namespace import Namespace
from lab.process import PATIENCE_S, until
from lab.topology import Sites, host
from lab.traffic import Background, ping, program, services, transfer
from perilune.dataplane.events import IkeDatagram
from perilune.model.address import Path as NetworkPath
from support.gateway import Gateway
from support.gateway_pair import (
    OUTER_B,
    V4,
    Gateways,
    gateway_pair,
    in_udp,
    install,
    lost_packets,
    route_into_tunnel,
)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and TUN devices need root"),
]

IN_UDP = in_udp(V4)
PORT = 7200
BURST = 60
"""Datagrams that a host gives its kernel at once."""
IKE_QUEUE = 4096
KERNEL = tuple(map(int, os.uname().release.split(".")[:2]))


@pytest.fixture
def sites(leaky_sites: Sites) -> Sites:
    return leaky_sites


@pytest.fixture
def gateways(sites: Sites) -> Iterator[Gateways]:
    with gateway_pair(sites) as pair:
        install(pair, IN_UDP)
        # Nobody waits for a neighbour's answer from here on.
        assert ping(sites.host_a, host(2), count=1) == 1
        yield pair


def send_bursts(
    namespace: Namespace,
    bursts: int,
    *,
    to: str = host(2),
    port: int = PORT,
    shape: tuple[int, int] = (BURST, 64),
) -> None:
    """Send bursts; their shape is how many datagrams there are in one, and of how many octets."""
    namespace.run(*program("bursts", "send", to, *map(str, (port, bursts, *shape))))


def work_of(runtime: Gateway, kind: str) -> int:
    return runtime.stats().work[kind]


def lost_to(runtime: Gateway, reason: str) -> int:
    return lost_packets(runtime).get(reason, 0)


@pytest.mark.skipif(KERNEL < (6, 2), reason="TUN devices cut UDP up since Linux 6.2")
def test_bursts_of_datagrams_stay_together_and_in_order(
    sites: Sites, gateways: Gateways, tmp_path: Path
) -> None:
    left, right = gateways
    reads, writes = work_of(left, "device_reads"), work_of(right, "device_writes")
    words = program("bursts", "receive", host(2), str(PORT), str(4 * BURST))
    with sites.host_b.spawn("receiver", *words, log=tmp_path / "receiver.log") as receiver:
        receiver.wait_for_log("ready")
        send_bursts(sites.host_a, bursts=4)
        numbers = json.loads(receiver.wait_for_log(r"\[.*\]").group())
    assert numbers == list(range(4 * BURST))
    assert work_of(left, "device_reads") - reads < BURST
    assert work_of(right, "device_writes") - writes < BURST
    assert (lost_packets(left), lost_packets(right)) == ({}, {})


@contextmanager
def spoiling(sites: Sites, every: int, logs: Path) -> Iterator[Background]:
    """In front of gateway b's port 4500."""
    words = program("spoil", OUTER_B, "4501", "4500", str(every))
    with sites.gateway_b.spawn("spoil", *words, log=logs / "spoil.log") as child:
        yield Background(child)


def test_a_spoilt_datagram_of_a_bundle_takes_no_other_with_it(sites: Sites, tmp_path: Path) -> None:
    way = IN_UDP.path
    past_it = replace(IN_UDP, path=NetworkPath(way.local, replace(way.remote, port=4501)))
    (tmp_path / "web").mkdir()
    with gateway_pair(sites) as (left, right), spoiling(sites, 50, tmp_path) as spoil:
        left.apply(past_it.changes())
        right.apply(IN_UDP.changes(at_left=False))
        with services(sites.host_b, tmp_path / "web"):
            transfer(sites.host_a, host(2), megabytes=2)
        # TCP may send few segments at once; in bursts a spoilt one has others on both sides.
        arrived = work_of(right, "datagrams_received")
        send_bursts(sites.host_a, bursts=4)
        until(
            lambda: work_of(right, "datagrams_received") - arrived >= 4 * BURST,
            PATIENCE_S,
            "the bursts to arrive",
        )
        report = json.loads(spoil.stop())
        until(
            lambda: lost_to(right, "integrity_failed") == report["spoilt"],
            PATIENCE_S,
            f"{report} to be counted",
        )
        assert report["within"] > 0
        assert lost_packets(right) == {"integrity_failed": report["spoilt"]}
        work = right.stats().work
        assert work["datagrams_received"] > work["receive_messages"]


def test_what_a_device_does_not_take_is_counted_packet_by_packet(sites: Sites, gateways: Gateways) -> None:
    _, right = gateways
    sites.gateway_b.ip("link", "set", right.device_name, "down")
    send_bursts(sites.host_a, bursts=2)

    until(lambda: lost_to(right, "io_device_write") == 2 * BURST, PATIENCE_S, "the packets to be counted")
    route_into_tunnel(sites.gateway_b, right, other_site=1)
    assert ping(sites.host_a, host(2), count=1) == 1
    assert lost_packets(right) == {"io_device_write": 2 * BURST}


def test_what_does_not_fit_the_queue_of_the_device_is_counted(sites: Sites, gateways: Gateways) -> None:
    left, right = gateways
    sent = work_of(left, "packets_sent")
    sites.gateway_a.ip("link", "set", left.device_name, "txqueuelen", "4")
    left.process.send_signal(signal.SIGSTOP)
    try:
        send_bursts(sites.host_a, bursts=50, shape=(1, 64))
    finally:
        left.process.send_signal(signal.SIGCONT)

    def accounted_for() -> bool:
        return work_of(left, "packets_sent") - sent + lost_to(left, "io_port_overflow") == 50

    until(accounted_for, PATIENCE_S, "fifty packets, sent or counted")
    assert lost_to(left, "io_port_overflow") >= 40
    assert ping(sites.host_a, host(2), count=1) == 1
    assert lost_packets(right) == {}


def test_a_socket_that_stays_full_loses_what_it_does_not_take(sites: Sites, gateways: Gateways) -> None:
    left, _ = gateways
    sent = work_of(left, "packets_sent")
    # So slow that what is sent during the test stays in its queue, which keeps the socket's buffer full.
    slow = ("tbf", "rate", "8kbit", "burst", "2000", "limit", "100000000")
    queue = ("dev", "wire", "root")
    sites.gateway_a.run("tc", "qdisc", "add", *queue, *slow)
    try:
        send_bursts(sites.host_a, bursts=200, shape=(50, 1200))

        def accounted_for() -> bool:
            return work_of(left, "packets_sent") - sent + lost_to(left, "io_send_buffer_full") == 200 * 50

        until(accounted_for, PATIENCE_S, "all packets, sent or counted")
    finally:
        sites.gateway_a.run("tc", "qdisc", "del", *queue)
    assert lost_to(left, "io_send_buffer_full") > 0
    assert ping(sites.host_a, host(2), count=1) == 1


def test_ike_gets_the_oldest_of_what_does_not_fit_its_queue(sites: Sites, gateways: Gateways) -> None:
    _, right = gateways
    right.take_events()
    send_bursts(sites.gateway_a, bursts=75, to=OUTER_B, port=500)
    too_many = 75 * BURST - IKE_QUEUE

    until(lambda: lost_to(right, "io_ike_queue_full") == too_many, PATIENCE_S, "the rest to be counted")
    events = right.take_events()
    numbers = [int.from_bytes(event.data) for event in events if isinstance(event, IkeDatagram)]
    assert numbers == list(range(IKE_QUEUE))
