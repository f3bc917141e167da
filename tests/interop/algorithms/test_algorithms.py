"""Every algorithm that both sides have, beyond the everyday suites: a child of each, begun by either side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.process import PATIENCE_S, until
from lab.topology import host, two_sites
from lab.traffic import ping

HERE = Path(__file__).parent
ESP = {
    "aes128ctr-sha256": ("AES_CTR", "128", "HMAC_SHA2_256_128"),
    "aes128ccm8": ("AES_CCM_8", "128", None),
    "aes256ccm12": ("AES_CCM_12", "256", None),
    "aes256ccm16": ("AES_CCM_16", "256", None),
    "aes128gcm8": ("AES_GCM_8", "128", None),
    "aes256gcm12": ("AES_GCM_12", "256", None),
    "camellia128-sha1": ("CAMELLIA_CBC", "128", "HMAC_SHA1_96"),
    "camellia256-sha256": ("CAMELLIA_CBC", "256", "HMAC_SHA2_256_128"),
    "aes128-sha1": ("AES_CBC", "128", "HMAC_SHA1_96"),
    "aes128-aesxcbc": ("AES_CBC", "128", "AES_XCBC_96"),
    "aes128-aescmac": ("AES_CBC", "128", "AES_CMAC_96"),
    "null-sha256": ("NULL", None, "HMAC_SHA2_256_128"),
    "3des-md5": ("3DES_CBC", None, "HMAC_MD5_96"),
    "blowfish128-sha1": ("BLOWFISH_CBC", "128", "HMAC_SHA1_96"),
    "cast128-sha1": ("CAST_CBC", "128", "HMAC_SHA1_96"),
    "des-sha1": ("DES_CBC", None, "HMAC_SHA1_96"),
}
"""What both sides call encryption, key length and integrity of each child."""

IKE = (
    "aes128ctr-sha256-x25519",
    "aes256ccm16-prfsha384-x25519",
    "aes128gcm12-prfsha256-x25519",
    "camellia256-aesxcbc-x25519",
    "aes128-aescmac-x25519",
    "aes128-sha1-modp2048",
    "3des-sha1-modp2048",
)
NETWORKS = (*ESP, *IKE)
each_side = pytest.mark.parametrize("initiator", ["ours", "theirs"])


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with two_sites(networks=len(NETWORKS)) as sites:
        ours = bench.ours(sites.gateway_a, HERE / "perilune.conf")
        theirs = bench.theirs(sites.gateway_b, HERE / "swanctl.conf")
        with bench.gateways(sites, ours, theirs) as gateways:
            yield gateways


def ended(gateways: Gateways, connection: str) -> None:
    for daemon in (gateways.ours, gateways.theirs):
        until(lambda daemon=daemon: not daemon.ike_sas(connection), PATIENCE_S, f"{connection} to end")


def carries(gateways: Gateways, child: str) -> None:
    sites, network = gateways.sites, NETWORKS.index(child)
    assert ping(sites.host_a, host(2, network)) == 3
    assert ping(sites.host_b, host(1, network)) == 3


@pytest.mark.interop
@each_side
@pytest.mark.parametrize("child", ESP)
def test_esp(gateways: Gateways, child: str, initiator: str) -> None:
    """ESP: ping both ways."""
    gateways.by_name(initiator).initiate(child)
    for daemon in (gateways.ours, gateways.theirs):
        fields = daemon.wait_for_child(child).fields
        assert tuple(fields.get(name) for name in ("encr-alg", "encr-keysize", "integ-alg")) == ESP[child]
    carries(gateways, child)
    gateways.by_name(initiator).terminate("esp")
    ended(gateways, "esp")


def rekey_ike(gateways: Gateways, connection: str, initiator: str) -> None:
    first, second = gateways.by_name(initiator), gateways.other(initiator)
    before = {sa.spis for sa in first.ike_sas(connection)}
    first.rekey_ike(connection)

    def replaced() -> bool:
        now = {sa.spis for sa in first.ike_sas(connection)}
        same = now == {sa.spis for sa in second.ike_sas(connection)}
        return len(now) == 1 and now.isdisjoint(before) and same

    until(replaced, PATIENCE_S, "the IKE SA to be replaced")


def rekey_child(gateways: Gateways, child: str, initiator: str) -> None:
    first, second = gateways.by_name(initiator), gateways.other(initiator)
    before = first.wait_for_child(child).fields["spi-in"]
    first.rekey_child(child)

    def replaced() -> bool:
        new, theirs = first.wait_for_child(child).fields, second.wait_for_child(child).fields
        return new["spi-in"] != before and new["spi-in"] == theirs["spi-out"]

    until(replaced, PATIENCE_S, "the child to be replaced")


@pytest.mark.interop
@each_side
@pytest.mark.parametrize("connection", IKE)
def test_ike(gateways: Gateways, connection: str, initiator: str) -> None:
    """IKE: set up, both SAs rekeyed, ping both ways."""
    gateways.by_name(initiator).initiate(connection)
    gateways.other(initiator).wait_for_child(connection)
    carries(gateways, connection)
    rekey_ike(gateways, connection, initiator)
    rekey_child(gateways, connection, initiator)
    carries(gateways, connection)
    gateways.by_name(initiator).terminate(connection)
    ended(gateways, connection)
