"""What fits on one side only: each gets the right notify, and a log line that says what differed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.conftest import Bench, Gateways
from lab.errors import LabError
from lab.process import PATIENCE_S, until
from lab.topology import two_sites

HERE = Path(__file__).parent

NOTIFIES = {
    "wrong-key": "AUTHENTICATION_FAILED",
    "wrong-proposal": "NO_PROPOSAL_CHOSEN",
    "wrong-esp-proposal": "NO_PROPOSAL_CHOSEN",
    "wrong-selector": "TS_UNACCEPTABLE",
}

SHORT = {
    "AUTHENTICATION_FAILED": "AUTH_FAILED",
    "NO_PROPOSAL_CHOSEN": "NO_PROP",
    "TS_UNACCEPTABLE": "TS_UNACCEPT",
}
"""How strongSwan's log calls a notify that it sends or gets."""

KEYS = {
    "wrong-key": "secrets.ike-wrong.secret",
    "wrong-proposal": "connections.wrong-proposal.proposals",
    "wrong-esp-proposal": "connections.wrong-esp-proposal.children.wrong-esp-proposal.esp_proposals",
    "wrong-selector": "connections.wrong-selector.children.wrong-selector.local_ts",
}
"""What both our command and our log say to look at."""

DIFFERENCES = {
    "wrong-key": r"secrets\.ike-wrong\.secret",
    "wrong-proposal": r"(?i)ENCR|key length|128|256",
    "wrong-esp-proposal": r"(?i)ENCR|AES_CBC|AES_GCM|integrity",
    "wrong-selector": r"10\.77\.0\.0/24",
}
"""What our log must name where we refuse, so that a person finds what to change."""


@pytest.fixture(scope="module")
def gateways(bench: Bench) -> Iterator[Gateways]:
    with two_sites(networks=5) as sites:
        ours = bench.ours(sites.gateway_a, HERE / "perilune.conf")
        theirs = bench.theirs(sites.gateway_b, HERE / "swanctl.conf")
        with bench.gateways(sites, ours, theirs) as gateways:
            yield gateways


def new_log(gateways: Gateways, name: str, start: int, pattern: str) -> str:
    """The first line of a daemon's log after `start` that matches."""

    def look() -> str | None:
        lines = gateways.by_name(name).log()[start:].splitlines()
        return next((line for line in lines if re.search(pattern, line)), None)

    return until(look, PATIENCE_S, f"{name} to log {pattern!r}: {gateways.by_name(name).log()[start:]}")


@pytest.mark.interop
@pytest.mark.parametrize("case", NOTIFIES)
def test_they_refuse(gateways: Gateways, case: str, bench: Bench) -> None:
    """It refuses us: our command and our log say why."""
    ours, theirs = len(gateways.ours.log()), len(gateways.theirs.log())
    with pytest.raises(LabError) as refused:
        gateways.ours.initiate(case)
    new_log(gateways, "theirs", theirs, rf"generating .* response .*N\({SHORT[NOTIFIES[case]]}\)")
    if not bench.peer_alone:
        assert NOTIFIES[case] in str(refused.value)
        assert KEYS[case] in str(refused.value)
        new_log(gateways, "ours", ours, NOTIFIES[case])
    gateways.ours.terminate_if_there(case)


@pytest.mark.interop
@pytest.mark.parametrize("case", NOTIFIES)
def test_we_refuse(gateways: Gateways, case: str, bench: Bench) -> None:
    """We refuse it: it gets the notify, our log says what differed."""
    ours, theirs = len(gateways.ours.log()), len(gateways.theirs.log())
    with pytest.raises(LabError):
        gateways.theirs.initiate(case)
    new_log(gateways, "theirs", theirs, rf"parsed .* response .*N\({SHORT[NOTIFIES[case]]}\)")
    if not bench.peer_alone:
        new_log(gateways, "ours", ours, NOTIFIES[case])
        new_log(gateways, "ours", ours, DIFFERENCES[case])
    gateways.theirs.terminate_if_there(case)


@pytest.mark.interop
@pytest.mark.parametrize("initiator", ["ours", "theirs"])
def test_identity(gateways: Gateways, initiator: str) -> None:
    """An identity that the other side does not expect: AUTHENTICATION_FAILED."""
    start = len(gateways.ours.log())
    with pytest.raises(LabError):
        gateways.by_name(initiator).initiate("wrong-identity")
    new_log(gateways, "ours", start, "AUTHENTICATION_FAILED|AUTH_FAILED")
    assert all(not sa.children for sa in gateways.ours.ike_sas("wrong-identity"))
