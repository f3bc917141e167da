"""A peer that dies without a word and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.conftest import IMPATIENT, Bench, Gateways
from lab.process import PATIENCE_S, until
from lab.topology import host, two_sites
from lab.traffic import ping

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with two_sites() as sites:
        ours = bench.ours(sites.gateway_a, HERE / "perilune.conf")
        theirs = bench.theirs(sites.gateway_b, HERE / "swanctl.conf", settings=IMPATIENT)
        with bench.gateways(sites, ours, theirs) as gateways:
            yield gateways


def ping_comes_back(gateways: Gateways) -> float:
    """Seconds until the tunnel works again."""
    start = time.monotonic()
    until(
        lambda: ping(gateways.sites.host_a, host(2), count=1, wait_s=0.5),
        PATIENCE_S,
        "an answer through the tunnel",
    )
    return round(time.monotonic() - start, 1)


@pytest.mark.interop
def test_peer_restarts(gateways: Gateways, record_property: Callable[[str, object], None]) -> None:
    """It is killed and started again: we notice, and the tunnel comes back by itself."""
    gateways.ours.wait_for_child("net")
    assert ping(gateways.sites.host_a, host(2)) == 3
    gateways.theirs.kill()
    gateways.theirs.start()
    record_property("back after s", ping_comes_back(gateways))


@pytest.mark.interop
def test_peer_is_gone_for_a_while(gateways: Gateways, record_property: Callable[[str, object], None]) -> None:
    """It is killed and stays away until we gave it up: the tunnel comes back when it does."""
    gateways.ours.wait_for_child("net")
    ping_comes_back(gateways)
    before = {sa.spis for sa in gateways.ours.ike_sas("site") if sa.state == "ESTABLISHED"}
    gateways.theirs.kill()

    def given_up() -> bool:
        now = {sa.spis for sa in gateways.ours.ike_sas("site") if sa.state == "ESTABLISHED"}
        return now.isdisjoint(before)

    until(given_up, PATIENCE_S, "us to give the peer up")
    gateways.theirs.start()
    record_property("back after s", ping_comes_back(gateways))


@pytest.mark.interop
def test_we_restart(gateways: Gateways, record_property: Callable[[str, object], None]) -> None:
    """We are killed and started again: the tunnel comes back by itself."""
    gateways.ours.wait_for_child("net")
    gateways.ours.kill()
    gateways.ours.start()
    record_property("back after s", ping_comes_back(gateways))
    until(lambda: len(gateways.theirs.ike_sas("site")) == 1, PATIENCE_S, "it to forget our former self")
