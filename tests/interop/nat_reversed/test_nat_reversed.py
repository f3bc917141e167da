"""The peer is behind a NAT."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways, move_mapping, through_a_nat
from lab.topology import NAT_OUTSIDE, host
from lab.traffic import ping, transfer

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with through_a_nat(bench, HERE, behind="theirs") as gateways:
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
    record_property("back after s", move_mapping(gateways, ports))
    assert ping(gateways.sites.host_b, host(1)) == 3
