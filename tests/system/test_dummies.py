"""A tunnel that nobody uses sends all the same, and the peer drops it without a word."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lab.perilune import Perilune
from lab.process import until
from lab.topology import Sites
from support.clear_words import PATIENCE_S, config

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces want root"),
    pytest.mark.timeout(600),
]
ALGORITHM = "esp_proposals = aes256gcm16"


def dropped(daemon: Perilune) -> dict[str, int]:
    status = json.loads(daemon.command("status", "--json", timeout_s=PATIENCE_S).stdout)
    return {drop["name"]: drop["packets"] for drop in status["drops"]}


# covers R4303-2.6-1
# covers R4303-2.6-2
@pytest.mark.parametrize("encap", ["no", "yes"])
def test_silence_is_filled_with_dummies(leaky_sites: Sites, tmp_path: Path, encap: str) -> None:
    wanted = f"{ALGORITHM}\ndummy_rate = 50\ntfc_padding = 600"
    text = (
        config(1, "start")
        .replace(ALGORITHM, wanted)
        .replace("proposals =", f"encap = {encap}\nproposals =", 1)
    )
    with (
        Perilune(leaky_sites.gateway_b, tmp_path / "b", config(2)) as b,
        Perilune(leaky_sites.gateway_a, tmp_path / "a", text) as a,
    ):
        sa = a.wait_for_child("net", PATIENCE_S)
        until(lambda: dropped(b).get("dummy_packet", 0) > 50, PATIENCE_S, "dummies")
        assert ("encap" in sa.fields) == (encap == "yes")
        assert b.child_sas("net")[0].fields.get("packets-out", "0") == "0", "who is not asked sends none"
