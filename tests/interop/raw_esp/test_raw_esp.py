"""ESP as IP protocol 50, between two of ours: strongSwan's user-space ESP is always in UDP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.capture import tap
from lab.perilune import Perilune
from lab.topology import host, two_sites
from lab.traffic import ping, transfer

HERE = Path(__file__).parent
CASES = {"raw": ("ESP", 0), "encapsulated": ("ESP in UDP", 1), "raw-six": ("ESP", 2), "raw-cbc": ("ESP", 3)}


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    if bench.peer_alone:
        pytest.skip("strongSwan's user-space ESP is always in UDP")
    with two_sites(networks=4, leaky=True) as sites:
        ours = bench.ours(sites.gateway_a, HERE / "gateway-a.conf")
        other = Perilune(sites.gateway_b, bench.directory / "other", (HERE / "gateway-b.conf").read_text())
        with bench.gateways(sites, ours, other) as gateways:
            yield gateways


@pytest.mark.interop
@pytest.mark.parametrize("child", CASES)
def test_on_the_wire(gateways: Gateways, child: str) -> None:
    """What the wire carries; 20 MB each way."""
    kind, network = CASES[child]
    gateways.ours.initiate(child)
    log = gateways.logs / f"{child}.log"
    with tap(gateways.sites.gateway_a, "wire", log) as listening:
        assert ping(gateways.sites.host_a, host(2, network)) == 3
        heard = listening.finish()
    assert heard.packets[kind] == 6
    assert heard.packets.get("ICMP", 0) == 0
    transfer(gateways.sites.host_a, host(2, network), megabytes=20)
