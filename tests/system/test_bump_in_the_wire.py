"""A bump in the wire between real interfaces: what it lets by, what it protects, whom it finds.

Nothing here may depend on a first packet: stations look for each other while ports open. What is waited for
is a condition, with a deadline that a busy machine keeps.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path as FilePath

import pytest

from lab.capture import tap
from lab.namespace import Namespace
from lab.perilune import Perilune
from lab.process import PATIENCE_S, until
from lab.traffic import ping, program, services, transfer
from lab.wire import BUMP, HOST, ROUTER, Bumps, on_link, on_link6, two_bumps
from perilune.databases.changes import AddPolicy
from perilune.databases.spd import LAST_ENTRY, LAST_PRIORITY, Action, SpdEntry
from perilune.dataplane.events import DeviceLost
from perilune.dataplane.placement import Wire
from perilune.dataplane.runtime import RuntimeSettings
from perilune.model.errors import LocalError, ResourceError
from perilune.model.selector import everything
from support.esp_tunnel import Tunnel, path
from support.gateway import Gateway, gateway

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and packet sockets need root"),
    pytest.mark.timeout(400),
]


BETWEEN = RuntimeSettings(wire=Wire("inside", "outside"))
TUNNEL = Tunnel(left="10.1.0.0/24", right="10.2.0.0/24", path=path(on_link(1, BUMP), on_link(2, BUMP)))
TUNNEL6 = replace(TUNNEL, left="2001:db8:1::/64", right="2001:db8:2::/64")
LET_BY = AddPolicy(
    SpdEntry(
        id=LAST_ENTRY,
        name="unmatched",
        priority=LAST_PRIORITY,
        action=Action.BYPASS,
        local=(everything(4), everything(6)),
        remote=(everything(4), everything(6)),
    )
)


@pytest.fixture(scope="module")
def link() -> Iterator[Bumps]:
    with two_bumps() as made:
        yield made


@contextmanager
def bumps(link: Bumps) -> Iterator[tuple[Gateway, Gateway]]:
    """A runtime in both wires, without policies."""
    with gateway(link.bump_a, BETWEEN) as left, gateway(link.bump_b, BETWEEN) as right:
        yield left, right


def protect(runtimes: tuple[Gateway, Gateway], tunnel: Tunnel) -> None:
    """Give both ends the tunnel, and let everything else by."""
    for runtime, at_left in zip(runtimes, (True, False), strict=True):
        runtime.apply([*tunnel.changes(at_left=at_left), LET_BY])


def answers(namespace: Namespace, target: str) -> None:
    """Wait until a station answers."""
    until(lambda: ping(namespace, target, count=1, wait_s=3) == 1, PATIENCE_S, f"an answer of {target}")


def test_what_no_policy_selects_passes_as_on_a_wire(link: Bumps, tmp_path: FilePath) -> None:
    (tmp_path / "web").mkdir()
    with bumps(link) as runtimes:
        left, _ = runtimes
        for runtime in runtimes:
            runtime.apply([LET_BY])
        answers(link.host_a, on_link(1, ROUTER))
        answers(link.host_a, on_link6(1, ROUTER))
        answers(link.host_a, on_link(2, HOST))
        answers(link.router, on_link(1, HOST))
        with services(link.host_b, tmp_path / "web"):
            for target in (on_link(2, HOST), on_link6(2, HOST)):
                assert transfer(link.host_a, target, megabytes=3).up_octets == 3_000_000
        # The host and the router see each other's stations, not the bump's.
        assert _station(link.router, "left") in link.host_a.ip("neigh", "show", on_link(1, ROUTER))
        assert _station(link.host_a, "lan") in link.router.ip("neigh", "show", on_link(1, HOST))
        stats = left.stats()
        assert stats.work["frames_forwarded"] > 100
        assert stats.work["packets_sent"] == 0
        assert {name for name in ("io_frame_forward", "io_frame_malformed") if stats.dropped(name)} == set()


def _station(namespace: Namespace, device: str) -> str:
    found = re.search(r"link/ether (\S+)", namespace.ip("link", "show", device))
    assert found
    return found.group(1)


@pytest.mark.parametrize("family", [4, 6])
def test_protected_traffic_is_on_the_outside_as_esp_only(
    link: Bumps, tmp_path: FilePath, family: int
) -> None:
    target, back = (
        (on_link(2, HOST), on_link(1, HOST)) if family == 4 else (on_link6(2, HOST), on_link6(1, HOST))
    )
    (tmp_path / "web").mkdir()
    with bumps(link) as runtimes, tap(link.router, "left", tmp_path / "tap.log") as wire:
        protect(runtimes, TUNNEL if family == 4 else TUNNEL6)
        answers(link.host_a, target)
        answers(link.host_b, back)
        # What is not between the two links is not protected, and not hindered.
        answers(link.host_a, on_link(1, ROUTER))
        with services(link.host_b, tmp_path / "web"):
            assert transfer(link.host_a, target, megabytes=3).up_octets == 3_000_000
        overheard = wire.finish()
        assert overheard.packets["ESP"] > 1000
        assert overheard.packets.get("TCP", 0) == 0
        for runtime in runtimes:
            assert all(sa.packets > 100 for sa in runtime.stats().sas)


# covers R4301-8.2.1-2
# covers R4301-8.2.1-3
def test_a_sender_inside_is_told_what_fits(link: Bumps) -> None:
    words = ("ping", "-n", "-c", "1", "-W", "3")
    with bumps(link) as runtimes:
        protect(runtimes, TUNNEL)
        answers(link.host_a, on_link(2, HOST))
        link.host_a.ip("route", "flush", "cache")
        told = until(lambda: _told_mtu(link.host_a, *words), PATIENCE_S, "the host to be told")
        # Outside are 1500 octets: an IPv4 header, ESP with its IV and ICV, and up to three of padding less.
        assert 1500 - 60 < told < 1500 - 20
        link.host_a.ip("route", "flush", "cache")
        fitting = (*words, "-M", "do", "-s", str(told - 28), on_link(2, HOST))
        until(lambda: link.host_a.run(*fitting, check=False).returncode == 0, PATIENCE_S, "what fits")
        # What may be cut is cut outside.
        large = (*words, "-M", "dont", "-s", "3000", on_link(2, HOST))
        until(lambda: link.host_a.run(*large, check=False).returncode == 0, PATIENCE_S, "fragments")


def _told_mtu(host: Namespace, *ping_words: str) -> int | None:
    said = host.run(*ping_words, "-M", "do", "-s", "1472", on_link(2, HOST), check=False).stdout
    found = re.search(r"mtu ?= ?(\d+)", said)
    return int(found.group(1)) if found else None


# covers R4301-5.2-6
def test_what_must_be_protected_is_not_taken_in_the_clear(link: Bumps, tmp_path: FilePath) -> None:
    with gateway(link.bump_a, BETWEEN) as runtime:
        runtime.apply([TUNNEL.policy(), LET_BY])
        answers(link.router, on_link(1, HOST))
        with tap(link.host_a, "lan", tmp_path / "tap.log", needles=("forged",)) as inner:
            # From the router, in the name of a host on the other link.
            link.router.address("lo", f"{on_link(2, 66)}/32")
            forged = ("ping", "-n", "-c", "1", "-W", "1", "-p", b"forged".hex(), "-I", on_link(2, 66))
            try:
                until(
                    lambda: (
                        link.router.run(*forged, on_link(1, HOST), check=False)
                        and runtime.stats().dropped("clear_text") >= 3
                    ),
                    PATIENCE_S,
                    "forged packets to be counted",
                )
            finally:
                link.router.ip("address", "del", f"{on_link(2, 66)}/32", "dev", "lo")
            assert inner.finish().seen["forged"] == 0


def test_a_station_that_was_never_heard_is_asked_for(link: Bumps) -> None:
    with bumps(link) as runtimes:
        left, right = runtimes
        left.apply([*TUNNEL.changes(), LET_BY])
        answers(link.host_a, on_link(1, ROUTER))
        right.apply([*TUNNEL.changes(at_left=False), LET_BY])
        answers(link.host_a, on_link(2, HOST))
        assert right.stats().dropped("io_neighbor_silent") == 0
        # Nobody has this address.
        ping(link.host_a, on_link(2, 77), count=1, wait_s=1)
        until(lambda: right.stats().dropped("io_neighbor_silent"), PATIENCE_S, "the bump to give up")
        answers(link.host_a, on_link(2, HOST))


def test_a_vlan_is_looked_into_and_found_again(link: Bumps, tmp_path: FilePath) -> None:
    tagged = replace(TUNNEL, right="10.2.5.0/24")
    station = _station(link.router, "right")
    words = ("lan", "5", station, f"10.2.5.{HOST}", on_link(1, HOST), str(PATIENCE_S))
    with bumps(link) as runtimes, tap(link.router, "left", tmp_path / "tap.log") as wire:
        protect(runtimes, tagged)
        link.host_b.run(*program("tagged_ping", *words), timeout_s=PATIENCE_S + 30)
        overheard = wire.finish()
        assert overheard.esp >= 2
        assert overheard.packets.get("ICMP", 0) == 0


OTHER_FRAMES = """
import socket, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((sys.argv[1], 0))
lldp = bytes.fromhex("0180c200000e 020000000001 88cc") + b"neither IP nor ARP" + bytes(28)
for _ in range(3):
    raw.send(lldp)
    raw.send(lldp[:12] + bytes.fromhex("8100 0007 8100 0007 8100 0007 0800") + bytes(40))
    raw.send(lldp[:12] + bytes.fromhex("0800") + b"\x60" + b"a lie about its version" + bytes(28))
"""


def test_frames_without_ip_pass_and_unsound_ones_do_not(link: Bumps, tmp_path: FilePath) -> None:
    needles = ("neither IP nor ARP", "a lie about")
    with gateway(link.bump_a, BETWEEN) as runtime:
        with tap(link.router, "left", tmp_path / "tap.log", needles=needles) as wire:
            link.host_a.run(sys.executable, "-c", OTHER_FRAMES, "lan")
            until(lambda: runtime.stats().dropped("io_frame_malformed") == 6, PATIENCE_S, "the last frame")
            seen = wire.finish().seen
        assert seen == {"neither IP nor ARP": 3, "a lie about": 0}


def test_a_deleted_interface_is_told(tmp_path: FilePath) -> None:
    with two_bumps() as link, gateway(link.bump_a, BETWEEN) as runtime:
        link.bump_a.ip("link", "delete", "outside")
        assert runtime.wait_for(DeviceLost, PATIENCE_S).name == "outside"


def test_interfaces_that_cannot_be_used_are_named(link: Bumps) -> None:
    for wire, kind, words in (
        (Wire("inside", "inside"), LocalError, "has two interfaces"),
        (Wire("lo", "outside"), LocalError, "lo is no Ethernet interface"),
        (Wire("inside", "beyond"), ResourceError, "interface beyond: .*No such device"),
    ):
        with pytest.raises(kind, match=words), gateway(link.bump_a, RuntimeSettings(wire=wire)):
            pass


CONFIG = """
connections {{
  other {{
    local_addrs = {here}
    remote_addrs = {there}
    proposals = aes256gcm16-prfsha256-x25519
    keyingtries = 0
    local {{
      id = bump-{site}
      auth = psk
    }}
    remote {{
      id = bump-{other}
      auth = psk
    }}
    children {{
      links {{
        local_ts = 10.{site}.0.0/24
        remote_ts = 10.{other}.0.0/24
        esp_proposals = aes256gcm16
        start_action = trap
      }}
    }}
  }}
}}
secrets {{
  ike-other {{
    secret = "between the host and its router"
  }}
}}
daemon {{
  placement = wire
  inside = inside
  outside = outside
  retransmit_timeout = 1
}}
"""


def config(site: int) -> str:
    """The configuration of the bump of a site."""
    other = 3 - site
    return CONFIG.format(site=site, other=other, here=on_link(site, BUMP), there=on_link(other, BUMP))


def test_daemons_in_the_wire_set_their_tunnel_up(link: Bumps, tmp_path: FilePath) -> None:
    a = Perilune(link.bump_a, tmp_path / "a", config(1), log_level="debug")
    b = Perilune(link.bump_b, tmp_path / "b", config(2), log_level="debug")
    try:
        with b, a, tap(link.router, "left", tmp_path / "tap.log") as wire:
            # Past the bumps themselves; then what a packet asks for, by whichever end it comes first.
            answers(link.host_a, on_link(1, ROUTER))
            answers(link.host_b, on_link(2, ROUTER))
            answers(link.host_a, on_link(2, HOST))
            for daemon in (a, b):
                daemon.wait_for_child("links", PATIENCE_S)
            answers(link.host_b, on_link(1, HOST))
            overheard = wire.finish()
            assert overheard.packets["IKE"] >= 4
            assert overheard.packets["ESP"] >= 4
            assert "between inside and outside" in a.log()
            *_, last = json.loads(a.command("policies", "--json").stdout)
            assert (last["name"], last["action"]) == ("unmatched", "bypass")
            for daemon in (a, b):
                assert "Traceback" not in daemon.log()
    finally:
        for log in sorted(tmp_path.glob("[ab]/log")):
            print(f"--- {log.parent.name}\n{log.read_text()[-8000:]}")  # noqa: T201 - shown if it fails
