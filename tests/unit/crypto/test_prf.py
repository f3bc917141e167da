from __future__ import annotations

import pytest

from perilune.crypto.prf import PRF_KEY_OCTETS, prf, prf_plus
from perilune.model.errors import LocalError
from perilune.model.iana import PrfId
from perilune.model.secret import Secret
from support.vectors import Json, printed, shared_rfc

NAMES = {
    PrfId.PRF_HMAC_SHA2_256: "prf_hmac_sha_256",
    PrfId.PRF_HMAC_SHA2_384: "prf_hmac_sha_384",
    PrfId.PRF_HMAC_SHA2_512: "prf_hmac_sha_512",
}


def _check(vector: Json) -> None:
    key, data = bytes.fromhex(vector["key"]), bytes.fromhex(vector["data"])
    present = [prf_id for prf_id, name in NAMES.items() if name in vector]
    assert present
    for prf_id in present:
        assert prf(prf_id, key, data).hex() == vector[NAMES[prf_id]]
        assert prf(prf_id, Secret(key), data).hex() == vector[NAMES[prf_id]]


@pytest.mark.parametrize("vector", printed("rfc4868_hmac_sha2.json")["vectors"], ids=lambda v: v["id"])
def test_rfc_4868(vector: Json) -> None:
    _check(vector)


@pytest.mark.parametrize("vector", shared_rfc("rfc4868_hmac_sha2"), ids=lambda v: v["id"])
def test_rfc_4868_whole(vector: Json) -> None:
    _check(vector)


@pytest.mark.parametrize(
    ("prf_id", "vector"),
    [
        (prf_id, vector)
        for prf_id, name in (
            (PrfId.PRF_AES128_CMAC, "aes_cmac"),
            (PrfId.PRF_AES128_XCBC, "aes_xcbc"),
            (PrfId.PRF_HMAC_SHA1, "hmac_sha1"),
        )
        for vector in printed("transforms.json")["prf"][name]["vectors"]
    ],
)
def test_prfs_with_keys_of_any_length(prf_id: PrfId, vector: Json) -> None:
    key, data = bytes.fromhex(vector["key"]), bytes.fromhex(vector["data"])
    assert prf(prf_id, key, data).hex() == vector["output"]


@pytest.mark.parametrize("prf_id", PrfId)
def test_preferred_key_is_as_long_as_the_output(prf_id: PrfId) -> None:
    assert len(prf(prf_id, b"key", b"data")) == PRF_KEY_OCTETS[prf_id]


@pytest.mark.parametrize("prf_id", PrfId)
def test_prf_plus_chains_its_blocks(prf_id: PrfId) -> None:
    first = prf(prf_id, b"key", b"seed\x01")
    second = prf(prf_id, b"key", first + b"seed\x02")
    third = prf(prf_id, b"key", second + b"seed\x03")
    stream = first + second + third
    for length in (0, 1, len(first), len(first) + 1, len(stream)):
        assert prf_plus(prf_id, b"key", b"seed", length) == stream[:length]


##= https://www.rfc-editor.org/rfc/rfc7296#section-2.13
##= type=test
##% The prf+ function is not defined beyond 255 times the size of
##% the prf function output.
@pytest.mark.parametrize("prf_id", PrfId)
def test_prf_plus_ends(prf_id: PrfId) -> None:
    most = 255 * PRF_KEY_OCTETS[prf_id]
    assert len(prf_plus(prf_id, b"key", b"seed", most)) == most
    with pytest.raises(LocalError):
        prf_plus(prf_id, b"key", b"seed", most + 1)
