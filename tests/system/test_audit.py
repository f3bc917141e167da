"""The audit log of a daemon that carries traffic, is attacked, and is killed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.namespace import Namespace
from lab.perilune import Perilune
from lab.process import until
from lab.topology import Sites, host, outer, two_sites
from lab.traffic import ping
from perilune.cli.exit_codes import ExitCode
from support.clear_words import config

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces want root"),
    pytest.mark.timeout(600),
]

REPLAY = """
import socket, sys
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 50)
for _ in range(40):
    raw.sendto(bytes.fromhex(sys.argv[2]), (sys.argv[1], 0))
"""


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    with two_sites() as made:
        yield made


@contextmanager
def daemons(sites: Sites, directory: Path, phrase_b: str = "twelve moons") -> Iterator[Perilune]:
    """Both daemons; the one that audits is site a's."""
    b = Perilune(sites.gateway_b, directory / "b", config(2, "trap", phrase=phrase_b))
    audit = f"audit_log = {directory / 'audit.log'}"
    a = Perilune(sites.gateway_a, directory / "a", config(1, "trap", daemon=audit))
    with b, a:
        yield a


def records(directory: Path, event: str) -> list[dict[str, Any]]:
    lines = (directory / "audit.log").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["event"] == event]


def wait_for(directory: Path, event: str, **fields: object) -> dict[str, Any]:
    def find() -> dict[str, Any] | None:
        found = records(directory, event)
        return next((one for one in found if fields.items() <= one.items()), None)

    return until(find, 60.0, f"the record {event} {fields}")


def send_esp(namespace: Namespace, esp: bytes) -> None:
    """Send an ESP packet to site a again and again."""
    namespace.run("python3", "-c", REPLAY, outer(1), esp.hex(), timeout_s=60)


# covers R4303-4-1
# covers R4303-3.4.2-1
def test_tunnel_and_attack_are_found_again(sites: Sites, tmp_path: Path) -> None:
    with daemons(sites, tmp_path) as a:
        assert until(lambda: ping(sites.host_a, host(2), count=1) == 1, 60.0, "the tunnel")
        for direction in ("inbound", "outbound"):
            wait_for(tmp_path, "sa_added", direction=direction, policy="gw/net", suite="AES_GCM_16-256")
        assert wait_for(tmp_path, "ike_sa_up")["remote_id"] == "site-2"

        send_esp(sites.gateway_b, bytes.fromhex("deadbeef 00000007") + bytes(64))
        dropped = wait_for(tmp_path, "packet_dropped", reason="unknown_spi")
        assert (dropped["spi"], dropped["sequence"]) == ("0xdeadbeef", 7)
        assert (dropped["source"], dropped["destination"]) == (outer(2), outer(1))

        def all_counted() -> bool:
            listed = [one for one in records(tmp_path, "packet_dropped") if one["reason"] == "unknown_spi"]
            more = [one for one in records(tmp_path, "suppressed") if one.get("reason") == "unknown_spi"]
            return len(listed) + sum(one["count"] for one in more) == 40

        until(all_counted, 60.0, "every packet to be counted")

        done = a.command("audit", "verify", timeout_s=120.0)
        assert done.returncode == ExitCode.DONE, done.stderr
        assert a.stop() == 0
    wait_for(tmp_path, "sa_removed", direction="inbound")
    wait_for(tmp_path, "log_stopped")


def test_failed_authentication_is_written_down(sites: Sites, tmp_path: Path) -> None:
    with daemons(sites, tmp_path, phrase_b="thirteen moons") as a:
        a.command("initiate", "--child", "net", "--timeout", "30", timeout_s=120.0)
        failed = wait_for(tmp_path, "authentication_failed")
        assert failed["remote"].startswith(outer(2))
        assert failed["by_peer"] is True
        assert "moons" not in (tmp_path / "audit.log").read_text()


def test_chain_outlives_a_crash_and_shows_what_was_cut(sites: Sites, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    with daemons(sites, tmp_path) as a:
        wait_for(tmp_path, "policy_added", policy="gw/net")
        a.kill()
        a.start()
        until(lambda: len(records(tmp_path, "log_started")) == 2, 60.0, "the second start")
        assert a.command("audit", "verify", timeout_s=120.0).returncode == ExitCode.DONE

        log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
        cut = a.command("audit", "verify", timeout_s=120.0)
        assert cut.returncode == ExitCode.NOT_WHOLE
        assert "truncated" in cut.stderr
