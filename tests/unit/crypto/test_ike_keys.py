from __future__ import annotations

import pytest

from perilune.crypto.ike_keys import (
    IkeKeys,
    derive_child_keys,
    derive_ike_keys,
    derive_rekeyed_ike_keys,
    derive_updated_ike_keys,
    initial_skeyseed,
    rekeyed_skeyseed,
)
from perilune.crypto.prf import prf, prf_plus
from perilune.model.iana import EncrId, IntegId, KeId, PrfId, SnId
from perilune.model.proposal import Encryption, EspSuite, IkeSuite
from perilune.model.secret import Secret
from perilune.model.spi import IkeSpi
from support.vectors import Json, printed, shared

PRFS = {
    "SHA-256": PrfId.PRF_HMAC_SHA2_256,
    "SHA-384": PrfId.PRF_HMAC_SHA2_384,
    "SHA-512": PrfId.PRF_HMAC_SHA2_512,
}
GCM = Encryption(EncrId.ENCR_AES_GCM_16, 256)
CBC = Encryption(EncrId.ENCR_AES_CBC, 128)


def _tests(document: Json | None) -> list[tuple[PrfId, Json]]:
    groups = document["groups"] if document else []
    return [
        (PRFS[group["hash"]], test) for group in groups if group["hash"] in PRFS for test in group["tests"]
    ]


def _suite(prf_id: PrfId, encryption: Encryption = GCM) -> IkeSuite:
    integrity = IntegId.NONE if encryption.is_aead else IntegId.AUTH_HMAC_SHA2_256_128
    return IkeSuite(encryption, prf_id, integrity, KeId.CURVE25519)


def _joined(keys: IkeKeys) -> bytes:
    names = ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr")
    return b"".join(getattr(keys, name).reveal() for name in names)


##= https://www.rfc-editor.org/rfc/rfc7296#section-2.14
##= type=test
##% only the first 64 bits of Ni and the first 64 bits of Nr are used in
##% calculating SKEYSEED, but all the bits are used for input to the prf+
##% function.
@pytest.mark.parametrize("prf_id", [PrfId.PRF_AES128_CMAC, PrfId.PRF_AES128_XCBC])
def test_prfs_of_aes_use_the_start_of_the_nonces_for_skeyseed(prf_id: PrfId) -> None:
    shared_secret, nonce_i, nonce_r = Secret(b"g" * 32), bytes(range(32)), bytes(range(100, 132))
    skeyseed = prf(prf_id, nonce_i[:8] + nonce_r[:8], shared_secret.reveal())
    assert initial_skeyseed(prf_id, nonce_i, nonce_r, shared_secret).reveal() == skeyseed
    suite = IkeSuite(GCM, prf_id, IntegId.NONE, KeId.CURVE25519)
    keys = derive_ike_keys(suite, nonce_i, nonce_r, shared_secret, IkeSpi(1), IkeSpi(2))
    seed = nonce_i + nonce_r + (1).to_bytes(8) + (2).to_bytes(8)
    assert _joined(keys) == prf_plus(prf_id, skeyseed, seed, 3 * 16 + 2 * 36)


def _check_nist(prf_id: PrfId, test: Json) -> None:
    octets = {name: bytes.fromhex(value) for name, value in test.items() if isinstance(value, str)}
    spi_i, spi_r = (IkeSpi(int.from_bytes(octets[name])) for name in ("SPIi", "SPIr"))
    nonce_i, nonce_r = octets["Ni"], octets["Nr"]
    shared_first, shared_new = Secret(octets["g^ir"]), Secret(octets["g^ir (new)"])
    assert initial_skeyseed(prf_id, nonce_i, nonce_r, shared_first).reveal() == octets["SKEYSEED"]

    stream = octets["DKM"]
    suite = _suite(prf_id)
    keys = derive_ike_keys(suite, nonce_i, nonce_r, shared_first, spi_i, spi_r)
    joined = _joined(keys)
    both = min(len(joined), len(stream))
    assert joined[:both] == stream[:both]
    seed = nonce_i + nonce_r + octets["SPIi"] + octets["SPIr"]
    assert prf_plus(prf_id, octets["SKEYSEED"], seed, len(stream)) == stream

    esp = EspSuite(CBC, IntegId.AUTH_HMAC_SHA2_256_128, SnId.SEQUENTIAL_32)
    for shared_secret, name in ((None, "DKM(Child SA)"), (shared_new, "DKM(Child SA D-H)")):
        child = derive_child_keys(prf_id, keys.sk_d, nonce_i, nonce_r, esp, shared_secret)
        parts = (child.initiator, child.responder)
        keymat = b"".join(part.encryption.reveal() + part.integrity.reveal() for part in parts)
        assert len(keymat) == 2 * (16 + 32)
        assert keymat == octets[name][: len(keymat)]

    skeyseed = rekeyed_skeyseed(prf_id, keys.sk_d, nonce_i, nonce_r, (shared_new,))
    assert skeyseed.reveal() == octets["SKEYSEED(Rekey)"]


@pytest.mark.parametrize(("prf_id", "test"), _tests(printed("nist_ikev2_kdf.json")))
def test_nist(prf_id: PrfId, test: Json) -> None:
    _check_nist(prf_id, test)


@pytest.mark.parametrize(("prf_id", "test"), _tests(shared("nist_ike_kdf/ikev2.json")))
def test_nist_whole(prf_id: PrfId, test: Json) -> None:
    _check_nist(prf_id, test)


##= https://www.rfc-editor.org/rfc/rfc7296#section-2.14
##= type=test
##% The lengths of SK_d, SK_pi,
##% and SK_pr MUST be the preferred key length of the PRF agreed upon.
@pytest.mark.parametrize(
    ("prf_id", "encryption", "lengths"),
    [
        (PrfId.PRF_HMAC_SHA2_256, GCM, (32, 0, 0, 36, 36, 32, 32)),
        (PrfId.PRF_HMAC_SHA2_384, CBC, (48, 32, 32, 16, 16, 48, 48)),
        (
            PrfId.PRF_HMAC_SHA2_512,
            Encryption(EncrId.ENCR_CHACHA20_POLY1305, 256),
            (64, 0, 0, 36, 36, 64, 64),
        ),
    ],
)
def test_lengths(prf_id: PrfId, encryption: Encryption, lengths: tuple[int, ...]) -> None:
    keys = derive_ike_keys(
        _suite(prf_id, encryption), b"i" * 32, b"r" * 32, Secret(b"s" * 32), IkeSpi(1), IkeSpi(2)
    )
    names = ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr")
    assert tuple(len(getattr(keys, name)) for name in names) == lengths
    assert "s" * 32 not in repr(keys)


##= https://www.rfc-editor.org/rfc/rfc7296#section-2.18
##= type=test
##% Because
##% the rekeying exchange belongs to the old IKE SA, it is the old IKE
##% SA's PRF that is used to generate SKEYSEED.
def test_rekeying_to_another_prf() -> None:
    old, new = PrfId.PRF_HMAC_SHA2_512, PrfId.PRF_HMAC_SHA2_256
    nonces = b"i" * 32 + b"r" * 32
    keys = derive_rekeyed_ike_keys(
        _suite(new), old, Secret(b"d" * 64), b"i" * 32, b"r" * 32, (Secret(b"s" * 32),), IkeSpi(1), IkeSpi(2)
    )
    skeyseed = prf(old, b"d" * 64, b"s" * 32 + nonces)
    seed = nonces + (1).to_bytes(8) + (2).to_bytes(8)
    assert _joined(keys) == prf_plus(new, skeyseed, seed, 3 * 32 + 2 * 36)


def test_rekeying_with_additional_key_exchanges() -> None:
    """SKEYSEED = prf(SK_d, SK(0) | Ni | Nr | SK(1) | ... SK(n)) (RFC 9370, section 2.2.4)."""
    id_ = PrfId.PRF_HMAC_SHA2_256
    secrets = tuple(Secret(octet * 32) for octet in (b"0", b"1", b"2"))
    skeyseed = rekeyed_skeyseed(id_, Secret(b"d" * 32), b"i" * 32, b"r" * 32, secrets)
    octets = b"0" * 32 + b"i" * 32 + b"r" * 32 + b"1" * 32 + b"2" * 32
    assert skeyseed.reveal() == prf(id_, b"d" * 32, octets)


def test_keys_behind_an_additional_key_exchange() -> None:
    """SKEYSEED(n) = prf(SK_d(n - 1), SK(n) | Ni | Nr), and the rest as ever (RFC 9370, section 2.2.2)."""
    id_ = PrfId.PRF_HMAC_SHA2_256
    keys = derive_updated_ike_keys(
        _suite(id_), Secret(b"d" * 32), b"i" * 32, b"r" * 32, Secret(b"s" * 32), IkeSpi(1), IkeSpi(2)
    )
    nonces = b"i" * 32 + b"r" * 32
    skeyseed = prf(id_, b"d" * 32, b"s" * 32 + nonces)
    seed = nonces + (1).to_bytes(8) + (2).to_bytes(8)
    assert _joined(keys) == prf_plus(id_, skeyseed, seed, 3 * 32 + 2 * 36)


# covers R4301-4.5.2-1
##= https://www.rfc-editor.org/rfc/rfc7296#section-2.17
##= type=test
##% All keys for SAs carrying data from the initiator to the responder
##% are taken before SAs going from the responder to the initiator.
##= https://www.rfc-editor.org/rfc/rfc7296#section-2.17
##= type=test
##% the encryption key (if any) MUST be
##% taken from the first bits and the integrity key (if any) MUST be
##% taken from the remaining bits.
@pytest.mark.parametrize(
    ("encryption", "integrity", "lengths"),
    [
        (CBC, IntegId.AUTH_HMAC_SHA2_512_256, (16, 64)),
        (GCM, IntegId.NONE, (36, 0)),
        (Encryption(EncrId.ENCR_AES_GCM_16, 128), IntegId.NONE, (20, 0)),
    ],
)
def test_order_of_child_keys(encryption: Encryption, integrity: IntegId, lengths: tuple[int, int]) -> None:
    suite = EspSuite(encryption, integrity, SnId.SEQUENTIAL_32)
    prf_id, sk_d = PrfId.PRF_HMAC_SHA2_256, Secret(b"d" * 32)
    keys = derive_child_keys(prf_id, sk_d, b"i" * 32, b"r" * 32, suite)
    parts = (keys.initiator.encryption, keys.initiator.integrity)
    assert tuple(map(len, parts)) == lengths
    parts += (keys.responder.encryption, keys.responder.integrity)
    expected = prf_plus(prf_id, sk_d, b"i" * 32 + b"r" * 32, 2 * sum(lengths))
    assert b"".join(part.reveal() for part in parts) == expected
