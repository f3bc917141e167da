from __future__ import annotations

import pytest

from perilune.crypto.key_exchange import METHODS, KeyExchange, respond, share_octets
from perilune.crypto.modp_primes import PRIMES
from perilune.model.errors import LocalError, PeerError
from perilune.model.iana import KeId, NotifyType
from support.rng import ScriptedRng, SeededRng
from support.vectors import Json, printed, shared_rfc, wycheproof

MODP = list(PRIMES)
ECP = {KeId.ECP_256: "secp256r1", KeId.ECP_384: "secp384r1", KeId.ECP_521: "secp521r1"}
DIFFIE_HELLMAN = [*MODP, *ECP, KeId.CURVE25519, KeId.CURVE448]
METHODS_IN_ORDER = sorted(METHODS)


def _refuses(exchange: KeyExchange, public: bytes) -> None:
    with pytest.raises(PeerError) as refusal:
        exchange.finish(public)
    assert refusal.value.notify is NotifyType.INVALID_SYNTAX


@pytest.mark.parametrize("method", METHODS_IN_ORDER)
def test_both_sides_agree(method: KeId) -> None:
    begun = KeyExchange.begin(method, SeededRng(1))
    assert len(begun.share) == share_octets(method)
    first, second = (respond(method, begun.share, SeededRng(seed)) for seed in (2, 3))
    assert first.method is method
    assert first.share != second.share
    assert first.secret != second.secret
    assert begun.finish(first.share) == first.secret
    assert begun.finish(second.share) == second.secret


@pytest.mark.parametrize("method", DIFFIE_HELLMAN)
def test_diffie_hellman_is_the_same_on_both_sides(method: KeId) -> None:
    ours, theirs = KeyExchange.begin(method, SeededRng(1)), KeyExchange.begin(method, SeededRng(2))
    secret = ours.finish(theirs.share)
    assert secret == theirs.finish(ours.share)
    assert len(secret) == (share_octets(method) // 2 if method in ECP else share_octets(method))
    answer = respond(method, ours.share, SeededRng(2))
    assert (answer.share, answer.secret) == (theirs.share, secret)


@pytest.mark.parametrize("method", METHODS_IN_ORDER)
def test_one_seed_replays_one_run(method: KeId) -> None:
    first, second = (KeyExchange.begin(method, SeededRng(7)) for _ in range(2))
    assert first.share == second.share
    assert KeyExchange.begin(method, SeededRng(8)).share != first.share


@pytest.mark.parametrize("method", METHODS_IN_ORDER)
def test_wrong_length_is_refused(method: KeId) -> None:
    exchange = KeyExchange.begin(method, SeededRng())
    answer = respond(method, exchange.share, SeededRng(1)).share
    for wrong in (b"", answer[:-1], b"\0" + answer):
        _refuses(exchange, wrong)
    for wrong in (b"", exchange.share[:-1], b"\0" + exchange.share):
        with pytest.raises(PeerError) as refusal:
            respond(method, wrong, SeededRng())
        assert refusal.value.notify is NotifyType.INVALID_SYNTAX


@pytest.mark.parametrize("method", DIFFIE_HELLMAN)
def test_zero_is_refused(method: KeId) -> None:
    _refuses(KeyExchange.begin(method, SeededRng()), bytes(share_octets(method)))
    with pytest.raises(PeerError):
        respond(method, bytes(share_octets(method)), SeededRng())


@pytest.mark.parametrize("method", [KeId.NONE, KeId.ML_KEM_512, 2])
def test_unknown_method(method: KeId) -> None:
    with pytest.raises(LocalError):
        KeyExchange.begin(method, SeededRng())
    with pytest.raises(LocalError):
        respond(method, b"", SeededRng())
    with pytest.raises(LocalError):
        share_octets(method)


def test_secrets_do_not_show() -> None:
    begun = KeyExchange.begin(KeId.CURVE25519, SeededRng())
    assert repr(begun) == "KeyExchange(CURVE25519)"
    answer = respond(KeId.CURVE25519, begun.share, SeededRng(1))
    assert answer.secret.reveal().hex() not in repr(answer)
    assert "secret" not in repr(answer)


##= https://www.rfc-editor.org/rfc/rfc6989#section-2.1
##= type=test
##% Each recipient MUST verify that the peer's
##% public value r is in the legal range (1 < r < p-1).
@pytest.mark.parametrize("method", MODP)
def test_modp_range(method: KeId) -> None:
    prime, octets = PRIMES[method], share_octets(method)
    exchange = KeyExchange.begin(method, SeededRng())
    for number in (0, 1, prime - 1, prime, prime + 1, 2 ** (8 * octets) - 1):
        _refuses(exchange, number.to_bytes(octets))
    for number in (2, 3, prime - 2):
        assert len(exchange.finish(number.to_bytes(octets))) == octets


@pytest.mark.parametrize("method", MODP)
def test_modp_against_plain_arithmetic(method: KeId) -> None:
    prime, octets = PRIMES[method], share_octets(method)
    ours, theirs = (KeyExchange.begin(method, SeededRng(seed)) for seed in (1, 2))
    drawn = SeededRng(1).octets({14: 40, 15: 53, 16: 60, 17: 68, 18: 78}[method])
    exponent = int.from_bytes(b"%c" % (drawn[0] | 0x80) + drawn[1:])
    assert ours.share == pow(2, exponent, prime).to_bytes(octets)
    peer = int.from_bytes(theirs.share)
    assert ours.finish(theirs.share).reveal() == pow(peer, exponent, prime).to_bytes(octets)


##= https://www.rfc-editor.org/rfc/rfc7296#section-2.14
##= type=test
##% g^ir is represented as a string of octets in big endian
##% order padded with zeros if necessary to make it the length of the
##% modulus.
def test_modp_short_values_are_padded() -> None:
    octets = share_octets(KeId.MODP_2048)
    exchanges = (KeyExchange.begin(KeId.MODP_2048, SeededRng(seed)) for seed in range(4000))
    short = next(exchange for exchange in exchanges if exchange.share[0] == 0)
    assert len(short.share) == octets
    # g^x with the peer's x = 1, that is g, gives our public value once more.
    assert short.finish((2).to_bytes(octets)).reveal() == short.share


@pytest.mark.parametrize("prime", PRIMES.values(), ids=lambda prime: str(prime.bit_length()))
def test_modp_primes_have_the_shape_of_rfc_3526(prime: int) -> None:
    bits = prime.bit_length()
    ones = 2**64 - 1
    assert (prime >> (bits - 64), prime & ones) == (ones, ones)
    assert pow(2, (prime - 1) // 2, prime) == 1
    assert pow(3, prime - 1, prime) == 1


ECP_VECTORS = {vector["group"]: vector for vector in printed("rfc5903_ecp.json")["vectors"]}


@pytest.mark.parametrize("method", ECP)
@pytest.mark.parametrize("side", ["ir", "ri"])
def test_rfc_5903(method: KeId, side: str) -> None:
    vector, (us, them) = ECP_VECTORS[method], side
    octets = share_octets(method) // 2
    ours = KeyExchange.begin(method, ScriptedRng(bytes.fromhex(vector[us]).rjust(octets, b"\0")))
    assert ours.share.hex() == vector[f"g{us}x"] + vector[f"g{us}y"]
    assert bytes.fromhex(vector[f"KE{us}_payload"])[8:] == ours.share
    peer = bytes.fromhex(vector[f"g{them}x"] + vector[f"g{them}y"])
    assert ours.finish(peer).reveal().hex() == vector["shared_secret"]


def test_ecp_number_out_of_range_is_drawn_again() -> None:
    vector = ECP_VECTORS[KeId.ECP_256]
    rng = ScriptedRng(b"\xff" * 32, bytes(32), bytes.fromhex(vector["i"]))
    assert KeyExchange.begin(KeId.ECP_256, rng).share.hex() == vector["gix"] + vector["giy"]


##= https://www.rfc-editor.org/rfc/rfc6989#section-2.3
##= type=test
##% A receiving peer MUST
##% check that its peer's public value is valid
@pytest.mark.parametrize("method", ECP)
def test_ecp_point_that_is_not_on_the_curve(method: KeId) -> None:
    ours, theirs = (KeyExchange.begin(method, SeededRng(seed)) for seed in (1, 2))
    _refuses(ours, theirs.share[:-1] + bytes((theirs.share[-1] ^ 1,)))
    _refuses(ours, b"\xff" * share_octets(method))


CURVES = {"X25519": KeId.CURVE25519, "X448": KeId.CURVE448}
CURVE_VECTORS = printed("rfc7748_x25519_x448.json")["vectors"]


@pytest.mark.parametrize("vector", [vector for vector in CURVE_VECTORS if "scalar" in vector])
def test_rfc_7748_functions(vector: Json) -> None:
    ours = KeyExchange.begin(CURVES[vector["curve"]], ScriptedRng(bytes.fromhex(vector["scalar"])))
    assert ours.finish(bytes.fromhex(vector["u"])).reveal().hex() == vector["output"]


@pytest.mark.parametrize("vector", [vector for vector in CURVE_VECTORS if "dh" in vector])
def test_rfc_7748_exchanges(vector: Json) -> None:
    ours, theirs = (
        KeyExchange.begin(CURVES[vector["curve"]], ScriptedRng(bytes.fromhex(vector[f"{side}_priv"])))
        for side in "ab"
    )
    assert (ours.share.hex(), theirs.share.hex()) == (vector["a_pub"], vector["b_pub"])
    assert ours.finish(theirs.share).reveal().hex() == vector["shared"]
    assert theirs.finish(ours.share).reveal().hex() == vector["shared"]


##= https://www.rfc-editor.org/rfc/rfc8031#section-3.2
##= type=test
##% receiving entities MUST mask the most-significant bit in the final
##% byte for X25519 (but not X448), and implementations MUST accept non-
##% canonical values.
def test_most_significant_bit_of_x25519_is_masked() -> None:
    ours, theirs = (KeyExchange.begin(KeId.CURVE25519, SeededRng(seed)) for seed in (1, 2))
    marked = theirs.share[:-1] + bytes((theirs.share[-1] | 0x80,))
    assert ours.finish(marked) == ours.finish(theirs.share)


def test_the_larger_collection_agrees_with_ours() -> None:
    if not (whole := shared_rfc("rfc5903_ecp")):
        pytest.skip("the larger collection of vectors is not here")
    assert whole == list(ECP_VECTORS.values())
    assert shared_rfc("rfc7748_x25519_x448") == CURVE_VECTORS


@pytest.mark.parametrize("test", wycheproof("x25519_test"), ids=lambda test: str(test["tcId"]))
def test_wycheproof_x25519(test: Json) -> None:
    exchange = KeyExchange.begin(KeId.CURVE25519, ScriptedRng(bytes.fromhex(test["private"])))
    public = bytes.fromhex(test["public"])
    if test["shared"] == "00" * 32:
        _refuses(exchange, public)
    else:
        assert exchange.finish(public).reveal().hex() == test["shared"]


@pytest.mark.parametrize(
    ("method", "test"),
    [
        (method, test)
        for method in (KeId.ECP_256, KeId.ECP_521)
        for test in wycheproof(f"ecdh_{ECP[method]}_ecpoint_test")
    ],
    ids=lambda value: str(value["tcId"]) if isinstance(value, dict) else value.name,
)
def test_wycheproof_ecdh(method: KeId, test: Json) -> None:
    octets = share_octets(method) // 2
    private = int(test["private"], 16).to_bytes(octets)
    exchange = KeyExchange.begin(method, ScriptedRng(private))
    public = bytes.fromhex(test["public"])
    # IKE has no compressed points: only what is left of an uncompressed one can be put into a KE payload.
    if public[:1] != b"\x04" or test["result"] == "invalid":
        _refuses(exchange, public[1:])
    else:
        assert exchange.finish(public[1:]).reveal().hex() == test["shared"]
