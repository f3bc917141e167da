"""We are behind a NAT."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways, move_mapping, through_a_nat
from lab.capture import tap
from lab.topology import NAT_OUTSIDE, host
from lab.traffic import ping, transfer

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with through_a_nat(bench, HERE, behind="ours") as gateways:
        yield gateways


@pytest.mark.interop
def test_transfer(gateways: Gateways) -> None:
    """A masquerade between: ping, 100 MB each way with equal SHA-256."""
    assert ping(gateways.sites.host_a, host(2)) == 3
    assert ping(gateways.sites.host_b, host(1)) == 3
    transfer(gateways.sites.host_a, host(2), megabytes=100)
    assert {sa.fields["remote-host"] for sa in gateways.theirs.ike_sas("site")} == {NAT_OUTSIDE}
    assert gateways.theirs.wait_for_child("net").fields["encap"] == "yes"


@pytest.mark.interop
def test_keepalives(gateways: Gateways) -> None:
    """A silent tunnel sends NAT keepalives."""
    log = gateways.logs / "keepalives.log"
    with tap(gateways.sites.gateway_b, "wire", log) as listening:
        listening.wait_for("NAT keepalive")


@pytest.mark.interop
@pytest.mark.parametrize("ports", ["20000-20099", "30000-30099"])
def test_mapping_changes(
    gateways: Gateways, ports: str, record_property: Callable[[str, object], None]
) -> None:
    """The NAT forgets and maps us to another port: traffic goes on."""
    record_property("back after s", move_mapping(gateways, ports))
    transfer(gateways.sites.host_a, host(2), megabytes=5)
