"""IntAuth against its definition, written down with `hmac` alone."""

from __future__ import annotations

import hmac
from hashlib import sha384

import pytest

from perilune.crypto.int_auth import IntAuth
from perilune.model.iana import PrfId
from perilune.model.secret import Secret

PRF = PrfId.PRF_HMAC_SHA2_384


def _prf(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, sha384).digest()


def test_without_an_exchange_there_is_nothing_to_sign() -> None:
    assert IntAuth().octets == b""


##= https://www.rfc-editor.org/rfc/rfc9242#section-3.3.2
##= type=test
##% IntAuth =  IntAuth_iN | IntAuth_rN | IKE_AUTH_MID
@pytest.mark.parametrize("count", range(1, 8))
def test_each_exchange_is_chained_with_its_own_keys(count: int) -> None:
    so_far, chain_i, chain_r = IntAuth(), b"", b""
    for number in range(count):
        sk_pi, sk_pr = b"pi%d" % number, b"pr%d" % number
        request, response = b"request %d" % number, b"response %d" % number
        so_far = so_far.with_request(PRF, Secret(sk_pi), request)
        so_far = so_far.with_response(PRF, Secret(sk_pr), response)
        chain_i, chain_r = _prf(sk_pi, chain_i + request), _prf(sk_pr, chain_r + response)
    # IKE_SA_INIT has Message ID 0, so IKE_AUTH's first follows the last of these.
    assert so_far.octets == chain_i + chain_r + (count + 1).to_bytes(4, "big")
