"""IKE messages longer than a packet may be (RFC 7383): a proposal list that fills three fragments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.topology import host, two_sites
from lab.traffic import ping

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with two_sites() as sites:
        ours = bench.ours(sites.gateway_a, HERE / "perilune.conf")
        theirs = bench.theirs(sites.gateway_b, HERE / "swanctl.conf")
        with bench.gateways(sites, ours, theirs) as gateways:
            yield gateways


@pytest.mark.interop
@pytest.mark.parametrize("initiator", ["ours", "theirs"])
def test_long_messages(gateways: Gateways, initiator: str) -> None:
    """IKE_AUTH and CREATE_CHILD_SA come in fragments."""
    before = len(gateways.theirs.log())
    daemon = gateways.by_name(initiator)
    daemon.initiate("net")
    assert ping(gateways.sites.host_a, host(2)) == 3
    daemon.rekey_child("net")
    assert ping(gateways.sites.host_a, host(2)) == 3
    text = gateways.theirs.log()[before:]
    assert ("EF(1/" if initiator == "theirs" else "received fragment #1") in text
    daemon.terminate("site")
