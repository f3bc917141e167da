"""A child of every algorithm of ESP, from the proposal to the engine."""

from __future__ import annotations

import pytest

from exchanges.pair import Pair
from exchanges.settings import LEFT_NET, RIGHT_NET, child, left, right
from perilune.config.proposals import ESP_PROPOSALS, insecure
from perilune.databases.changes import AddPolicy, AddSa
from perilune.databases.sad import Direction, SadEntry
from perilune.databases.spd import Action, SpdEntry
from perilune.dataplane.engine import Engine
from perilune.model.errors import LocalError
from perilune.model.time import Instant

AES = ("", "ctr", "ccm8", "ccm12", "ccm16", "gcm8", "gcm12", "gcm16", "gmac", "ccm8iiv", "gcm16iiv")
COMBINED = ("ccm", "gcm", "gmac", "chacha")
OLD = ("3des", "3idea", "blowfish256", "cast128", "des", "idea", "rc5_40", "rc5_128", "rc5_160")
MACS = ("aescmac", "aesxcbc", "md5", "ripemd160", "sha1", "sha256", "sha384", "sha512")
ENCRYPTION = (
    *(f"aes{bits}{mode}" for mode in AES for bits in (128, 192, 256)),
    *(f"camellia{bits}" for bits in (128, 192, 256)),
    *("chacha20poly1305", "chacha20poly1305iiv"),
    *OLD,
)
PROPOSALS = (
    *(word if any(mode in word for mode in COMBINED) else f"{word}-sha256" for word in ENCRYPTION),
    *(f"null-{mac}" for mac in MACS),
    *("aes128-noauth", "3des-noauth"),
)


def engine_with(entry: SadEntry) -> Engine:
    engine = Engine()
    policy = SpdEntry(
        id=entry.policy, name="net", priority=1, action=Action.PROTECT, local=entry.local, remote=entry.remote
    )
    engine.apply([AddPolicy(policy), AddSa(entry)], Instant(1))
    return engine


# covers R4303-5-2
@pytest.mark.parametrize("text", PROPOSALS)
def test_every_algorithm(text: str) -> None:
    proposals = ESP_PROPOSALS.read(text)
    weak = bool(insecure(proposals))
    terms = {"proposals": proposals, "allow_insecure": weak}
    pair = Pair(
        left_entry=left(children=(child(**terms),)),
        right_entry=right(children=(child(local=RIGHT_NET, remote=LEFT_NET, **terms),)),
    )
    pair.establish()
    pair.check_agreement()
    suite = pair.left.child.suite
    assert suite.is_insecure == weak
    for side in pair.sides:
        for direction in Direction:
            [entry] = side.sas(direction).values()
            assert entry.suite == suite
            assert (entry.replay_window_packets > 0) == suite.has_integrity
            assert engine_with(entry).stats().sas[0].spi == entry.spi


def test_the_engine_refuses_what_is_not_allowed() -> None:
    proposals = ESP_PROPOSALS.read("des-sha256")
    pair = Pair(
        left_entry=left(children=(child(proposals=proposals),)),
        right_entry=right(children=(child(local=RIGHT_NET, remote=LEFT_NET, proposals=proposals),)),
    )
    pair.establish()
    [entry] = pair.left.sas(Direction.OUTBOUND).values()
    with pytest.raises(LocalError, match="DES is insecure and needs allow_insecure"):
        engine_with(entry)
