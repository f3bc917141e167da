"""A peer without additional key exchanges, and our default proposals, which begin with one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.process import PATIENCE_S, until
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
def test_fallback(gateways: Gateways, initiator: str) -> None:
    """The default proposals fall back to one key exchange, and again when the IKE SA is rekeyed."""
    first, second = gateways.by_name(initiator), gateways.other(initiator)
    first.initiate("hybrid")
    (sa,) = first.ike_sas("hybrid")
    assert sa.fields["dh-group"] == "CURVE_25519"
    assert "ke1" not in sa.fields
    assert ping(gateways.sites.host_a, host(2)) == 3
    gateways.ours.rekey_ike("hybrid")

    def replaced() -> bool:
        now = [ike.spis for ike in first.ike_sas("hybrid")]
        return len(now) == 1 and now != [sa.spis] and now == [ike.spis for ike in second.ike_sas("hybrid")]

    until(replaced, PATIENCE_S, "another IKE SA")
    assert ping(gateways.sites.host_a, host(2)) == 3
    gateways.ours.terminate("hybrid")
