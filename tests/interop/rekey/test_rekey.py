"""Rekeying by either side, under load with no lost byte, and at a steady pace with lost datagrams counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.daemon import IkeDaemon
from lab.process import PATIENCE_S, until
from lab.topology import host, two_sites
from lab.traffic import datagram_stream, transfer_stream

HERE = Path(__file__).parent
ROUNDS = 3


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with two_sites() as sites:
        ours = bench.ours(sites.gateway_a, HERE / "perilune.conf")
        theirs = bench.theirs(sites.gateway_b, HERE / "swanctl.conf")
        with bench.gateways(sites, ours, theirs) as gateways:
            ours.initiate("net")
            yield gateways


def rekey_child(daemon: IkeDaemon, peer: IkeDaemon) -> None:
    before = daemon.wait_for_child("net").fields
    daemon.rekey_child("net")

    def replaced() -> bool:
        new, theirs = daemon.wait_for_child("net").fields, peer.wait_for_child("net").fields
        return new["spi-in"] not in (before["spi-in"], None) and new["spi-in"] == theirs["spi-out"]

    until(replaced, PATIENCE_S, "the child to be replaced")


def rekey_ike(daemon: IkeDaemon, peer: IkeDaemon) -> None:
    before = {sa.spis for sa in daemon.ike_sas("site")}
    daemon.rekey_ike("site")

    def replaced() -> bool:
        now = {sa.spis for sa in daemon.ike_sas("site")}
        return len(now) == 1 and now.isdisjoint(before) and now == {sa.spis for sa in peer.ike_sas("site")}

    until(replaced, PATIENCE_S, "the IKE SA to be replaced")
    assert daemon.wait_for_child("net").state == "INSTALLED"


def carry(daemon: IkeDaemon, octets: int) -> None:
    """Wait until the child has carried so much more."""
    before = daemon.wait_for_child("net").octets
    until(lambda: daemon.wait_for_child("net").octets > before + octets, PATIENCE_S, f"{octets} octets")


REKEYS = {"child": rekey_child, "IKE SA": rekey_ike}


@pytest.mark.interop
@pytest.mark.parametrize("what", REKEYS)
@pytest.mark.parametrize("who", ["ours", "theirs"])
def test_under_load(
    gateways: Gateways, who: str, what: str, record_property: Callable[[str, object], None]
) -> None:
    """Three rekeys under full load both ways: no lost byte."""
    with transfer_stream(gateways.sites.host_a, host(2), gateways.logs) as load:
        for _ in range(ROUNDS):
            carry(gateways.ours, 10_000_000)
            REKEYS[what](gateways.by_name(who), gateways.other(who))
        carry(gateways.ours, 10_000_000)
        moved = load.finish()
    assert moved.up_octets > 0
    assert moved.down_octets > 0
    record_property("MB moved", (moved.up_octets + moved.down_octets) // 1_000_000)


@pytest.mark.interop
@pytest.mark.parametrize("what", REKEYS)
@pytest.mark.parametrize("who", ["ours", "theirs"])
def test_steady_stream(
    gateways: Gateways, who: str, what: str, record_property: Callable[[str, object], None]
) -> None:
    """Three rekeys under a datagram every 2 ms: none lost, none twice."""
    with datagram_stream(gateways.sites.host_a, host(2), gateways.logs, interval_ms=2.0) as stream:
        for _ in range(ROUNDS):
            carry(gateways.ours, 5_000)
            REKEYS[what](gateways.by_name(who), gateways.other(who))
        echoed = stream.finish()
    record_property("lost", f"{echoed.lost} of {echoed.sent}")
    record_property("longest silence ms", echoed.longest_silence_ms)
    assert echoed.lost * 100 <= echoed.sent, "more than a busy machine loses"
    assert echoed.duplicates == 0
