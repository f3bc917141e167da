"""Proposal strings."""

from __future__ import annotations

import pytest

from perilune.config.algorithms import KEYWORDS
from perilune.config.proposals import ESP_PROPOSALS, IKE_PROPOSALS, insecure
from perilune.model.algorithms import ENCRYPTION, INTEGRITY
from perilune.model.errors import ConfigError
from perilune.model.iana import EncrId, IntegId, KeId, PrfId, ProtocolId, SnId, TransformType
from perilune.model.proposal import Proposal, Transform

ENCR, INTEG, PRF = TransformType.ENCR, TransformType.INTEG, TransformType.PRF
KE, SN = TransformType.KE, TransformType.SN
GCM_256 = Transform(ENCR, EncrId.ENCR_AES_GCM_16, 256)
CBC_128 = Transform(ENCR, EncrId.ENCR_AES_CBC, 128)
SHA_256 = Transform(INTEG, IntegId.AUTH_HMAC_SHA2_256_128)
PRF_256 = Transform(PRF, PrfId.PRF_HMAC_SHA2_256)
X25519 = Transform(KE, KeId.CURVE25519)
NO_ESN = Transform(SN, SnId.SEQUENTIAL_32)
ESN = Transform(SN, SnId.PARTIALLY_TRANSMITTED_64)


def ike(text: str) -> list[tuple[Transform, ...]]:
    return [proposal.transforms for proposal in IKE_PROPOSALS.read(text)]


def esp(text: str) -> list[tuple[Transform, ...]]:
    return [proposal.transforms for proposal in ESP_PROPOSALS.read(text)]


def test_ike_with_an_aead() -> None:
    assert ike("aes256gcm16-prfsha256-x25519") == [(GCM_256, PRF_256, X25519)]


def test_integrity_algorithm_gives_an_aead_its_prf_and_is_not_offered() -> None:
    assert ike("aes256gcm16-sha256-x25519") == [(GCM_256, PRF_256, X25519)]


def test_integrity_algorithm_gives_the_prf() -> None:
    assert ike("aes128-sha256-x25519") == [(CBC_128, SHA_256, PRF_256, X25519)]


def test_prf_that_is_given_is_the_only_one() -> None:
    sha_512 = Transform(PRF, PrfId.PRF_HMAC_SHA2_512)
    assert ike("aes128-sha256-prfsha512-x25519") == [(CBC_128, SHA_256, sha_512, X25519)]


def test_several_of_a_type_keep_their_order_and_lose_doubles() -> None:
    (transforms,) = ike("x448-aes256-curve448-aes128-x25519-sha384-aes256-sha256")
    assert [(t.type, t.id, t.key_bits) for t in transforms] == [
        (ENCR, EncrId.ENCR_AES_CBC, 256),
        (ENCR, EncrId.ENCR_AES_CBC, 128),
        (INTEG, IntegId.AUTH_HMAC_SHA2_384_192, None),
        (INTEG, IntegId.AUTH_HMAC_SHA2_256_128, None),
        (PRF, PrfId.PRF_HMAC_SHA2_384, None),
        (PRF, PrfId.PRF_HMAC_SHA2_256, None),
        (KE, KeId.CURVE448, None),
        (KE, KeId.CURVE25519, None),
    ]


def test_list_is_numbered_and_loses_doubles() -> None:
    read = IKE_PROPOSALS.read("aes128-sha256-x25519, aes256gcm-prfsha256-x25519 ,aes-sha2_256-curve25519")
    assert [(proposal.protocol, proposal.number) for proposal in read] == [
        (ProtocolId.IKE, 1),
        (ProtocolId.IKE, 2),
    ]


def test_esp() -> None:
    assert esp("aes256gcm16") == [(GCM_256, NO_ESN)]
    assert esp("AES256GCM16-esn") == [(GCM_256, ESN)]
    assert esp("aes256gcm16-noesn-esn-x25519") == [(GCM_256, X25519, NO_ESN, ESN)]
    assert esp("aes128-sha256") == [(CBC_128, SHA_256, NO_ESN)]
    assert esp("aes256gcm16-sha256") == [(GCM_256, NO_ESN)]


def test_chacha_has_no_key_length() -> None:
    assert esp("chacha20poly1305") == [(Transform(ENCR, EncrId.ENCR_CHACHA20_POLY1305), NO_ESN)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("aes", "aes128"),
        ("aes192gcm", "aes192gcm16"),
        ("aes128gcm128", "aes128gcm16"),
        ("sha2_512", "sha512"),
        ("curve25519", "x25519"),
        ("curve448", "x448"),
    ],
)
def test_other_spellings(one: str, other: str) -> None:
    assert KEYWORDS[one] == KEYWORDS[other]


@pytest.mark.parametrize(
    ("text", "encryption", "integrity"),
    [
        ("aes192ctr-sha1", Transform(ENCR, EncrId.ENCR_AES_CTR, 192), IntegId.AUTH_HMAC_SHA1_96),
        ("camellia256-aesxcbc", Transform(ENCR, EncrId.ENCR_CAMELLIA_CBC, 256), IntegId.AUTH_AES_XCBC_96),
        ("null-aescmac", Transform(ENCR, EncrId.ENCR_NULL), IntegId.AUTH_AES_CMAC_96),
        ("3des-md5", Transform(ENCR, EncrId.ENCR_3DES), IntegId.AUTH_HMAC_MD5_96),
        ("cast128-noauth", Transform(ENCR, EncrId.ENCR_CAST, 128), IntegId.NONE),
    ],
)
def test_esp_of_encryption_and_integrity(text: str, encryption: Transform, integrity: IntegId) -> None:
    assert esp(text) == [(encryption, Transform(INTEG, integrity), NO_ESN)]


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ("aes128ccm8", EncrId.ENCR_AES_CCM_8),
        ("aes128ccm96", EncrId.ENCR_AES_CCM_12),
        ("aes128ccm", EncrId.ENCR_AES_CCM_16),
        ("aes128gcm8", EncrId.ENCR_AES_GCM_8),
        ("aes128gcm12", EncrId.ENCR_AES_GCM_12),
        ("aes128gmac", EncrId.ENCR_NULL_AUTH_AES_GMAC),
        ("aes128ccm8iiv", EncrId.ENCR_AES_CCM_8_IIV),
        ("aes128gcm16iiv", EncrId.ENCR_AES_GCM_16_IIV),
    ],
)
def test_combined_modes_of_aes(text: str, id_: EncrId) -> None:
    assert esp(text) == [(Transform(ENCR, id_, 128), NO_ESN)]


def test_default_for_ike_is_hybrid_first() -> None:
    hybrid, *others = IKE_PROPOSALS.read("default")
    additional = [(t.type, t.id) for t in hybrid.transforms if t.type >= TransformType.ADDKE1]
    assert additional == [(TransformType.ADDKE1, KeId.ML_KEM_768), (TransformType.ADDKE1, KeId.ML_KEM_1024)]
    assert others == [proposal.without_additional_key_exchanges() for proposal in others]


def test_additional_key_exchanges() -> None:
    (read,) = IKE_PROPOSALS.read("aes256gcm16-prfsha256-x25519-ke3_x448-ke1_mlkem1024-ke1_none")
    assert read.transforms[3:] == (
        Transform(TransformType.ADDKE1, KeId.ML_KEM_1024),
        Transform(TransformType.ADDKE1, KeId.NONE),
        Transform(TransformType.ADDKE3, KeId.CURVE448),
    )


def test_every_algorithm_has_a_word() -> None:
    named = {(one.type, one.id) for one in KEYWORDS.values()}
    ah_only = {id_ for id_, known in INTEGRITY.items() if not known.in_esp}
    assert {id_ for type_, id_ in named if type_ == ENCR} == set(ENCRYPTION)
    assert {id_ for type_, id_ in named if type_ == INTEG} == set(INTEGRITY) - ah_only
    assert {id_ for type_, id_ in named if type_ == PRF} == set(PrfId)


# covers R8221-5-1
# covers R8221-6-1
# covers R8247-2.3-1
def test_levels_of_rfc_8221_and_rfc_8247() -> None:
    must_not = (EncrId.ENCR_DES, EncrId.ENCR_BLOWFISH, EncrId.PRIVATE_3IDEA)
    assert all(ENCRYPTION[id_].is_insecure and not ENCRYPTION[id_].in_ike for id_ in must_not)
    assert INTEGRITY[IntegId.AUTH_HMAC_MD5_96].is_insecure
    assert not INTEGRITY[IntegId.AUTH_HMAC_MD5_96].in_ike
    for kind in (IKE_PROPOSALS, ESP_PROPOSALS):
        offered = {(t.type, t.id, t.key_bits) for one in kind.read("default") for t in one.transforms}
        assert {(ENCR, EncrId.ENCR_AES_CBC, bits) for bits in (128, 256)} <= offered
        assert {(ENCR, EncrId.ENCR_AES_GCM_16, bits) for bits in (128, 256)} <= offered
        assert (ENCR, EncrId.ENCR_CHACHA20_POLY1305, None) in offered
        assert (INTEG, IntegId.AUTH_HMAC_SHA2_256_128, None) in offered
        assert (INTEG, IntegId.AUTH_HMAC_SHA2_512_256, None) in offered
        assert {id_ for type_, id_, _ in offered if type_ == INTEG} <= {12, 13, 14}


def test_what_is_insecure_is_named() -> None:
    read = ESP_PROPOSALS.read("aes128-3des-sha1-md5, des-noauth, null-sha256, aes128gcm8")
    assert insecure(read) == ("ENCR_3DES", "AUTH_HMAC_MD5_96", "ENCR_DES", "encryption without integrity")
    for kind in (IKE_PROPOSALS, ESP_PROPOSALS):
        assert insecure(kind.read("default")) == ()


def test_default_is_combined_mode_and_then_the_rest() -> None:
    for kind in (IKE_PROPOSALS, ESP_PROPOSALS):
        *_, aead, other = kind.read("default")
        assert not aead.of_type(INTEG)
        assert other.of_type(INTEG)
        assert {t.id for t in aead.of_type(ENCR)} == {EncrId.ENCR_AES_GCM_16, EncrId.ENCR_CHACHA20_POLY1305}
    mixed: tuple[Proposal, ...] = ESP_PROPOSALS.read("aes192gcm16, default")
    assert [proposal.number for proposal in mixed] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("aes256gcm16-x25519", "needs a PRF"),
        ("aes256-x25519", "integrity algorithm"),
        ("aes256-prfsha256-x25519", "integrity algorithm"),
        ("aes256-sha256", "needs a key exchange"),
        ("sha256-x25519", "needs encryption"),
        ("aes256-aes128gcm16-sha256-x25519", r"section 3\.3"),
        ("aes256-sha256-x25519-esn", "for ESP"),
        ("aes256-sha256-x25519-", "''"),
        ("aes256-sha1-modp1536", "'modp1536' is known to swanctl.conf and not supported"),
        ("aes256gcm8-prfsha256-x25519", "ENCR_AES_GCM_8 is for ESP only"),
        ("aes256gcm16iiv-prfsha256-x25519", "ENCR_AES_GCM_16_IIV is for ESP only"),
        ("null-sha256-x25519", "ENCR_NULL is for ESP only"),
        ("aes128-md5-prfsha256-x25519", "AUTH_HMAC_MD5_96 is for ESP only"),
        ("aes128-noauth-prfsha256-x25519", "ENCR_AES_CBC needs an integrity algorithm"),
        ("aes256-sha256-modp1024", "'modp1024' is too weak"),
        ("aes256-sha256-x25519-ke1_mlkem512", "'ke1_mlkem512' is known"),
        ("aes256-sha256-x25519-ke8_mlkem768", "'ke8_mlkem768' is no algorithm"),
        ("aes256-sha256-ke1_mlkem768", "needs a key exchange"),
        ("aes256-sha256-x25519-ke1_mlkem768-ke2_mlkem768", "different methods"),
    ],
)
def test_ike_proposal_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        IKE_PROPOSALS.read(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aes256", "integrity algorithm"),
        ("x25519", "needs encryption"),
        ("null", "integrity algorithm"),
        ("null-noauth", "ENCR_NULL needs an integrity algorithm"),
        ("aes128ctr-noauth", "ENCR_AES_CTR needs an integrity algorithm"),
        ("aes256gcm16-prfsha256", "a PRF is for IKE"),
        ("aes256gcm16-aes256-sha256", r"section 3\.3"),
    ],
)
def test_esp_proposal_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ESP_PROPOSALS.read(text)


def test_nearest_word() -> None:
    with pytest.raises(ConfigError, match="'aes256gmc16' is no algorithm") as caught:
        IKE_PROPOSALS.read("aes256gmc16-prfsha256-x25519")
    assert caught.value.nearest == "aes256gcm16"
