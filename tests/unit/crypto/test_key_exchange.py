from __future__ import annotations

import pytest

from perilune.crypto.key_exchange import KeyExchange, public_octets
from perilune.crypto.modp_primes import PRIMES
from perilune.model.errors import LocalError, PeerError
from perilune.model.iana import KeId, NotifyType
from support.rng import ScriptedRng, SeededRng
from support.vectors import Json, printed, shared_rfc, wycheproof

METHODS = [method for method in KeId if method is not KeId.NONE]
MODP = list(PRIMES)
ECP = {KeId.ECP_256: "secp256r1", KeId.ECP_384: "secp384r1", KeId.ECP_521: "secp521r1"}


def _refuses(exchange: KeyExchange, public: bytes) -> None:
    with pytest.raises(PeerError) as refusal:
        exchange.agree(public)
    assert refusal.value.notify is NotifyType.INVALID_SYNTAX


@pytest.mark.parametrize("method", METHODS)
def test_both_sides_agree(method: KeId) -> None:
    ours, theirs = KeyExchange.generate(method, SeededRng(1)), KeyExchange.generate(method, SeededRng(2))
    assert ours.public != theirs.public
    assert len(ours.public) == len(theirs.public) == public_octets(method)
    secret = ours.agree(theirs.public)
    assert secret == theirs.agree(ours.public)
    assert len(secret) == (public_octets(method) // 2 if method in ECP else public_octets(method))


@pytest.mark.parametrize("method", METHODS)
def test_one_seed_replays_one_run(method: KeId) -> None:
    first, second = (KeyExchange.generate(method, SeededRng(7)) for _ in range(2))
    assert first.public == second.public
    assert KeyExchange.generate(method, SeededRng(8)).public != first.public


@pytest.mark.parametrize("method", METHODS)
def test_wrong_length_is_refused(method: KeId) -> None:
    exchange = KeyExchange.generate(method, SeededRng())
    _refuses(exchange, b"")
    _refuses(exchange, exchange.public[:-1])
    _refuses(exchange, b"\0" + exchange.public)


@pytest.mark.parametrize("method", METHODS)
def test_zero_is_refused(method: KeId) -> None:
    _refuses(KeyExchange.generate(method, SeededRng()), bytes(public_octets(method)))


@pytest.mark.parametrize("method", [KeId.NONE, 2])
def test_unknown_method(method: KeId) -> None:
    with pytest.raises(LocalError):
        KeyExchange.generate(method, SeededRng())
    with pytest.raises(LocalError):
        public_octets(method)


def test_the_private_key_does_not_show() -> None:
    assert repr(KeyExchange.generate(KeId.CURVE25519, SeededRng())) == "KeyExchange(CURVE25519)"


##= https://www.rfc-editor.org/rfc/rfc6989#section-2.1
##= type=test
##% Each recipient MUST verify that the peer's
##% public value r is in the legal range (1 < r < p-1).
@pytest.mark.parametrize("method", MODP)
def test_modp_range(method: KeId) -> None:
    prime, octets = PRIMES[method], public_octets(method)
    exchange = KeyExchange.generate(method, SeededRng())
    for number in (0, 1, prime - 1, prime, prime + 1, 2 ** (8 * octets) - 1):
        _refuses(exchange, number.to_bytes(octets))
    for number in (2, 3, prime - 2):
        assert len(exchange.agree(number.to_bytes(octets))) == octets


@pytest.mark.parametrize("method", MODP)
def test_modp_against_plain_arithmetic(method: KeId) -> None:
    prime, octets = PRIMES[method], public_octets(method)
    ours, theirs = (KeyExchange.generate(method, SeededRng(seed)) for seed in (1, 2))
    drawn = SeededRng(1).octets({14: 40, 15: 53, 16: 60, 17: 68, 18: 78}[method])
    exponent = int.from_bytes(b"%c" % (drawn[0] | 0x80) + drawn[1:])
    assert ours.public == pow(2, exponent, prime).to_bytes(octets)
    peer = int.from_bytes(theirs.public)
    assert ours.agree(theirs.public).reveal() == pow(peer, exponent, prime).to_bytes(octets)


##= https://www.rfc-editor.org/rfc/rfc7296#section-2.14
##= type=test
##% g^ir is represented as a string of octets in big endian
##% order padded with zeros if necessary to make it the length of the
##% modulus.
def test_modp_short_values_are_padded() -> None:
    octets = public_octets(KeId.MODP_2048)
    exchanges = (KeyExchange.generate(KeId.MODP_2048, SeededRng(seed)) for seed in range(4000))
    short = next(exchange for exchange in exchanges if exchange.public[0] == 0)
    assert len(short.public) == octets
    # g^x with the peer's x = 1, that is g, gives our public value once more.
    assert short.agree((2).to_bytes(octets)).reveal() == short.public


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
    octets = public_octets(method) // 2
    ours = KeyExchange.generate(method, ScriptedRng(bytes.fromhex(vector[us]).rjust(octets, b"\0")))
    assert ours.public.hex() == vector[f"g{us}x"] + vector[f"g{us}y"]
    assert bytes.fromhex(vector[f"KE{us}_payload"])[8:] == ours.public
    peer = bytes.fromhex(vector[f"g{them}x"] + vector[f"g{them}y"])
    assert ours.agree(peer).reveal().hex() == vector["shared_secret"]


def test_ecp_number_out_of_range_is_drawn_again() -> None:
    vector = ECP_VECTORS[KeId.ECP_256]
    rng = ScriptedRng(b"\xff" * 32, bytes(32), bytes.fromhex(vector["i"]))
    assert KeyExchange.generate(KeId.ECP_256, rng).public.hex() == vector["gix"] + vector["giy"]


##= https://www.rfc-editor.org/rfc/rfc6989#section-2.3
##= type=test
##% A receiving peer MUST
##% check that its peer's public value is valid
@pytest.mark.parametrize("method", ECP)
def test_ecp_point_that_is_not_on_the_curve(method: KeId) -> None:
    ours, theirs = (KeyExchange.generate(method, SeededRng(seed)) for seed in (1, 2))
    _refuses(ours, theirs.public[:-1] + bytes((theirs.public[-1] ^ 1,)))
    _refuses(ours, b"\xff" * public_octets(method))


CURVES = {"X25519": KeId.CURVE25519, "X448": KeId.CURVE448}
CURVE_VECTORS = printed("rfc7748_x25519_x448.json")["vectors"]


@pytest.mark.parametrize("vector", [vector for vector in CURVE_VECTORS if "scalar" in vector])
def test_rfc_7748_functions(vector: Json) -> None:
    ours = KeyExchange.generate(CURVES[vector["curve"]], ScriptedRng(bytes.fromhex(vector["scalar"])))
    assert ours.agree(bytes.fromhex(vector["u"])).reveal().hex() == vector["output"]


@pytest.mark.parametrize("vector", [vector for vector in CURVE_VECTORS if "dh" in vector])
def test_rfc_7748_exchanges(vector: Json) -> None:
    ours, theirs = (
        KeyExchange.generate(CURVES[vector["curve"]], ScriptedRng(bytes.fromhex(vector[f"{side}_priv"])))
        for side in "ab"
    )
    assert (ours.public.hex(), theirs.public.hex()) == (vector["a_pub"], vector["b_pub"])
    assert ours.agree(theirs.public).reveal().hex() == vector["shared"]
    assert theirs.agree(ours.public).reveal().hex() == vector["shared"]


##= https://www.rfc-editor.org/rfc/rfc8031#section-3.2
##= type=test
##% receiving entities MUST mask the most-significant bit in the final
##% byte for X25519 (but not X448), and implementations MUST accept non-
##% canonical values.
def test_most_significant_bit_of_x25519_is_masked() -> None:
    ours, theirs = (KeyExchange.generate(KeId.CURVE25519, SeededRng(seed)) for seed in (1, 2))
    marked = theirs.public[:-1] + bytes((theirs.public[-1] | 0x80,))
    assert ours.agree(marked) == ours.agree(theirs.public)


def test_the_larger_collection_agrees_with_ours() -> None:
    if not (whole := shared_rfc("rfc5903_ecp")):
        pytest.skip("the larger collection of vectors is not here")
    assert whole == list(ECP_VECTORS.values())
    assert shared_rfc("rfc7748_x25519_x448") == CURVE_VECTORS


@pytest.mark.parametrize("test", wycheproof("x25519_test"), ids=lambda test: str(test["tcId"]))
def test_wycheproof_x25519(test: Json) -> None:
    exchange = KeyExchange.generate(KeId.CURVE25519, ScriptedRng(bytes.fromhex(test["private"])))
    public = bytes.fromhex(test["public"])
    if test["shared"] == "00" * 32:
        _refuses(exchange, public)
    else:
        assert exchange.agree(public).reveal().hex() == test["shared"]


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
    octets = public_octets(method) // 2
    private = int(test["private"], 16).to_bytes(octets)
    exchange = KeyExchange.generate(method, ScriptedRng(private))
    public = bytes.fromhex(test["public"])
    # IKE has no compressed points: only what is left of an uncompressed one can be put into a KE payload.
    if public[:1] != b"\x04" or test["result"] == "invalid":
        _refuses(exchange, public[1:])
    else:
        assert exchange.agree(public[1:]).reveal().hex() == test["shared"]
