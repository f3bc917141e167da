"""Each side asks the other for a cookie before it does any work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.topology import host, outer, two_sites
from lab.traffic import ping, program

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with two_sites() as sites:
        ours = bench.ours(sites.gateway_a, HERE / "perilune.conf")
        theirs = bench.theirs(
            sites.gateway_b, HERE / "swanctl.conf", settings="cookie_threshold = 1\ncookie_threshold_ip = 1"
        )
        with bench.gateways(sites, ours, theirs) as gateways:
            yield gateways


@pytest.mark.interop
def test_they_demand(gateways: Gateways) -> None:
    """It is under attack and demands a cookie from us."""
    sites = gateways.sites
    gateways.ours.terminate_if_there("site")
    sites.gateway_a.run(*program("half_open", outer(2), "3"))
    before = len(gateways.theirs.log())
    gateways.ours.initiate("net")
    assert "sending COOKIE" in gateways.theirs.log()[before:] or "N(COOKIE)" in gateways.theirs.log()[before:]
    assert ping(sites.host_a, host(2)) == 3
    gateways.ours.terminate("site")


@pytest.mark.interop
def test_we_demand(gateways: Gateways, bench: Bench) -> None:
    """We are under attack and demand a cookie from it."""
    if bench.peer_alone:
        pytest.skip("strongSwan cannot be told to demand cookies of everyone")
    sites = gateways.sites
    gateways.ours.terminate_if_there("site")
    before = len(gateways.theirs.log())
    gateways.theirs.initiate("net")
    assert "N(COOKIE)" in gateways.theirs.log()[before:]
    assert ping(sites.host_a, host(2)) == 3
    gateways.theirs.terminate("site")
