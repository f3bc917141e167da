"""ML-KEM against vectors of Wycheproof and of the Kyber team."""

from __future__ import annotations

from collections.abc import Iterator

import cryptography_vectors
import pytest

from perilune.crypto.key_exchange import KeyExchange, respond
from perilune.model.errors import PeerError
from perilune.model.iana import KeId, NotifyType
from support.rng import ScriptedRng, SeededRng
from support.vectors import Json, wycheproof

SIZES = {KeId.ML_KEM_768: (1184, 1088), KeId.ML_KEM_1024: (1568, 1568)}
KAT = {KeId.ML_KEM_768: "kat_MLKEM_768.rsp", KeId.ML_KEM_1024: "kat_MLKEM_1024.rsp"}


def _known_answers(method: KeId) -> Iterator[dict[str, bytes]]:
    """Yield the first few of the known answers, each with d, z, pk, ct and ss."""
    path = f"asymmetric/MLKEM/{KAT[method]}"
    with cryptography_vectors.open_vector_file(path, "r") as file:
        blocks = file.read().split("\n\n")
    for block in blocks[:20]:
        pairs = (line.split(" = ") for line in block.splitlines() if " = " in line)
        yield {name: bytes.fromhex(value) for name, value in pairs if name != "count"}


@pytest.mark.parametrize("method", SIZES)
def test_lengths(method: KeId) -> None:
    begun = KeyExchange.begin(method, SeededRng())
    answer = respond(method, begun.share, SeededRng())
    assert (len(begun.share), len(answer.share)) == SIZES[method]
    assert len(answer.secret) == 32


@pytest.mark.parametrize(
    ("method", "known"), [(method, known) for method in SIZES for known in _known_answers(method)]
)
def test_known_answers(method: KeId, known: dict[str, bytes]) -> None:
    begun = KeyExchange.begin(method, ScriptedRng(known["d"] + known["z"]))
    assert begun.share == known["pk"]
    assert begun.finish(known["ct"]).reveal() == known["ss"]
    # A ciphertext that was not made for the key is rejected implicitly: there is a secret, of no use.
    assert begun.finish(known["ct_n"]).reveal() == known["ss_n"]


@pytest.mark.parametrize(
    "test",
    # A seed of another length than ours cannot be drawn.
    [test for test in wycheproof("mlkem_768_test") if len(test["seed"]) == 128],
    ids=lambda test: str(test["tcId"]),
)
def test_wycheproof_decapsulation(test: Json) -> None:
    begun = KeyExchange.begin(KeId.ML_KEM_768, ScriptedRng(bytes.fromhex(test["seed"])))
    assert begun.share.hex() == test["ek"]
    if test["result"] == "valid":
        assert begun.finish(bytes.fromhex(test["c"])).reveal().hex() == test["K"]
    else:
        with pytest.raises(PeerError):
            begun.finish(bytes.fromhex(test["c"]))


@pytest.mark.parametrize("test", wycheproof("mlkem_768_encaps_test"), ids=lambda test: str(test["tcId"]))
def test_wycheproof_encapsulation_keys(test: Json) -> None:
    key = bytes.fromhex(test["ek"])
    if test["result"] == "valid":
        assert len(respond(KeId.ML_KEM_768, key, SeededRng()).share) == 1088
        return
    with pytest.raises(PeerError) as refusal:
        respond(KeId.ML_KEM_768, key, SeededRng())
    assert refusal.value.notify is NotifyType.INVALID_SYNTAX


@pytest.mark.parametrize("method", SIZES)
def test_a_number_that_is_not_below_the_modulus_is_refused(method: KeId) -> None:
    key = KeyExchange.begin(method, SeededRng()).share
    # The first twelve bits are the first coefficient; 3329 is the modulus.
    largest, modulus = ((number & 0xFF, number >> 8) for number in (3328, 3329))
    respond(method, bytes((largest[0], key[1] & 0xF0 | largest[1])) + key[2:], SeededRng())
    with pytest.raises(PeerError):
        respond(method, bytes((modulus[0], key[1] & 0xF0 | modulus[1])) + key[2:], SeededRng())
