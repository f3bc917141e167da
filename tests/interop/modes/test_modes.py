"""Every mode between us and strongSwan on a Linux kernel, each side beginning."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.packet import Raw

from lab.strongswan import require_strongswan
from lab.uml import require_uml, user_mode_linux
from support.kernel_ike import OUR_HOST, OURS, THEIR_HOST, THEIRS, KernelIke
from support.kernel_peer import transport
from support.peers import absent, need

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

HERE = Path(__file__).parent
CASES = {
    "transport": "TRANSPORT, ESP:AES_GCM_16-256",
    "encapsulated": "TRANSPORT-in-UDP, ESP:AES_GCM_16-256",
    "authentic-ends": "TRANSPORT, AH:HMAC_SHA2_256_128/ESN",
    "authentic": "TUNNEL, AH:HMAC_SHA2_256_128",
    "bound": "BEET, ESP:AES_GCM_16-256",
    "packed": "TUNNEL, ESP:AES_GCM_16-256",
    "padded": "TUNNEL, ESP:AES_GCM_16-256",
}
AT_ENDS = {"transport", "encapsulated", "authentic-ends"}


@pytest.fixture(scope="session", autouse=True)
def peer_is_there() -> None:
    """Ask for what these cases need."""
    if os.geteuid() != 0:
        absent("User-Mode Linux in a PID namespace wants root")
    need(require_uml)
    need(require_strongswan)


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelIke]:
    theirs, ours = ((HERE / name).read_text() for name in ("swanctl.conf", "perilune.conf"))
    with user_mode_linux(tmp_path_factory.mktemp("uml")) as kernel:
        ends = KernelIke(kernel, tmp_path_factory.mktemp("strongswan"), theirs, ours)
        try:
            yield ends
        finally:
            print("\n".join([*map(str, ends.events), ends.run("tail -n 300 /run/charon.log")]))  # noqa: T201 - shown if it fails


@pytest.mark.parametrize("who", ["ours", "theirs"])
@pytest.mark.parametrize("name", CASES)
def test_mode(ends: KernelIke, name: str, who: str) -> None:
    """Listed alike, pings both ways; then rekeyed by the other."""
    try:
        if who == "ours":
            ends.initiate(name)
        else:
            ends.swanctl("--initiate", "--child", name)
        check_carried(ends, name)
        (old,) = ends.children
        if who == "ours":
            ends.swanctl("--rekey", "--child", name)
        else:
            ends.rekey_child(name)
        ends.wait_until(lambda: old.name not in [child.name for child in ends.children], "a successor")
        check_carried(ends, name)
    finally:
        ends.terminate(name)


def check_carried(ends: KernelIke, name: str) -> None:
    assert f"INSTALLED, {CASES[name]}\n" in ends.swanctl("--list-sas")
    (child,) = ends.children
    assert CASES[name].startswith(child.mode.name)
    assert f", {child.protocol.name}:" in CASES[name]
    assert (child.cpi_in is not None) == (name == "packed")
    here, there = (str(OURS), str(THEIRS)) if name in AT_ENDS else (OUR_HOST, THEIR_HOST)
    request = IP(src=here, dst=there) / ICMP(id=7) / Raw(b"again and " * 40)
    answer = ends.answer_to(request)
    assert transport(answer)[4:] == transport(request)[4:]
    ends.run(f"ping -q -c 2 -i 0.01 -s 400 -W 60 -I {there} {here}")
