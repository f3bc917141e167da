"""What comes right behind the set-up: nothing is lost, nothing is in the clear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.capture import tap
from lab.process import PATIENCE_S
from lab.topology import host, two_sites
from lab.traffic import flood, ping

HERE = Path(__file__).parent
TIMES = 10
PINGS = 3
ENOUGH = 50


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


@pytest.mark.interop
@pytest.mark.parametrize("initiator", ["ours", "theirs"])
def test_no_answer_leaks_under_a_flood(
    gateways: Gateways, bench: Bench, initiator: str, record_property: Callable[[str, object], None]
) -> None:
    """A question a millisecond through ten set-ups: what came in the tunnel is not answered in the clear."""
    sites, daemon = gateways.sites, gateways.by_name(initiator)
    unasked, esp = 0, 0
    for number in range(TIMES):
        log = gateways.logs / f"flood-{initiator}-{number}.log"
        with (
            tap(sites.gateway_b, "wire", log) as listening,
            flood(sites.host_b, host(1), gateways.logs / "flood.log"),
        ):
            listening.wait_for("ICMP")
            daemon.initiate("net")
            listening.wait_for("ESP in UDP")
            gateways.ours.wait(lambda: answers(gateways) > ENOUGH, PATIENCE_S, "answers in the tunnel")
            heard = listening.finish()
        unasked, esp = unasked + heard.unasked, esp + heard.esp
        daemon.terminate("site")
    record_property("in the tunnel", esp)
    record_property("leaked", unasked)
    assert unasked == 0 or bench.peer_alone


def answers(gateways: Gateways) -> int:
    """How many packets we sent into the tunnel."""
    return sum(int(sa.fields["packets-out"]) for sa in gateways.ours.child_sas("net"))
