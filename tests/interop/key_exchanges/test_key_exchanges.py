"""Each key exchange method, for the IKE SA and again for the rekeyed Child SA."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.process import PATIENCE_S, until
from lab.topology import host, two_sites
from lab.traffic import ping

HERE = Path(__file__).parent
METHODS = ["x25519", "x448", "ecp256", "ecp384", "ecp521"]
METHODS += ["modp2048", "modp3072", "modp4096", "modp6144", "modp8192"]
CONNECTIONS = [*METHODS, "second-guess", "their-second-guess"]


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with two_sites(networks=len(CONNECTIONS)) as sites:
        ours = bench.ours(sites.gateway_a, HERE / "perilune.conf")
        theirs = bench.theirs(sites.gateway_b, HERE / "swanctl.conf")
        with bench.gateways(sites, ours, theirs) as gateways:
            yield gateways


@pytest.mark.interop
@pytest.mark.parametrize("initiator", ["ours", "theirs"])
@pytest.mark.parametrize("method", METHODS)
def test_method(gateways: Gateways, method: str, initiator: str) -> None:
    """Key exchange for the IKE SA, then for a rekeyed child."""
    first, target = gateways.by_name(initiator), host(2, CONNECTIONS.index(method))
    first.initiate(method)
    spi = first.wait_for_child(method).fields["spi-in"]
    assert ping(gateways.sites.host_a, target) == 3
    first.rekey_child(method)
    until(lambda: first.wait_for_child(method).fields["spi-in"] != spi, PATIENCE_S, "another SPI")
    assert ping(gateways.sites.host_a, target) == 3
    first.terminate(method)


@pytest.mark.interop
@pytest.mark.parametrize(
    ("connection", "initiator"), [("second-guess", "ours"), ("their-second-guess", "theirs")]
)
def test_retry(gateways: Gateways, connection: str, initiator: str) -> None:
    """INVALID_KE_PAYLOAD: the initiator's first guess is not the responder's method."""
    first, second = gateways.by_name(initiator), gateways.other(initiator)
    first.initiate(connection)
    assert ping(gateways.sites.host_a, host(2, CONNECTIONS.index(connection))) == 3
    assert [sa.fields["dh-group"] for sa in second.ike_sas(connection)] == ["ECP_384"]
    first.terminate(connection)
