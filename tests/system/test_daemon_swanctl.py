"""Debian's own swanctl against our control socket."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from perilune.agent.node import ChosenSas
from perilune.agent.vici.operations import Operations
from support.nodes import ExampleNode, serving

SWANCTL = shutil.which("swanctl") or shutil.which("swanctl", path="/usr/sbin")

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(SWANCTL is None, reason="Debian's package strongswan-swanctl is not installed"),
]


class Desk:
    """A node with swanctl in front of it."""

    def __init__(self, node: ExampleNode, operations: Operations, path: Path) -> None:
        self.node = node
        self.operations = operations
        self._path = path

    def swanctl(self, *words: str) -> tuple[int, str]:
        """Return swanctl's exit code and everything it printed."""
        done = subprocess.run(
            [SWANCTL or "", *words, "--uri", f"unix://{self._path}"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    node = ExampleNode()
    with serving(node, tmp_path / "vici") as operations:
        yield Desk(node, operations, tmp_path / "vici")


def test_list_sas(desk: Desk) -> None:
    code, text = desk.swanctl("--list-sas")
    assert code == 0
    for line in (
        "gw: #1, ESTABLISHED, IKEv2, 5ad1c0de11223344_i* 08c2fee155667788_r",
        "  local  'moon' @ 192.0.2.1[4500]",
        "  remote 'sun' @ 192.0.2.2[4500]",
        "  AES_CBC-256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/CURVE_25519",
        "  established 90s ago, rekeying in 13000s",
        "  net: #2, reqid 7, INSTALLED, TUNNEL-in-UDP, ESP:AES_GCM_16-256",
        "    installed 60s ago, rekeying in 3540s, expires in 3900s",
        "    in  c0ffee01, 4200000 bytes,  4200 packets,     1s ago",
        "    local  10.1.0.0/16",
    ):
        assert line in text.splitlines()


def test_list_conns(desk: Desk) -> None:
    code, text = desk.swanctl("--list-conns")
    assert code == 0
    for line in (
        "gw: IKEv2, no reauthentication, rekeying every 14400s",
        "  remote: 192.0.2.2",
        "  local pre-shared key authentication:",
        "    id: moon",
        "  net: TUNNEL, rekeying every 3600s",
        "    remote: 10.2.0.0/16",
        "  any: TUNNEL, rekeying every 3600s",
        "    remote: dynamic",
    ):
        assert line in text.splitlines()


def test_stats_policies_and_version(desk: Desk) -> None:
    code, text = desk.swanctl("--stats")
    assert code == 0
    assert "uptime: 3700 seconds, since Nov 21 04:00:00 2026" in text
    assert "IKE_SAs: 1 total, 0 half-open" in text
    assert "gw/net, TUNNEL" in desk.swanctl("--list-pols")[1]
    assert "0.1.0 perilune (Linux" in desk.swanctl("--version", "--daemon")[1]


def test_rekey(desk: Desk) -> None:
    code, text = desk.swanctl("--rekey", "--child", "net")
    assert (code, "rekey completed successfully" in text) == (0, True)
    assert desk.node.done == [("rekey", ChosenSas(child="net"))]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--initiate", "--child", "nte"), "there is no child 'nte' in the configuration"),
        (("--terminate", "--ike", "road"), "there is no such SA now"),
        (("--initiate", "--child", "net", "--timeout", "1"), "was not done in time"),
    ],
)
def test_what_cannot_be_done_is_said(desk: Desk, words: tuple[str, ...], reason: str) -> None:
    desk.node.cannot = "the set-up was not done in time"
    code, text = desk.swanctl(*words)
    assert code != 0
    assert reason in text


def test_reload(desk: Desk) -> None:
    code, text = desk.swanctl("--reload-settings")
    assert (code, desk.node.done) == (0, [("reload",)]), text


def test_command_that_we_do_not_have_is_said(desk: Desk) -> None:
    code, text = desk.swanctl("--list-pools")
    assert code != 0
    assert "get-pools" in text
