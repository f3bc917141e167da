"""Two daemons with manual keys, each in a namespace, and hosts behind them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.perilune import Perilune
from lab.process import PATIENCE_S, until
from lab.topology import OUTER6_A, OUTER6_B, Sites, host, host6, outer, two_sites
from lab.traffic import ping

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces want root"),
]

CBC = f"proposal = aes256-sha256\nencryption_key = 0x{'5a' * 32}\nintegrity_key = 0x{'a5' * 32}"
KEYS = ("0x" + "17" * 36, "0x" + "71" * 36)


def config(site: int, directory: Path) -> str:
    """IPv4 through AES-CBC in IPv4, IPv6 through AES-GCM in UDP in IPv6; each side mirrors the other."""
    other = 3 - site
    here6, there6 = (OUTER6_A, OUTER6_B) if site == 1 else (OUTER6_B, OUTER6_A)
    key_in, key_out = KEYS if site == 1 else reversed(KEYS)
    return f"""
sas {{
  four {{
    spi = 0x4000
    local_addrs = {outer(site)}
    remote_addrs = {outer(other)}
    {CBC}
    local_ts = 10.{site}.0.0/24
    remote_ts = 10.{other}.0.0/24
  }}
  six {{
    spi = 0x6000
    local_addrs = {here6}
    remote_addrs = {there6}
    encap = udp
    proposal = aes256gcm16-esn
    encryption_key_in = {key_in}
    encryption_key_out = {key_out}
    replay_window = 128
    local_ts = 2001:db8:{site}::/64
    remote_ts = 2001:db8:{other}::/64
  }}
}}
daemon {{
  sequence_file = {directory}/sequences-{site}
}}
"""


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    with two_sites() as made:
        yield made


@contextmanager
def pair(sites: Sites, directory: Path) -> Iterator[tuple[Perilune, Perilune]]:
    a = Perilune(sites.gateway_a, directory / "a", config(1, directory))
    b = Perilune(sites.gateway_b, directory / "b", config(2, directory))
    try:
        with a, b:
            yield a, b
    finally:
        for log in sorted(directory.glob("[ab]/log")):
            print(f"--- {log.parent.name}\n{log.read_text()[-8000:]}")  # noqa: T201 - shown if it fails


def until_both_pass(sites: Sites) -> None:
    for target in (host(2), host6(2)):
        until(
            lambda target=target: ping(sites.host_a, target, count=1, wait_s=1) == 1,
            PATIENCE_S,
            f"a way to {target}",
        )


def sas(daemon: Perilune, *words: str) -> list[dict[str, str]]:
    done = daemon.command("sa", "show", "--json", *words)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, str]] = json.loads(done.stdout)
    return found


def sequence(daemon: Perilune, name: str) -> int:
    return max(int(one["sequence"]) for one in sas(daemon, name) if one["direction"] == "outbound")


# covers R4301-3.2-3
# covers R4301-4.5-1
def test_hosts_of_both_families_reach_each_other(sites: Sites, tmp_path: Path) -> None:
    with pair(sites, tmp_path) as (a, b):
        until_both_pass(sites)
        assert ping(sites.host_b, host(1), count=2) == 2
        assert ping(sites.host_b, host6(1), count=2) == 2
        for daemon in (a, b):
            carried = {(one["policy"], one["direction"]): int(one["packets"]) for one in sas(daemon)}
            assert len(carried) == 4
            assert min(carried.values()) >= 2
        forms = {one["policy"]: (one["protocol"], one["mode"], one["encap"]) for one in sas(a)}
        assert forms == {"sas/four": ("ESP", "tunnel", "none"), "sas/six": ("ESP", "tunnel", "udp")}


# covers R4303-3.3.3-2
def test_a_killed_daemon_goes_on_behind_its_numbers(sites: Sites, tmp_path: Path) -> None:
    with pair(sites, tmp_path) as (a, b):
        until_both_pass(sites)
        before = sequence(a, "six")
        a.kill()
        a.start()
        until_both_pass(sites)
        assert sequence(a, "six") > before
        received = [one for one in sas(b, "six") if one["direction"] == "inbound"]
        assert int(received[0]["sequence"]) > before


def test_sas_come_and_go_while_others_carry_on(sites: Sites, tmp_path: Path) -> None:
    with pair(sites, tmp_path) as (a, _):
        until_both_pass(sites)
        count = sequence(a, "six")
        text = a.config_path.read_text()
        a.config_path.write_text(text.replace("  four {", "  vier {"))
        os.kill(a.child.pid, signal.SIGHUP)
        until(lambda: {one["policy"] for one in sas(a)} == {"sas/vier", "sas/six"}, PATIENCE_S, "a reload")
        assert sequence(a, "six") >= count
        until_both_pass(sites)

        assert a.command("sa", "del", "vier").returncode == 0
        assert ping(sites.host_a, host(2), count=1, wait_s=1) == 0
        values = text.split("four {")[1].split("}")[0].split("\n")
        settings = [line.strip().replace(" = ", "=") for line in values if "=" in line]
        done = a.command("sa", "add", "again", *settings)
        assert (done.returncode, done.stdout) == (0, "again is added\n"), done.stderr
        until_both_pass(sites)
        assert a.command("sa", "add", "again", *settings).returncode == 1
