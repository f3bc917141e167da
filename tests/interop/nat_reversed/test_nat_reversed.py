"""The peer is behind a NAT."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.process import until
from lab.topology import NAT_OUTSIDE, forget_mappings, host, two_sites_with_nat
from lab.traffic import ping, transfer

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with two_sites_with_nat() as sites:
        theirs = bench.theirs(sites.gateway_a, HERE / "swanctl.conf")
        ours = bench.ours(sites.gateway_b, HERE / "perilune.conf")
        with bench.gateways(sites, ours, theirs) as gateways:
            theirs.initiate("net")
            yield gateways


@pytest.mark.interop
def test_transfer(gateways: Gateways) -> None:
    """The peer comes from behind a masquerade: ping, 20 MB each way."""
    assert ping(gateways.sites.host_a, host(2)) == 3
    assert ping(gateways.sites.host_b, host(1)) == 3
    transfer(gateways.sites.host_b, host(1), megabytes=20)
    assert {sa.fields["remote-host"] for sa in gateways.ours.ike_sas("site")} == {NAT_OUTSIDE}


@pytest.mark.interop
@pytest.mark.parametrize("ports", ["20000-20099", "30000-30099"])
def test_mapping_changes(
    gateways: Gateways, ports: str, record_property: Callable[[str, object], None]
) -> None:
    """The NAT maps the peer to another port: we follow its authenticated packets."""
    router = gateways.sites.router
    assert router is not None
    forget_mappings(router, f":{ports}")
    start = time.monotonic()
    until(lambda: ping(gateways.sites.host_a, host(2), count=1, wait_s=0.5), 20.0, "an answer")
    record_property("back after s", round(time.monotonic() - start, 1))
    assert ping(gateways.sites.host_b, host(1)) == 3
