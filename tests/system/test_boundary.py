"""What policy protects is not there in the clear: before a tunnel, while no daemon lives, and behind it."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import product
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP

from lab.perilune import Perilune
from lab.process import until
from lab.topology import OUTER6_A, OUTER6_B, Sites, host, outer
from lab.traffic import icmp_error, ping
from perilune.cli.exit_codes import ExitCode
from perilune.databases.conditions import Conditions, Masked
from perilune.databases.spd import Action, PolicyId, SpdEntry, Way
from perilune.model.selector import TrafficSelector, everything
from perilune.shell.boundary_rules import REMOVAL, BoundarySettings, ruleset
from support.clear_words import (
    PATIENCE_S,
    config,
    dropped,
    gateway,
    receiving,
    send,
    words_on_the_wire,
)

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces want root"),
    pytest.mark.timeout(600),
]


@pytest.fixture
def sites(leaky_sites: Sites) -> Sites:
    return leaky_sites


def test_without_a_daemon_the_sites_leak(sites: Sites, tmp_path: Path) -> None:
    """Else the other tests would show nothing."""
    assert words_on_the_wire(sites, tmp_path, lambda: send(sites.host_a, host(2))) >= 20
    with receiving(sites.host_a, tmp_path) as came:
        send(sites.host_b, host(1))
        until(came, PATIENCE_S, "the words in the clear")


@pytest.mark.parametrize("start_action", ["none", "start", "trap"])
def test_nothing_leaves_before_the_tunnel(sites: Sites, tmp_path: Path, start_action: str) -> None:
    with gateway(sites, tmp_path, config(1, start_action)):
        assert words_on_the_wire(sites, tmp_path, lambda: send(sites.host_a, host(2))) == 0


# covers R4301-5.2-1
def test_clear_packets_from_the_other_side_are_dropped_and_counted(sites: Sites, tmp_path: Path) -> None:
    with gateway(sites, tmp_path, config(1)) as daemon, receiving(sites.host_a, tmp_path) as came:
        send(sites.host_b, host(1))
        until(lambda: dropped(daemon, "in") == 20, PATIENCE_S, "twenty drops")
        assert not came()


def test_boundary_stands_while_the_daemon_is_dead_and_when_it_comes_back(
    sites: Sites, tmp_path: Path
) -> None:
    other = Perilune(sites.gateway_b, tmp_path / "b", config(2))
    with other, gateway(sites, tmp_path, config(1, "trap")) as daemon:
        until(lambda: ping(sites.host_a, host(2), count=1) == 1, PATIENCE_S, "the tunnel")
        assert words_on_the_wire(sites, tmp_path, lambda: send(sites.host_a, host(2))) == 0

        daemon.kill()
        assert words_on_the_wire(sites, tmp_path, lambda: send(sites.host_a, host(2))) == 0
        assert dropped(daemon, "out") == 20

        assert words_on_the_wire(sites, tmp_path, lambda: _start_under_fire(daemon, sites)) == 0
        until(lambda: ping(sites.host_a, host(2), count=1) == 1, PATIENCE_S, "the tunnel again")
        assert dropped(daemon, "out") >= 20, "counters go on"


def _start_under_fire(daemon: Perilune, sites: Sites) -> None:
    send(sites.host_a, host(2))
    daemon.start()
    send(sites.host_a, host(2))


def test_ports_of_ike_are_no_way_out_for_a_user(sites: Sites, tmp_path: Path) -> None:
    with gateway(sites, tmp_path, config(1)) as daemon:
        daemon.kill()

        def from_its_port() -> None:
            send(sites.gateway_a, host(2), 1000, "10.1.0.1", port=4500)

        assert words_on_the_wire(sites, tmp_path, from_its_port) == 0


def test_boundary_stays_behind_an_orderly_end_until_it_is_removed(sites: Sites, tmp_path: Path) -> None:
    daemon = Perilune(sites.gateway_a, tmp_path / "a", config(1))
    daemon.start()
    try:
        refused = daemon.command("boundary", "remove", timeout_s=PATIENCE_S)
        assert refused.returncode == ExitCode.REFUSED
        assert "enforce_policy" in refused.stderr

        os.kill(daemon.child.pid, signal.SIGTERM)
        assert daemon.child.wait(PATIENCE_S) == 0
        assert "stays kept from the wire" in daemon.log()
        assert words_on_the_wire(sites, tmp_path, lambda: send(sites.host_a, host(2))) == 0

        assert daemon.command("boundary", "remove", timeout_s=PATIENCE_S).returncode == 0
        assert "there is no boundary" in daemon.command("boundary", "show", timeout_s=PATIENCE_S).stdout
        assert words_on_the_wire(sites, tmp_path, lambda: send(sites.host_a, host(2))) >= 20
    finally:
        daemon.stop()


def test_what_is_passed_passes_both_ways_and_the_rest_of_the_world_too(sites: Sites, tmp_path: Path) -> None:
    passed = f"""open {{
        mode = pass
        local_ts = 10.1.0.0/24[udp]
        remote_ts = {host(2)}[udp/7999]
      }}
      back {{
        mode = pass
        local_ts = 10.1.0.0/24[udp/7999]
        remote_ts = {host(2)}[udp]
      }}"""
    with gateway(sites, tmp_path, config(1, more=passed)), receiving(sites.host_a, tmp_path) as came:
        assert words_on_the_wire(sites, tmp_path, lambda: send(sites.host_a, host(2))) >= 20
        send(sites.host_b, host(1))
        until(came, PATIENCE_S, "what is passed")
        assert ping(sites.host_a, host(2), count=1, wait_s=1) == 0
        until(lambda: ping(sites.gateway_a, outer(2), count=1) == 1, PATIENCE_S, "the other gateway")


def test_own_network_stays_out_of_a_tunnel_for_everything(sites: Sites, tmp_path: Path) -> None:
    own = """lan {
        mode = pass
        local_ts = 10.1.0.0/16
        remote_ts = 10.1.0.0/16
      }
      world {
        local_ts = 10.1.0.0/16
        remote_ts = 0.0.0.0/0
        start_action = trap
      }"""

    def way_to(target: str) -> str:
        return sites.gateway_a.ip("route", "get", target, "from", "10.1.0.1")

    with gateway(sites, tmp_path, config(1, more=own)) as daemon:
        until(lambda: "dev perilune0" in way_to("198.51.100.1"), PATIENCE_S, "the tunnel's route")
        until(lambda: "dev lan" in way_to(host(1)), PATIENCE_S, "the way to the own network")
        assert ping(sites.host_a, "10.1.0.1", count=1) == 1
        daemon.config_path.write_text(config(1, more=own[own.index("world") :]))
        with daemon.control() as control:
            control.request("reload-settings")
        until(lambda: "dev perilune0" in way_to(host(1)), PATIENCE_S, "what is let by no more")
    assert "throw" not in sites.gateway_a.ip("route", "show", "table", "all")


# covers R4301-4.4.1-3
@pytest.mark.parametrize(("here", "there"), [(outer(1), outer(2)), (OUTER6_A, OUTER6_B)])
def test_peer_may_lie_in_what_is_protected(sites: Sites, tmp_path: Path, here: str, there: str) -> None:
    """IKE, ESP and neighbours pass although both gateways' addresses are in the selectors."""
    remote_ts = "remote_ts = 10.2.0.0/24, 192.0.2.0/24, 2001:db8::/64"
    local_ts = f"local_ts = 10.1.0.0/24, {outer(1)}, {OUTER6_A}"
    a = config(1, "trap").replace("remote_ts = 10.2.0.0/24", remote_ts)
    a = a.replace("local_ts = 10.1.0.0/24", local_ts).replace(f"= {outer(1)}\n", f"= {here}\n")
    a = a.replace(f"= {outer(2)}\n", f"= {there}\n")
    b = config(2).replace(f"= {outer(2)}\n", f"= {there}\n").replace(f"= {outer(1)}\n", f"= {here}\n")
    with gateway(sites, tmp_path, a), Perilune(sites.gateway_b, tmp_path / "b", b):
        for namespace in (sites.gateway_a, sites.gateway_b):
            namespace.ip("neigh", "flush", "dev", "wire")
        assert ping(sites.gateway_a, there, count=1, wait_s=1) == 0, "in the clear"
        until(lambda: ping(sites.host_a, host(2), count=1) == 1, PATIENCE_S, "the tunnel")
        until(lambda: ping(sites.host_b, host(1), count=1) == 1, PATIENCE_S, "the way back")


# covers R4301-6.1.2-1
def test_icmp_errors_from_behind_are_accepted_by_type(sites: Sites, tmp_path: Path) -> None:
    """The kernel of the gateway is who would believe them, so it is asked what it got."""
    gateway_a = sites.gateway_a

    def got() -> tuple[int, int]:
        names, values = (
            line.split() for line in gateway_a.run("grep", "^Icmp:", "/proc/net/snmp").stdout.splitlines()
        )
        counts = dict(zip(names, values, strict=True))
        return int(counts["InRedirects"]), int(counts["InDestUnreachs"])

    def told() -> int:
        chain = gateway_a.run("nft", "--json", "list", "chain", "inet", "perilune", "told").stdout
        rules = [one["rule"]["expr"] for one in json.loads(chain)["nftables"] if "rule" in one]
        return sum(part["counter"]["packets"] for rule in rules for part in rule if "counter" in part)

    quoted = bytes(IP(src="10.1.0.1", dst=host(1)) / UDP(sport=7, dport=7))
    router = int(ip_address("10.1.0.99"))
    with gateway(sites, tmp_path, config(1)):
        until(
            lambda: (
                gateway_a.run("nft", "list", "chain", "inet", "perilune", "told", check=False).returncode == 0
            ),
            PATIENCE_S,
            "the boundary",
        )
        redirects, unreachable = got()
        icmp_error(sites.host_a, "10.1.0.1", (5, 1), router, quoted)
        until(lambda: told() == 1, PATIENCE_S, "a redirect that is dropped")
        icmp_error(sites.host_a, "10.1.0.1", (3, 3), 0, quoted)
        until(lambda: got() == (redirects, unreachable + 1), PATIENCE_S, "the error that is accepted")
        assert told() == 1


def test_policy_that_is_not_to_be_enforced_leaves_no_boundary(sites: Sites, tmp_path: Path) -> None:
    with gateway(sites, tmp_path, config(1)) as daemon:
        daemon.kill()
        daemon.config_path.write_text(config(1, daemon="enforce_policy = no"))
        daemon.start()
        assert "the boundary of an earlier run is gone" in daemon.log()
        assert words_on_the_wire(sites, tmp_path, lambda: send(sites.host_a, host(2))) >= 20


def test_rules_for_whatever_a_policy_may_ask_are_known_to_nftables(sites: Sites) -> None:
    whole = {4: everything(4), 6: everything(6)}
    asked = [
        Conditions(tos=Masked(0xB8, 0xFC), local_address=Masked(0x0A000005, 0xFF0000FF)),
        Conditions(traffic_class=Masked(0xB8, 0xFC), flow_label=0xBEEF, remote_address=Masked(1, 0xFFFF)),
        Conditions(user=1000),
        Conditions(level=(3, 5)),
    ]
    entries = [
        SpdEntry(
            id=PolicyId(number),
            name=f"entry {number}",
            priority=number,
            action=Action.DISCARD,
            way=way,
            local=(replace(whole[version], protocol=protocol, first_port=first, last_port=last),),
            remote=(whole[version],),
            conditions=conditions,
        )
        for number, (version, (protocol, first, last), way, conditions) in enumerate(
            product(
                (4, 6),
                (
                    (0, 0, 65535),
                    (6, 80, 443),
                    (17, 65535, 0),
                    (1, 0x800, 0x8FF),
                    (58, 0, 9),
                    (135, 0x500, 0x5FF),
                ),
                Way,
                asked,
            ),
            1,
        )
    ]
    text = ruleset(entries, BoundarySettings(device="perilune0", ports=(500, 4500), mark=0))
    assert text.count("counter packets") == 78
    sites.gateway_a.run("nft", "--check", "--file", "-", text_in=text, timeout_s=PATIENCE_S)


LATER_FRAGMENT = """
import socket, sys
source, target = (socket.inet_pton(socket.AF_INET6, one) for one in sys.argv[1:3])
fragment = bytes([60, 0, 0, 240, 0, 0, 0, 7])  # of a packet with destination options, from octet 240 on
packet = bytes([0x60, 0, 0, 0, 0, 72, 44, 64]) + source + target + fragment + bytes(64)
raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
try:
    raw.sendto(packet, (sys.argv[2], 0, 0, 0))
    print("sent")
except PermissionError:
    print("dropped")
"""


def test_a_fragment_that_does_not_show_its_protocol_is_dropped_where_one_is_protected(sites: Sites) -> None:
    gateway_a = sites.gateway_a
    here, there = (
        TrafficSelector.of_network(ip_network(address), protocol=17) for address in (OUTER6_A, OUTER6_B)
    )
    udp = SpdEntry(
        id=PolicyId(1), name="udp", priority=1, action=Action.PROTECT, local=(here,), remote=(there,)
    )

    def told() -> str:
        words = ("python3", "-c", LATER_FRAGMENT, OUTER6_A, OUTER6_B)
        return gateway_a.run(*words, timeout_s=PATIENCE_S).stdout.strip()

    settings = BoundarySettings(device="perilune0", ports=(500, 4500), mark=0)
    assert told() == "sent"
    try:
        gateway_a.run("nft", "--file", "-", text_in=ruleset([udp], settings), timeout_s=PATIENCE_S)
        assert told() == "dropped"
    finally:
        gateway_a.run("nft", "--file", "-", text_in=REMOVAL, timeout_s=PATIENCE_S)


def test_host_without_nft_is_told_what_to_install(sites: Sites, tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    hide = f"mount --bind {empty} /usr/sbin && exec env PATH={os.environ['PATH']} "
    daemon = Perilune(sites.gateway_a, tmp_path / "a", config(1, daemon="enforce_policy = yes"))
    words = f"{hide} {sys.executable} -m perilune run -c {daemon.config_path} --uri {daemon.uri}"
    done = sites.gateway_a.run("unshare", "--mount", "sh", "-c", words, timeout_s=PATIENCE_S, check=False)
    assert done.returncode == ExitCode.NOT_ALLOWED
    assert "Debian has it in the package nftables" in done.stderr
