"""Identities: swanctl.conf's spellings, and what they become (RFC 7296, section 3.5)."""

from __future__ import annotations

import pytest

from perilune.model.errors import LocalError
from perilune.model.iana import IdType
from perilune.model.identity import Identity


@pytest.mark.parametrize(
    ("text", "type_", "data"),
    [
        ("192.0.2.1", IdType.ID_IPV4_ADDR, bytes([192, 0, 2, 1])),
        ("2001:db8::1", IdType.ID_IPV6_ADDR, bytes.fromhex("20010db8000000000000000000000001")),
        ("ipv6:2001:db8::1", IdType.ID_IPV6_ADDR, bytes.fromhex("20010db8000000000000000000000001")),
        ("gw.example", IdType.ID_FQDN, b"gw.example"),
        ("@gw.example", IdType.ID_FQDN, b"gw.example"),
        ("fqdn:gw.example", IdType.ID_FQDN, b"gw.example"),
        ("joe@example.org", IdType.ID_RFC822_ADDR, b"joe@example.org"),
        ("email:joe@example.org", IdType.ID_RFC822_ADDR, b"joe@example.org"),
        ("@#0a0b", IdType.ID_KEY_ID, b"\x0a\x0b"),
        ("keyid:0x0a0b", IdType.ID_KEY_ID, b"\x0a\x0b"),
        ("keyid:station", IdType.ID_KEY_ID, b"station"),
    ],
)
def test_an_identity_says_its_type_by_its_spelling(text: str, type_: IdType, data: bytes) -> None:
    assert Identity.parse(text) == Identity(type_, data)


@pytest.mark.parametrize(
    "text", ["", "two words", "ipv4:2001:db8::1", "ipv6:here", "keyid:0xzz", "CN=gw, =x"]
)
def test_what_is_no_identity_is_refused(text: str) -> None:
    with pytest.raises(LocalError):
        Identity.parse(text)


def test_an_identity_from_the_network_can_always_be_shown() -> None:
    assert str(Identity(IdType.ID_IPV4_ADDR, b"short")) == "id type 1:0x73686f7274"
    assert str(Identity(IdType.ID_FQDN, b"\xff\x00")) == "\\xff\\x00"
    assert str(Identity(IdType.ID_FQDN, b"gw\n\x1b[2Jforged")) == "gw\\n\\x1b[2Jforged"
    assert str(Identity(200, b"\x01")) == "id type 200:0x01"


@pytest.mark.parametrize("type_", [IdType.ID_FQDN, IdType.ID_KEY_ID, 200])
def test_long_identity_of_a_peer_is_shown_in_part(type_: int) -> None:
    text = str(Identity(type_, b"\xff" * 60000))
    assert len(text) < 1200
    assert text.endswith("... (60000 octets)")
