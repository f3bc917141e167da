"""Signatures of AUTH against the RFCs' examples, Wycheproof's, and each other."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    SECP521R1,
    EllipticCurvePublicNumbers,
)
from hypothesis import given
from hypothesis import strategies as st

from perilune.crypto.keys import EncryptedKeyError, KeyFileError, KeyKind, PrivateKey, PublicKey
from perilune.crypto.signature import NotSigned, authentication_data, require_signature, split_data
from perilune.crypto.signature_rules import (
    ANY_SCHEME,
    SchemeRule,
    choose_scheme,
    hashes_for,
    old_method,
    schemes_for,
)
from perilune.crypto.signature_schemes import SCHEMES, RsaPadding, SignatureScheme
from perilune.model.errors import LocalError, PeerError
from perilune.model.iana import AuthMethod, HashId, NotifyType
from perilune.model.secret import Secret
from support.keys import KINDS, key_pair, private_pem, public_pem
from support.vectors import Json, printed, wycheproof

CURVES = {256: SECP256R1(), 384: SECP384R1(), 521: SECP521R1()}
EVERY = (SchemeRule(), SchemeRule(hashes=(HashId.SHA1,)))
PAIRS = [(kind, scheme) for kind in KINDS for scheme in schemes_for(key_pair(kind).public, ANY_SCHEME)]


def scheme_of(kind: KeyKind, hash_: HashId, padding: RsaPadding | None = None) -> SignatureScheme:
    (found,) = (s for s in SCHEMES if (s.kind, s.hash, s.padding) == (kind, hash_, padding))
    return found


# RFC 7427, section A; RFC 8420, section A; the octets of ML-DSA are those of the library's keys
@pytest.mark.parametrize(
    ("scheme", "identifier"),
    [
        (scheme_of(KeyKind.RSA, HashId.SHA2_256, RsaPadding.PKCS1), "300d06092a864886f70d01010b0500"),
        (scheme_of(KeyKind.RSA, HashId.SHA2_384, RsaPadding.PKCS1), "300d06092a864886f70d01010c0500"),
        (scheme_of(KeyKind.RSA, HashId.SHA2_512, RsaPadding.PKCS1), "300d06092a864886f70d01010d0500"),
        (scheme_of(KeyKind.ECDSA, HashId.SHA2_256), "300a06082a8648ce3d040302"),
        (scheme_of(KeyKind.ECDSA, HashId.SHA2_384), "300a06082a8648ce3d040303"),
        (scheme_of(KeyKind.ECDSA, HashId.SHA2_512), "300a06082a8648ce3d040304"),
        (scheme_of(KeyKind.ED25519, HashId.IDENTITY), "300506032b6570"),
        (scheme_of(KeyKind.ED448, HashId.IDENTITY), "300506032b6571"),
        (
            scheme_of(KeyKind.RSA, HashId.SHA2_256, RsaPadding.PSS),
            "304606092a864886f70d01010a3039a00f300d06096086480165030402010500a11c301a06092a864886f70d010108"
            "300d06096086480165030402010500a203020120a303020101",
        ),
    ],
)
def test_identifiers_of_the_rfcs(scheme: SignatureScheme, identifier: str) -> None:
    octets = bytes.fromhex(identifier)
    assert split_data(bytes((len(octets),)) + octets + b"signature") == (scheme, b"signature")


def test_pss_is_written_in_der_which_leaves_out_what_is_the_default() -> None:
    scheme = scheme_of(KeyKind.RSA, HashId.SHA2_256, RsaPadding.PSS)
    assert scheme.identifiers[0].hex() == (
        "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108"
        "300d06096086480165030402010500a203020120"
    )


@pytest.mark.parametrize(("kind", "number"), [("ML-DSA-44", 17), ("ML-DSA-65", 18), ("ML-DSA-87", 19)])
def test_identifier_of_ml_dsa_is_that_of_its_keys(kind: str, number: int) -> None:
    """It stands in the SubjectPublicKeyInfo behind the header of the outer sequence."""
    key = key_pair(kind).public
    (scheme,) = schemes_for(key, ANY_SCHEME)
    assert key.info[4:17] == scheme.identifiers[0]
    assert scheme.identifiers[0][-1] == number


def test_identifiers_are_known_once() -> None:
    blobs = [blob for scheme in SCHEMES for blob in scheme.identifiers]
    assert len(set(blobs)) == len(blobs)
    assert all(len(blob) < 256 for blob in blobs)


@pytest.mark.parametrize("vector", printed("rfc4754_ecdsa.json")["vectors"], ids=lambda one: str(one["bits"]))
def test_payloads_of_rfc_4754(vector: Json) -> None:
    x, y = (int(vector[name], 16) for name in ("gwx", "gwy"))
    key = PublicKey(EllipticCurvePublicNumbers(x, y, CURVES[vector["bits"]]).public_key())
    payload = bytes.fromhex(vector["payload"])
    # It is printed with the Auth Method in the first of the RESERVED octets.
    method, data = payload[5], payload[8:]
    scheme = require_signature(key, schemes_for(key, ANY_SCHEME), method, data, b"abc")
    assert old_method(key, scheme) == method
    with pytest.raises(NotSigned):
        require_signature(key, schemes_for(key, ANY_SCHEME), method, data, b"abd")


FILES = [
    ("ecdsa_secp256r1_sha256_p1363_test", None),
    ("ecdsa_secp256r1_sha256_test", scheme_of(KeyKind.ECDSA, HashId.SHA2_256)),
    ("ecdsa_secp521r1_sha512_test", scheme_of(KeyKind.ECDSA, HashId.SHA2_512)),
    ("rsa_pss_2048_sha256_mgf1_32_test", scheme_of(KeyKind.RSA, HashId.SHA2_256, RsaPadding.PSS)),
    ("rsa_pss_4096_sha512_mgf1_64_test", scheme_of(KeyKind.RSA, HashId.SHA2_512, RsaPadding.PSS)),
    ("rsa_signature_2048_sha256_test", scheme_of(KeyKind.RSA, HashId.SHA2_256, RsaPadding.PKCS1)),
    ("ed25519_test", scheme_of(KeyKind.ED25519, HashId.IDENTITY)),
]


@pytest.mark.parametrize(("name", "scheme"), FILES)
def test_wycheproof(name: str, scheme: SignatureScheme | None) -> None:
    """Each as method 14, and r and s in a row as method 9."""
    tests = [test for test in wycheproof(name) if test["result"] != "acceptable"]
    if not tests:
        pytest.skip("the larger collection of vectors is not here")
    for test in tests:
        key = PublicKey.read(bytes.fromhex(test["publicKeyDer"]))
        signature, message = bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])
        method, data = AuthMethod.ECDSA_256, signature
        if scheme is not None:
            identifier = scheme.identifiers[0]
            method, data = AuthMethod.DIGITAL_SIGNATURE, bytes((len(identifier),)) + identifier + signature
        try:
            require_signature(key, schemes_for(key, ANY_SCHEME), method, data, message)
        except NotSigned:
            assert test["result"] == "invalid", test["comment"]
        else:
            assert test["result"] == "valid", test["comment"]


@pytest.mark.parametrize(("kind", "scheme"), PAIRS, ids=str)
def test_what_each_scheme_signs_is_refused_when_anything_differs(kind: str, scheme: SignatureScheme) -> None:
    key, other = key_pair(kind), key_pair(kind, 1).public
    data = authentication_data(key, AuthMethod.DIGITAL_SIGNATURE, scheme, b"signed")

    def check(public: PublicKey, octets: bytes, message: bytes = b"signed") -> SignatureScheme:
        allowed = schemes_for(public, ANY_SCHEME)
        return require_signature(public, allowed, AuthMethod.DIGITAL_SIGNATURE, octets, message)

    assert check(key.public, data) == scheme
    for public, octets, message in (
        (other, data, b"signed"),
        (key.public, data, b"signed\0"),
        (key.public, data[:-1], b"signed"),
        (key.public, data[:-1] + bytes((data[-1] ^ 1,)), b"signed"),
        (key.public, data[: 1 + data[0]], b"signed"),
        (key.public, data[:5], b"signed"),
        (key.public, b"", b"signed"),
    ):
        with pytest.raises(NotSigned) as refusal:
            check(public, octets, message)
        assert refusal.value.notify is NotifyType.AUTHENTICATION_FAILED


@pytest.mark.parametrize(("one", "other"), list(pairwise(PAIRS)), ids=str)
def test_signature_under_the_name_of_another_algorithm(
    one: tuple[str, SignatureScheme], other: tuple[str, SignatureScheme]
) -> None:
    (kind, scheme), (_, wrong) = one, other
    key = key_pair(kind)
    data = authentication_data(key, AuthMethod.DIGITAL_SIGNATURE, scheme, b"signed")
    renamed = bytes((len(wrong.identifiers[0]),)) + wrong.identifiers[0] + data[1 + data[0] :]
    with pytest.raises(NotSigned):
        require_signature(
            key.public, schemes_for(key.public, EVERY), AuthMethod.DIGITAL_SIGNATURE, renamed, b"signed"
        )


@pytest.mark.parametrize("kind", ["P-256", "P-384", "P-521", "RSA"])
def test_older_methods(kind: str) -> None:
    key = key_pair(kind)
    method, scheme = choose_scheme(key.public, ANY_SCHEME, None)
    data = authentication_data(key, method, scheme, b"signed")
    assert (
        require_signature(key.public, schemes_for(key.public, ANY_SCHEME), method, data, b"signed") == scheme
    )
    for wrong_method, octets in (
        (method, data[:-1]),
        (method, data[1:] + b"\0"),
        (10 if method == 9 else 9, data),
    ):
        with pytest.raises(NotSigned):
            require_signature(
                key.public, schemes_for(key.public, ANY_SCHEME), wrong_method, octets, b"signed"
            )


# covers R7427-3-1
def test_only_hashes_that_the_peer_announced_are_signed_with() -> None:
    key = key_pair("RSA").public
    for announced, hash_ in (
        ({2, 3, 4, 5}, HashId.SHA2_256),
        ({4, 99}, HashId.SHA2_512),
        ({1, 3}, HashId.SHA2_384),
    ):
        method, scheme = choose_scheme(key, ANY_SCHEME, announced)
        assert (method, scheme.hash, scheme.padding) == (AuthMethod.DIGITAL_SIGNATURE, hash_, RsaPadding.PSS)
    with pytest.raises(LocalError):
        choose_scheme(key, ANY_SCHEME, {1, 5})
    for kind in ("Ed25519", "ML-DSA-44"):
        with pytest.raises(LocalError):
            choose_scheme(key_pair(kind).public, ANY_SCHEME, {2, 3, 4})
        with pytest.raises(LocalError):
            choose_scheme(key_pair(kind).public, ANY_SCHEME, None)


def test_sha_1_only_where_it_is_named_and_never_announced() -> None:
    key = key_pair("RSA").public
    assert all(scheme.hash is not HashId.SHA1 for scheme in schemes_for(key, ANY_SCHEME))
    rules = (SchemeRule(hashes=(HashId.SHA1,)),)
    assert choose_scheme(key, rules, None)[1].hash is HashId.SHA1
    assert hashes_for((key,), rules) == frozenset()
    with pytest.raises(LocalError):
        choose_scheme(key, rules, {1})


def test_hash_is_as_strong_as_the_key_unless_one_is_named() -> None:
    chosen = [choose_scheme(key_pair(kind).public, ANY_SCHEME, {2, 3, 4})[1].hash for kind in KINDS[1:4]]
    assert chosen == [HashId.SHA2_256, HashId.SHA2_384, HashId.SHA2_512]
    rules = (SchemeRule(hashes=(HashId.SHA2_512, HashId.SHA2_384)),)
    assert choose_scheme(key_pair("P-256").public, rules, {2, 3, 4})[1].hash is HashId.SHA2_512


@given(st.integers(0, 255), st.binary(max_size=200))
def test_no_octets_make_anything_but_not_signed(method: int, data: bytes) -> None:
    for kind in ("RSA", "P-256", "Ed25519"):
        key = key_pair(kind).public
        with pytest.raises(PeerError):
            require_signature(key, schemes_for(key, EVERY), method, data, b"signed")


@pytest.mark.parametrize("kind", KINDS)
def test_key_files(kind: str) -> None:
    key = key_pair(kind)
    assert PublicKey.read(public_pem(key)) == key.public
    assert PublicKey.read(key.public.info) == key.public
    assert PrivateKey.read(private_pem(key)) == key
    encrypted = private_pem(key, "open sesame")
    assert PrivateKey.read(encrypted, Secret(b"open sesame")) == key
    for wrong in (None, Secret(b"close sesame")):
        with pytest.raises(EncryptedKeyError):
            PrivateKey.read(encrypted, wrong)
    assert key.public.fingerprint in repr(key)


@given(st.binary(max_size=100), st.booleans())
def test_no_file_makes_anything_but_a_key_or_an_error(octets: bytes, as_pem: bool) -> None:
    text = b"-----BEGIN PRIVATE KEY-----\n" + octets if as_pem else octets
    with pytest.raises(KeyFileError):
        PrivateKey.read(text)
    with pytest.raises(KeyFileError):
        PublicKey.read(text)


@pytest.mark.parametrize("bits", [44])
def test_ml_dsa_keys_of_the_library_s_vectors(bits: int) -> None:
    where = Path(cryptography_vectors.__file__).parent / "asymmetric/MLDSA"
    key = PrivateKey.read((where / f"mldsa{bits}_priv.der").read_bytes())
    assert key.public == PublicKey.read((where / f"mldsa{bits}_pub.der").read_bytes())
    (scheme,) = schemes_for(key.public, ANY_SCHEME)
    data = authentication_data(key, AuthMethod.DIGITAL_SIGNATURE, scheme, b"signed")
    assert require_signature(key.public, [scheme], AuthMethod.DIGITAL_SIGNATURE, data, b"signed") == scheme
