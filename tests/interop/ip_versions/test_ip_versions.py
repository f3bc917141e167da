"""IPv4 and IPv6, inside and outside, in every combination."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.topology import host, host6, two_sites
from lab.traffic import ping, transfer

HERE = Path(__file__).parent
CASES = {
    "six": [host6(2, 0)],
    "four-in-six": [host(2, 0)],
    "six-in-four": [host6(2, 1)],
    "mixed": [host(2, 2), host6(2, 2)],
}


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with two_sites(networks=3) as sites:
        ours = bench.ours(sites.gateway_a, HERE / "perilune.conf")
        theirs = bench.theirs(sites.gateway_b, HERE / "swanctl.conf")
        with bench.gateways(sites, ours, theirs) as gateways:
            yield gateways


@pytest.mark.interop
@pytest.mark.parametrize("child", CASES)
def test_versions(gateways: Gateways, child: str) -> None:
    """Inner and outer versions: ping, 10 MB each way."""
    gateways.ours.initiate(child)
    for target in CASES[child]:
        assert ping(gateways.sites.host_a, target) == 3
        transfer(gateways.sites.host_a, target, megabytes=10)
