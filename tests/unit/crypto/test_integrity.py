"""MACs of IKE's messages against the vectors of the RFCs."""

from __future__ import annotations

import pytest

from perilune.crypto.integrity import IntegrityKey
from perilune.model.errors import PeerError
from perilune.model.iana import IntegId
from support.vectors import Json, printed

NAMES = {
    "aes_cmac": IntegId.AUTH_AES_CMAC_96,
    "aes_xcbc": IntegId.AUTH_AES_XCBC_96,
    "hmac_sha1": IntegId.AUTH_HMAC_SHA1_96,
}


@pytest.mark.parametrize(
    ("integrity", "vector"),
    [
        (integrity, vector)
        for name, integrity in NAMES.items()
        for vector in printed("transforms.json")["mac"][name]["vectors"]
    ],
)
def test_icv(integrity: IntegId, vector: Json) -> None:
    key, data = IntegrityKey(integrity, bytes.fromhex(vector["key"])), bytes.fromhex(vector["data"])
    icv = bytes.fromhex(vector["icv"])
    assert key.icv(data) == icv
    key.check(data, icv)
    for forged in (bytes(12), icv[:11], icv + b"\0"):
        with pytest.raises(PeerError):
            key.check(data, forged)
