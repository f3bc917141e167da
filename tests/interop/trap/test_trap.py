"""Traffic that comes before its tunnel sets the tunnel up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.topology import host, two_sites
from lab.traffic import datagrams

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    if bench.peer_alone:
        pytest.skip("strongSwan's user-space ESP holds no packets and triggers nothing")
    with two_sites(networks=2) as sites:
        ours = bench.ours(sites.gateway_a, HERE / "perilune.conf")
        theirs = bench.theirs(sites.gateway_b, HERE / "swanctl.conf")
        with bench.gateways(sites, ours, theirs) as gateways:
            yield gateways


@pytest.mark.interop
def test_ours(gateways: Gateways, record_property: Callable[[str, object], None]) -> None:
    """Our trap: the first datagrams are held, not lost, until the SA is up."""
    gateways.ours.terminate_if_there("ours")
    echoed = datagrams(gateways.sites.host_a, host(2), count=20, interval_ms=1.0)
    record_property("lost", f"{echoed.lost} of {echoed.sent}")
    assert echoed.lost == 0
    gateways.ours.wait_for_child("ours")


@pytest.mark.interop
def test_again_after_deletion(gateways: Gateways) -> None:
    """Our trap is there again when it deletes the SA."""
    assert datagrams(gateways.sites.host_a, host(2), count=3).lost == 0
    gateways.theirs.terminate("ours")
    assert datagrams(gateways.sites.host_a, host(2), count=3).lost == 0
