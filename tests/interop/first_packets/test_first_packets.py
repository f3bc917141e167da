"""What comes right behind the set-up: nothing is lost, nothing is in the clear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.capture import tap
from lab.topology import host, two_sites
from lab.traffic import ping

HERE = Path(__file__).parent
TIMES = 10
PINGS = 3


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with two_sites(leaky=True) as sites:
        ours = bench.ours(sites.gateway_a, HERE / "perilune.conf")
        theirs = bench.theirs(sites.gateway_b, HERE / "swanctl.conf")
        with bench.gateways(sites, ours, theirs) as gateways:
            yield gateways


@pytest.mark.interop
@pytest.mark.parametrize("initiator", ["ours", "theirs"])
def test_none_in_the_clear(
    gateways: Gateways, initiator: str, record_property: Callable[[str, object], None]
) -> None:
    """Ten set-ups with packets right behind: we lose none, and none is in the clear."""
    sites, daemon = gateways.sites, gateways.by_name(initiator)
    sender, target = (sites.host_a, host(2)) if initiator == "ours" else (sites.host_b, host(1))
    answered, clear, requests, answers = 0, 0, 0, 0
    for number in range(TIMES):
        log = gateways.logs / f"first-{initiator}-{number}.log"
        with tap(sites.gateway_b, "wire", log) as listening:
            daemon.initiate("net")
            answered += ping(sender, target, PINGS)
            heard = listening.finish()
        clear += heard.packets.get("ICMP", 0)
        fields = gateways.ours.wait_for_child("net").fields
        counts = int(fields["packets-out"]), int(fields["packets-in"])
        requests, answers = requests + counts[initiator != "ours"], answers + counts[initiator == "ours"]
        daemon.terminate("site")
    record_property("answered", f"{answered} of {PINGS * TIMES}")
    record_property("in the clear", clear)
    assert clear == 0
    if initiator == "ours":  # each request went into the tunnel, each answer that came out of it arrived
        assert (requests, answers) == (PINGS * TIMES, answered)
    else:  # each request that came had its answer
        assert requests == answers == answered > 0
