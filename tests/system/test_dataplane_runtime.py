"""Two runtimes with manual keys between two sites: real devices, sockets, threads and hosts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as FilePath

import pytest

from lab.capture import tap
from lab.topology import Sites, host, host6
from lab.traffic import ping, services, transfer
from perilune.databases.changes import AddPolicy, AddSa, RemovePolicy
from perilune.databases.sad import Direction
from perilune.databases.spd import Action, PolicyId
from perilune.dataplane.events import Acquire, Audit, DeviceLost, IkeDatagram, UnknownSpi
from perilune.dataplane.runtime import RuntimeSettings
from perilune.model.address import Path
from perilune.model.errors import LocalError
from support.esp_tunnel import POLICY, RIGHT_SPI, Tunnel, path
from support.gateway import gateway
from support.gateway_pair import (
    MTU,
    OUTER_A,
    OUTER_B,
    V4,
    Gateways,
    gateway_pair,
    in_udp,
    install,
    lost_packets,
)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and TUN devices need root"),
]

OUTER6_A, OUTER6_B = "2001:db8::1", "2001:db8::2"
V6_IN_V4 = replace(V4, left="2001:db8:1::/64", right="2001:db8:2::/64")
V4_IN_V6 = replace(V4, path=path(OUTER6_A, OUTER6_B))
V6_IN_V6 = replace(V6_IN_V4, path=path(OUTER6_A, OUTER6_B))
TUNNELS = {"4in4": V4, "6in4": V6_IN_V4, "4in6": V4_IN_V6, "6in6": V6_IN_V6}


@pytest.fixture
def sites(leaky_sites: Sites) -> Sites:
    return leaky_sites


@pytest.fixture
def gateways(sites: Sites) -> Iterator[Gateways]:
    with gateway_pair(sites) as pair:
        yield pair


def target_of(tunnel: Tunnel) -> str:
    return host6(2) if ":" in tunnel.right else host(2)


@pytest.mark.parametrize("encapsulated", [False, True], ids=["raw", "udp"])
@pytest.mark.parametrize("name", TUNNELS)
def test_ping_and_tcp_cross_the_tunnel(
    sites: Sites, gateways: Gateways, tmp_path: FilePath, name: str, encapsulated: bool
) -> None:
    tunnel = in_udp(TUNNELS[name]) if encapsulated else TUNNELS[name]
    target = target_of(tunnel)
    install(gateways, tunnel)
    (tmp_path / "web").mkdir()
    with tap(sites.gateway_a, "wire", tmp_path / "tap.log") as wire:
        assert ping(sites.host_a, target) == 3
        with services(sites.host_b, tmp_path / "web"):
            transfer(sites.host_a, target, megabytes=5)
        overheard = wire.finish()

    # Nothing of the hosts is on the wire, only ESP of the kind that was asked for.
    kinds = {kind for kind, packets in overheard.packets.items() if packets}
    assert kinds & {"ESP", "ESP in UDP", "ICMP", "TCP", "UDP"} == {"ESP in UDP" if encapsulated else "ESP"}
    for runtime in gateways:
        stats = runtime.stats()
        assert {sa.direction for sa in stats.sas} == {Direction.INBOUND, Direction.OUTBOUND}
        assert all(sa.packets > 3 and sa.octets > 100_000 for sa in stats.sas)
        assert lost_packets(runtime) == {}


def test_batches_form(sites: Sites, gateways: Gateways, tmp_path: FilePath) -> None:
    install(gateways, in_udp(V4))
    (tmp_path / "web").mkdir()
    with services(sites.host_b, tmp_path / "web"):
        transfer(sites.host_a, host(2), megabytes=20)
    for runtime in gateways:
        work = runtime.stats().work
        assert work["packets_sent"] > 3 * work["send_calls"]
        assert work["datagrams_received"] > 3 * work["device_writes"]
        assert work["segmentation_fallbacks"] == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_share_what_there_is_to_carry(sites: Sites, tmp_path: FilePath, workers: int) -> None:
    settings = RuntimeSettings(tun_name="tun0", workers=workers)
    (tmp_path / "web").mkdir()
    with gateway_pair(sites, settings) as (left, right):
        install((left, right), in_udp(V4))
        with services(sites.host_b, tmp_path / "web"):
            for _ in range(4):
                transfer(sites.host_a, host(2), megabytes=1)
        assert ping(sites.host_a, host(2)) == 3
        for runtime in (left, right):
            tasks = FilePath(f"/proc/{runtime.process.pid}/task").glob("*/comm")
            names = sorted(
                name for task in tasks if (name := task.read_text().strip()).startswith("perilune-")
            )
            assert names == [f"perilune-{number}" for number in range(workers)]
            assert lost_packets(runtime) == {}


def test_packets_respect_the_mtu(sites: Sites, gateways: Gateways) -> None:
    install(gateways, V4)
    fits, too_big = str(MTU - 28), str(MTU - 27)
    words = ("ping", "-n", "-c", "1", "-W", "2", "-M", "do")
    assert sites.host_a.run(*words, "-s", fits, host(2)).returncode == 0
    refused = sites.host_a.run(*words, "-s", too_big, host(2), check=False)
    assert f"mtu = {MTU}" in refused.stdout or f"mtu={MTU}" in refused.stdout + refused.stderr
    # Without DF the gateway fragments, and the fragments pass too.
    assert sites.host_a.run("ping", "-n", "-c", "1", "-W", "2", "-M", "dont", "-s", "3000", host(2))


@pytest.mark.parametrize("tunnel", [V4, in_udp(V4)], ids=["raw", "udp"])
def test_an_interface_that_becomes_narrow_is_noticed(
    sites: Sites, gateways: Gateways, tmp_path: FilePath, tunnel: Tunnel
) -> None:
    """What it refuses is counted, and from then on the hosts are told what fits."""
    install(gateways, tunnel)
    (tmp_path / "web").mkdir()
    for namespace in (sites.gateway_a, sites.gateway_b):
        namespace.ip("link", "set", "wire", "mtu", "1280")
    try:
        with services(sites.host_b, tmp_path / "web"):
            transfer(sites.host_a, host(2), megabytes=2)
    finally:
        for namespace in (sites.gateway_a, sites.gateway_b):
            namespace.ip("link", "set", "wire", "mtu", "1500")
        for namespace in (sites.host_a, sites.host_b):
            namespace.ip("route", "flush", "cache")  # what they were told is not for other tests
    # A host that was told asks its peer for small segments when it connects again, and spares it the lesson.
    lost = {reason for runtime in gateways for reason in lost_packets(runtime)}
    assert lost == {"io_send_too_big", "path_mtu_exceeded"}


def test_what_bypasses_leaves_in_the_clear_past_the_device(sites: Sites, tmp_path: FilePath) -> None:
    namespace, mark = sites.gateway_a, "7"
    for family in ("-4", "-6"):
        namespace.ip(family, "rule", "add", "not", "fwmark", mark, "lookup", "77")
    settings = RuntimeSettings(tun_name="tun0", mark=int(mark))
    try:
        with gateway(namespace, settings) as runtime:
            namespace.ip("link", "set", "tun0", "up", "mtu", str(MTU))
            for prefix in ("10.2.0.0/24", "2001:db8:2::/64"):
                namespace.ip("route", "add", prefix, "dev", "tun0", "table", "77")
            for number, tunnel in enumerate((V4, V6_IN_V4)):
                entry = replace(tunnel.policy().entry, id=PolicyId(number + 1), action=Action.BYPASS)
                runtime.apply([AddPolicy(entry)])
            with tap(namespace, "wire", tmp_path / "tap.log") as wire:
                assert ping(sites.host_a, host(2)) == 3
                assert ping(sites.host_a, host6(2)) == 3
                assert wire.finish().esp == 0
            assert runtime.stats().work["bypassed"] >= 6
    finally:
        for family in ("-4", "-6"):
            namespace.ip(family, "rule", "del", "not", "fwmark", mark, "lookup", "77")


def test_first_packet_is_held_until_there_is_an_sa(sites: Sites, gateways: Gateways) -> None:
    left, right = gateways
    left.apply([V4.policy()])
    right.apply(V4.changes(at_left=False))
    with sites.host_a.spawn(
        "ping", "ping", "-n", "-c", "1", "-W", "8", host(2), log=FilePath(os.devnull)
    ) as child:
        acquire = left.wait_for(Acquire)
        assert acquire.policy == POLICY
        assert (str(acquire.flow.source), str(acquire.flow.destination)) == (host(1), host(2))
        assert acquire.flow.protocol == 1
        assert left.stats().policies[0].held == 1
        left.apply([AddSa(V4.sa(Direction.INBOUND)), AddSa(V4.sa(Direction.OUTBOUND))])
        # The very packet that asked for the SA is answered.
        assert child.wait(8) == 0
    assert left.stats().policies[0].held == 0


@pytest.mark.parametrize("outer", [(OUTER_A, OUTER_B), (OUTER6_A, OUTER6_B)], ids=["v4", "v6"])
@pytest.mark.parametrize(("port", "encapsulated"), [(500, False), (4500, True)])
def test_ike_datagrams_reach_the_other_side(
    gateways: Gateways, outer: tuple[str, str], port: int, encapsulated: bool
) -> None:
    left, right = gateways
    way = path(*outer, port)
    left.send_ike(b"a message of IKE", way, encapsulated=encapsulated)
    arrived = right.wait_for(IkeDatagram)
    back = Path(way.remote, way.local)
    assert arrived == IkeDatagram(back, b"a message of IKE", encapsulated)


def test_keepalives_are_counted_and_nothing_else(gateways: Gateways) -> None:
    left, right = gateways
    way = in_udp(V4).path
    left.send_keepalive(way)
    left.send_ike(b"after it", way, encapsulated=True)
    assert right.wait_for(IkeDatagram).data == b"after it"
    assert not any(isinstance(event, IkeDatagram) for event in right.take_events())
    assert right.stats().work["keepalives_received"] == 1


FLOOD = """
import os, socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
esp = socket.socket(socket.AF_INET, socket.SOCK_RAW, 50)
for n in range(600):
    octets = os.urandom(n % 97)
    for port in (500, 4500):
        udp.sendto(octets, (sys.argv[1], port))
    udp.sendto(bytes(4) + octets, (sys.argv[1], 4500))
    esp.sendto(octets, (sys.argv[1], 0))
    esp.sendto(bytes.fromhex("20000002") + octets, (sys.argv[1], 0))
"""


def test_a_flood_of_nonsense_ends_nothing(sites: Sites, gateways: Gateways) -> None:
    _, right = gateways
    install(gateways, V4)
    sites.gateway_a.run(sys.executable, "-c", FLOOD, OUTER_B)
    assert ping(sites.host_a, host(2)) == 3
    lost = lost_packets(right)
    assert lost["unknown_spi"] > 500
    assert lost["integrity_failed"] > 100
    assert lost["esp_malformed"] > 10
    assert lost["io_encapsulation_malformed"] > 20
    events = right.take_events()
    assert sum(isinstance(event, IkeDatagram) for event in events) > 1000
    # What is told about single packets is rate-limited; the counters have them all.
    assert sum(isinstance(event, (Audit, UnknownSpi)) for event in events) < 200


def test_idle_workers_use_no_cpu(gateways: Gateways, sites: Sites) -> None:
    left, right = gateways
    install(gateways, V4)
    sites.gateway_a.ip("link", "set", left.device_name, "down")
    before = left.cpu_s(), right.cpu_s()
    # Nobody sends this event: the wait itself is the idle time.
    with pytest.raises(AssertionError, match="no DeviceLost"):
        left.wait_for(DeviceLost, timeout_s=1.0)
    assert left.cpu_s() - before[0] < 0.3
    assert right.cpu_s() - before[1] < 0.3


def test_esp_is_accepted_with_and_without_udp(sites: Sites, gateways: Gateways) -> None:
    """RFC 7296, section 2.23: both must be accepted, whatever was negotiated."""
    left, right = gateways
    left.apply(in_udp(V4).changes())
    right.apply(V4.changes(at_left=False))
    assert ping(sites.host_a, host(2)) == 3


def test_a_deleted_device_is_told_and_ends_the_workers(sites: Sites, gateways: Gateways) -> None:
    left, _ = gateways
    sites.gateway_a.ip("link", "delete", left.device_name)
    assert left.wait_for(DeviceLost).name == "tun0"
    left.close()
    left.close()


def test_what_cannot_be_sent_is_an_error_of_the_caller(gateways: Gateways) -> None:
    left, _ = gateways
    with pytest.raises(LocalError, match=r"192\.0\.2\.9:501"):
        left.send_ike(b"message", path("192.0.2.9", OUTER_B, 501), encapsulated=False)


def test_changes_are_all_or_nothing(gateways: Gateways) -> None:
    left, _ = gateways
    with pytest.raises(LocalError):
        left.apply([*V4.changes(), RemovePolicy(POLICY), RemovePolicy(POLICY)])
    assert left.stats().sas == ()
    left.apply(V4.changes())
    assert {sa.spi for sa in left.stats().sas} >= {RIGHT_SPI}
