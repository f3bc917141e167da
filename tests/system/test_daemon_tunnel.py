"""Two daemons of ours, each in a namespace, and hosts behind them: what users do and what traffic sees."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.namespace import Namespace
from lab.perilune import Perilune
from lab.process import PATIENCE_S, Child, until
from lab.topology import Sites, host, outer, two_sites
from lab.traffic import datagram_stream, ping, services, transfer, transfer_stream
from perilune.cli.exit_codes import ExitCode

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces want root"),
]

CONFIG = """
connections {{
  gw {{
    local_addrs = {here}
    remote_addrs = {there}
    proposals = {ike}
    dpd_delay = 1s
    local {{
      id = {id_here}
      auth = psk
    }}
    remote {{
      id = {id_there}
      auth = psk
    }}
    children {{
      net {{
        local_ts = 10.{site}.0.0/24
        remote_ts = 10.{other}.0.0/24
        esp_proposals = {esp}
        start_action = {start_action}
        {actions}
      }}
    }}
  }}
}}
secrets {{
  ike-gw {{
    secret = "{secret}"
  }}
}}
daemon {{
  retransmit_timeout = 0.3
  retransmit_tries = 3
  {daemon}
}}
"""


def config(site: int, start_action: str = "none", **more: str) -> str:
    """The configuration of a site's gateway."""
    other = 3 - site
    values = {
        "here": outer(site),
        "there": outer(other),
        "ike": "aes256gcm16-prfsha256-x25519",
        "esp": "aes256gcm16",
        "id_here": f"site-{site}",
        "id_there": f"site-{other}",
        "secret": "twelve moons and a lander",
        "actions": "",
        "daemon": "",
    }
    return CONFIG.format(site=site, other=other, start_action=start_action, **(values | more))


@dataclass(frozen=True, slots=True)
class Pair:
    """Both daemons and what is around them."""

    sites: Sites
    a: Perilune
    b: Perilune
    directory: Path

    def status(self, daemon: Perilune) -> dict[str, Any]:
        done = daemon.command("status", "--json")
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def child(self, daemon: Perilune) -> dict[str, Any] | None:
        """The child that is installed."""
        for ike_sa in self.status(daemon)["ike_sas"]:
            for child in ike_sa["children"]:
                if child["state"] == "INSTALLED":
                    found: dict[str, Any] = child
                    return found
        return None


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    web = tmp_path_factory.mktemp("web")
    with two_sites() as made, services(made.host_a, web), services(made.host_b, web):
        yield made


@contextmanager
def pair(sites: Sites, directory: Path, a: str, b: str, key_log: Path | None = None) -> Iterator[Pair]:
    """Run a daemon with each configuration; b first, so that a's peer is there."""
    first = Perilune(sites.gateway_b, directory / "b", b)
    second = Perilune(sites.gateway_a, directory / "a", a, log_level="debug", key_log=key_log)
    try:
        with first, second:
            yield Pair(sites, second, first, directory)
    finally:
        for log in sorted(directory.glob("[ab]/log")):
            print(f"--- {log.parent.name}\n{log.read_text()[-8000:]}")  # noqa: T201 - shown if it fails


# covers R4301-3.2-3
def test_child_starts_by_itself_and_ends_at_both_ends(sites: Sites, tmp_path: Path) -> None:
    with pair(sites, tmp_path, config(1, "start"), config(2)) as both:
        both.a.wait_for_child("net")
        assert ping(sites.host_a, host(2), count=5) == 5
        assert ping(sites.host_b, host(1), count=5) == 5
        assert transfer(sites.host_a, host(2), 5).up_octets == 5_000_000
        assert len(routing_of(sites.gateway_a)) >= 2

        assert both.a.stop() == 0
        until(lambda: not both.b.ike_sas(), PATIENCE_S, "the peer to see the deletion")
        log = both.a.log()
        assert "stopped" in log
        assert "Traceback" not in log
        assert routing_of(sites.gateway_a) == []


def routing_of(gateway: Namespace) -> list[str]:
    """Return the rules and the routes of the daemon's routing table."""
    lines = gateway.run("ip", "rule").stdout + gateway.ip("route", "show", "table", "all")
    # Whole words: the kernel makes link-local addresses with any digits.
    return [line for line in lines.splitlines() if re.search(r"\b(lookup|table) 220\b", line)]


def test_first_packet_of_a_trap_is_held_and_not_lost(sites: Sites, tmp_path: Path) -> None:
    with pair(sites, tmp_path, config(1, "trap"), config(2)) as both:
        assert both.child(both.a) is None
        assert both.status(both.a)["policies"][0]["is_trap"]
        assert ping(sites.host_a, host(2), count=4, wait_s=3) == 4
        child = both.child(both.a)
        assert child is not None
        assert child["packets_out"] == 4
        assert both.status(both.a)["drops"] == []


def test_trap_for_addresses_that_come_later(sites: Sites, tmp_path: Path) -> None:
    text = config(1, "trap").replace(f"local_addrs = {outer(1)}", "").replace("local_ts = 10.1.0.0/24", "")
    sites.gateway_a.ip("link", "set", "wire", "down")
    try:
        with pair(sites, tmp_path, text, config(2)) as both:
            assert both.status(both.a)["policies"] == []
            sites.gateway_a.ip("link", "set", "wire", "up")
            sites.gateway_a.route("default", outer(2))
            both.a.wait(lambda: both.status(both.a)["policies"], PATIENCE_S, "the policy")
            assert both.status(both.a)["policies"][0]["local_ts"] == [f"{outer(1)}/32"]
    finally:
        sites.gateway_a.ip("link", "set", "wire", "up")


def test_commands_of_a_user(sites: Sites, tmp_path: Path) -> None:
    with pair(sites, tmp_path, config(1), config(2)) as both:
        up = both.a.command("initiate", "--child", "net")
        assert (up.returncode, up.stdout) == (0, "net is up\n")
        assert "IKE SA up" in up.stderr
        assert ping(sites.host_a, host(2), count=3) == 3

        table = both.a.command("status")
        assert "gw #1 ESTABLISHED" in table.stdout
        ike_sa = both.status(both.a)["ike_sas"][0]
        assert (ike_sa["local_id"], ike_sa["remote_id"]) == ("site-1", "site-2")
        assert ike_sa["suite"] == "AES_GCM_16-256/PRF_HMAC_SHA2_256/CURVE_25519"

        for what, name in (("--child", "net"), ("--ike", "gw")):
            renewed = both.a.command("rekey", what, name)
            assert (renewed.returncode, renewed.stdout) == (0, "1 being rekeyed\n")

        down = both.a.command("terminate", "--ike", "gw")
        assert (down.returncode, down.stdout) == (0, "1 ended\n")
        assert both.a.ike_sas() == both.b.ike_sas() == []
        again = both.a.command("terminate", "--ike", "gw")
        assert again.returncode == ExitCode.REFUSED
        assert "no such SA" in again.stderr
        assert [policy["is_trap"] for policy in both.status(both.a)["policies"]] == [False]


def test_rekeying_by_either_side_loses_nothing(sites: Sites, tmp_path: Path) -> None:
    with pair(sites, tmp_path, config(1, "start"), config(2)) as both:
        both.a.wait_for_child("net")
        with (
            transfer_stream(sites.host_a, host(2), tmp_path) as load,
            datagram_stream(sites.host_b, host(1), tmp_path) as pulse,
        ):
            for daemon in (both.a, both.b):
                _until_renewed(daemon, lambda: daemon.rekey_child("net"), _child_spis)  # noqa: B023 - at once
                _until_renewed(daemon, lambda: daemon.rekey_ike("gw"), _ike_spis)  # noqa: B023 - at once
            assert load.finish().up_octets > 0
            echoed = pulse.finish()
        assert echoed.received > 0
        assert (echoed.lost, echoed.duplicates) == (0, 0)


def _until_renewed(daemon: Perilune, rekey: Callable[[], None], spis: Callable[[Perilune], set[str]]) -> None:
    before = spis(daemon)
    rekey()
    daemon.wait(lambda: len(spis(daemon)) == 1 and spis(daemon) != before, PATIENCE_S, "the rekeying")


def _child_spis(daemon: Perilune) -> set[str]:
    return {child.fields["spi-in"] for child in daemon.child_sas() if child.state == "INSTALLED"}


def _ike_spis(daemon: Perilune) -> set[str]:
    return {sa.spis[0] for sa in daemon.ike_sas() if sa.state == "ESTABLISHED"}


def test_killed_daemon_comes_back(sites: Sites, tmp_path: Path) -> None:
    restart = "dpd_action = start"
    with pair(sites, tmp_path, config(1, "start", actions=restart), config(2, actions="")) as both:
        both.a.wait_for_child("net")
        both.a.kill()
        both.a.start()
        both.a.wait_for_child("net")
        until(lambda: ping(sites.host_a, host(2), count=1, wait_s=0.3) == 1, PATIENCE_S, "traffic")
        assert len([sa for sa in both.b.ike_sas() if sa.state == "ESTABLISHED"]) == 1

        both.b.kill()
        both.b.start()
        until(
            lambda: ping(sites.host_a, host(2), count=1, wait_s=0.3) == 1,
            PATIENCE_S,
            "traffic after liveness",
        )


def test_wrong_secret_is_told_at_both_ends(sites: Sites, tmp_path: Path) -> None:
    with pair(sites, tmp_path, config(1), config(2, secret="thirteen moons")) as both:
        done = both.a.command("initiate", "--child", "net", "--timeout", "5")
        assert done.returncode == ExitCode.REFUSED
        assert "did not authenticate us" in done.stderr
        assert "is not authentic" in both.b.log()
        for log in (both.a.log(), both.b.log()):
            assert "moons" not in log


def test_peer_that_is_not_there(sites: Sites, tmp_path: Path) -> None:
    with pair(sites, tmp_path, config(1), config(2)) as both:
        both.b.kill()
        done = both.a.command("initiate", "--child", "net", "--timeout", "1")
        assert done.returncode == ExitCode.TIMED_OUT
        assert "not done in time" in done.stderr


def test_configuration_is_read_again(sites: Sites, tmp_path: Path) -> None:
    with pair(sites, tmp_path, config(1), config(2)) as both:
        both.a.config_path.write_text(config(1, "start"))
        os.kill(both.a.child.pid, signal.SIGHUP)
        both.a.wait_for_child("net")

        both.a.config_path.write_text("connections {")
        os.kill(both.a.child.pid, signal.SIGHUP)
        both.a.child.wait_for_log("the old one stays")
        assert ping(sites.host_a, host(2), count=2) == 2


def test_a_changed_policy_keeps_its_route(sites: Sites, tmp_path: Path) -> None:
    """Without it, even for a moment, its traffic would find another way out."""
    gateway, remote = sites.gateway_a, "10.2.0.0/24"
    with pair(sites, tmp_path, config(1, "trap"), config(2)) as both:
        with gateway.spawn("monitor", "ip", "-4", "monitor", "route", log=tmp_path / "routes") as monitor:
            _mark(gateway, "192.0.2.201", monitor)
            both.a.config_path.write_text(config(1, "trap").replace("10.1.0.0/24", "10.1.0.0/25"))
            os.kill(both.a.child.pid, signal.SIGHUP)

            def changed() -> bool:
                return both.status(both.a)["policies"][0]["local_ts"] == ["10.1.0.0/25"]

            both.a.wait(changed, PATIENCE_S, "the new policy")
            _mark(gateway, "192.0.2.202", monitor)
            assert f"Deleted {remote}" not in monitor.log()
        assert remote in gateway.ip("route", "show", "table", "220")


def _mark(namespace: Namespace, destination: str, monitor: Child) -> None:
    """Have a mark among the changes of routes, again and again until it is seen."""

    def seen() -> bool:
        namespace.ip("route", "replace", "blackhole", destination)
        namespace.ip("route", "del", "blackhole", destination)
        return destination in monitor.log()

    until(seen, PATIENCE_S, "the monitor")


def test_log_can_be_followed(sites: Sites, tmp_path: Path) -> None:
    with pair(sites, tmp_path, config(1), config(2)) as both:
        words = (sys.executable, "-m", "perilune", "log", "--uri", both.a.uri)
        with sites.gateway_a.spawn("log", *words, log=tmp_path / "follow") as follower:

            def follows() -> bool:
                os.kill(both.a.child.pid, signal.SIGHUP)
                return "read again" in follower.log()

            until(follows, PATIENCE_S, "the first line")
            both.a.initiate("net")
            follower.wait_for_log(r"ike: \[ike=gw [0-9a-f]{8}\.\.\./[0-9a-f]{8}\.\.\.\] IKE SA up")


def test_second_daemon_is_refused(sites: Sites, tmp_path: Path) -> None:
    with pair(sites, tmp_path, config(1), config(2)) as both:
        second = both.a.command("run", "-c", str(both.a.config_path))
        assert second.returncode == ExitCode.NOT_ALLOWED
        assert "another daemon already listens" in second.stderr
        third = sites.gateway_a.run(
            sys.executable,
            "-m",
            "perilune",
            "run",
            "-c",
            str(both.a.config_path),
            "--uri",
            f"unix://{tmp_path}/other",
            check=False,
        )
        assert third.returncode == ExitCode.NOT_ALLOWED
        assert "UDP port 500 cannot be had" in third.stderr


@pytest.mark.parametrize("device", ["lo", "wire"])
def test_device_that_is_no_tun_device_is_told_with_its_key(sites: Sites, tmp_path: Path, device: str) -> None:
    file = tmp_path / "device.conf"
    file.write_text(config(1, daemon=f"tun = {device}"))
    words = (sys.executable, "-m", "perilune", "run", "-c", str(file), "--uri", f"{tmp_path}/vici")
    done = sites.gateway_a.run(*words, check=False)
    assert done.returncode == ExitCode.NOT_ALLOWED
    assert f"daemon.tun: another program uses the device {device}, or it is no TUN device" in done.stderr
    assert "Invalid argument" not in done.stderr


def test_device_of_another_program_is_told_with_its_key(sites: Sites, tmp_path: Path) -> None:
    with pair(sites, tmp_path, config(1), config(2)) as both:
        other = "tun = perilune0\n  port = 10500\n  port_nat_t = 14500"
        both.a.config_path.write_text(config(1, daemon=other))
        words = (sys.executable, "-m", "perilune", "run", "-c", str(both.a.config_path))
        done = sites.gateway_a.run(*words, "--uri", f"{tmp_path}/other", check=False)
        assert done.returncode == ExitCode.NOT_ALLOWED
        assert "daemon.tun: another program uses the device perilune0" in done.stderr


@pytest.mark.parametrize(
    ("ike", "esp"),
    [
        ("aes256gcm16-prfsha256-x25519", "aes256gcm16"),
        ("aes128-sha256-ecp256", "aes128-sha256"),
        ("aes256-sha384-x25519", "aes256-sha512-esn"),
    ],
)
def test_wireshark_opens_what_the_key_log_has(sites: Sites, tmp_path: Path, ike: str, esp: str) -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("Debian's package tshark is not installed")
    keys, capture = tmp_path / "keys", tmp_path / "capture.pcap"
    with pair(
        sites, tmp_path, config(1, ike=ike, esp=esp), config(2, ike=ike, esp=esp), key_log=keys
    ) as both:
        words = ("tcpdump", "--immediate-mode", "-i", "wire", "-U", "-w", str(capture), "-Z", "root")
        with sites.gateway_a.spawn("tcpdump", *words, log=tmp_path / "tcpdump") as tcpdump:
            tcpdump.wait_for_log("listening on")
            both.a.initiate("net")
            assert ping(sites.host_a, host(2), count=3) == 3
            until(
                lambda: _read(tshark, capture, keys, "esp", "esp").count("\n") >= 6, PATIENCE_S, "the capture"
            )
    ike_auth = _read(tshark, capture, keys, "isakmp.exchangetype == 35", "isakmp.typepayload")
    assert re.search(r"\b39\b", ike_auth), f"no AUTH payload is readable: {ike_auth}"
    echoes = _read(tshark, capture, keys, "icmp", "icmp.type").split()
    assert echoes.count("8") == 3
    assert echoes.count("0") == 3


def _read(tshark: str, capture: Path, keys: Path, display: str, field: str) -> str:
    """Return a field of the packets that a filter shows."""
    home = capture.parent / "home" / ".config" / "wireshark"
    home.mkdir(parents=True, exist_ok=True)
    for name in ("ikev2_decryption_table", "esp_sa"):
        shutil.copy(keys / name, home / name)
    options = ("-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE")
    done = subprocess.run(
        [tshark, "-r", str(capture), *options, "-Y", display, "-T", "fields", "-e", field],
        env={**os.environ, "HOME": str(capture.parent / "home"), "XDG_CONFIG_HOME": str(home.parent)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout
