from __future__ import annotations

import hmac
from hashlib import sha512

import pytest

from perilune.crypto.auth import psk_auth, require_equal_auth, signed_octets
from perilune.model.errors import PeerError
from perilune.model.iana import NotifyType, PrfId
from perilune.model.secret import Secret

PRF = PrfId.PRF_HMAC_SHA2_512
ID_BODY = b"\x02\0\0\0gw.example"


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, sha512).digest()


def test_signed_octets() -> None:
    octets = signed_octets(PRF, b"message", b"nonce", Secret(b"sk_p"), ID_BODY, b"int")
    assert octets == b"message" + b"nonce" + _hmac(b"sk_p", ID_BODY) + b"int"


def test_psk_auth() -> None:
    auth = psk_auth(PRF, Secret(b"secret"), b"what is signed")
    key = _hmac(b"secret", b"Key Pad for IKEv2")
    assert auth == _hmac(key, b"what is signed")


def test_verification() -> None:
    require_equal_auth(b"same", b"same")
    for received in (b"", b"sam", b"Same", b"same\0"):
        with pytest.raises(PeerError) as refusal:
            require_equal_auth(b"same", received)
        assert refusal.value.notify is NotifyType.AUTHENTICATION_FAILED
