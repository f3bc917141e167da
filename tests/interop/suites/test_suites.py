"""Each encryption suite, set up by either side, with 200 MB through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.topology import host, two_sites
from lab.traffic import ping, transfer

HERE = Path(__file__).parent
SUITES = [
    "aes128gcm16",
    "aes256gcm16",
    "chacha20poly1305",
    "aes128-sha256",
    "aes256-sha384",
    "aes256-sha512",
]
NAMES = {
    "aes128gcm16": ("AES_GCM_16", "128", None),
    "aes256gcm16": ("AES_GCM_16", "256", None),
    "chacha20poly1305": ("CHACHA20_POLY1305", None, None),
    "aes128-sha256": ("AES_CBC", "128", "HMAC_SHA2_256_128"),
    "aes256-sha384": ("AES_CBC", "256", "HMAC_SHA2_384_192"),
    "aes256-sha512": ("AES_CBC", "256", "HMAC_SHA2_512_256"),
}


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with two_sites(networks=len(SUITES)) as sites:
        ours = bench.ours(sites.gateway_a, HERE / "perilune.conf")
        theirs = bench.theirs(sites.gateway_b, HERE / "swanctl.conf")
        with bench.gateways(sites, ours, theirs) as gateways:
            yield gateways


def negotiated(gateways: Gateways, suite: str) -> None:
    encryption, key_bits, integrity = NAMES[suite]
    for daemon in (gateways.ours, gateways.theirs):
        fields = daemon.wait_for_child(suite).fields
        assert fields["encr-alg"] == encryption
        assert fields.get("encr-keysize") in (key_bits, None if key_bits is None else key_bits)
        assert fields.get("integ-alg") == integrity


@pytest.mark.interop
@pytest.mark.parametrize("suite", SUITES)
def test_we_initiate(gateways: Gateways, suite: str, record_property: Callable[[str, object], None]) -> None:
    """We initiate: ping, 100 MB each way with equal SHA-256."""
    sites, network = gateways.sites, SUITES.index(suite)
    gateways.ours.initiate(suite)
    negotiated(gateways, suite)
    assert ping(sites.host_a, host(2, network)) == 3
    assert ping(sites.host_b, host(1, network)) == 3
    moved = transfer(sites.host_a, host(2, network), megabytes=100)
    record_property("Mbit/s", round(moved.megabit_per_s))
    gateways.ours.terminate(suite)
    assert gateways.theirs.ike_sas(suite) == []


@pytest.mark.interop
@pytest.mark.parametrize("suite", SUITES)
def test_they_initiate(gateways: Gateways, suite: str) -> None:
    """It initiates: ping, 5 MB each way with equal SHA-256."""
    sites, network = gateways.sites, SUITES.index(suite)
    gateways.theirs.initiate(suite)
    negotiated(gateways, suite)
    assert ping(sites.host_b, host(1, network)) == 3
    transfer(sites.host_b, host(1, network), megabytes=5)
    gateways.theirs.terminate(suite)
    assert gateways.ours.ike_sas(suite) == []
