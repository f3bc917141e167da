from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from perilune.model.errors import DecodeError
from perilune.model.iana import (
    AuthMethod,
    CertEncoding,
    CpType,
    IdType,
    KeId,
    NotifyType,
    PayloadType,
    ProtocolId,
)
from perilune.model.identity import Identity
from perilune.model.selector import TrafficSelector
from perilune.wire.message import decode_chain, encode_chain
from perilune.wire.payloads import (
    AuthPayload,
    CertPayload,
    CertReqPayload,
    ConfigurationAttribute,
    CpPayload,
    DeletePayload,
    EapPayload,
    IdPayload,
    KePayload,
    NoncePayload,
    NotifyPayload,
    Payload,
    TsPayload,
    UnknownTrafficSelector,
    VendorPayload,
)

V4 = TrafficSelector(IPv4Address("10.0.0.0"), IPv4Address("10.0.0.255"), 17, 500, 600)
V6 = TrafficSelector(IPv6Address("fd00::"), IPv6Address("fd00::1"))
V6_OCTETS = "08 00 0028 0000 ffff fd000000000000000000000000000000 fd000000000000000000000000000001"

LAYOUTS = [
    (KePayload(KeId.CURVE25519, b"\xaa" * 3), "001f 0000 aaaaaa"),
    (KePayload(999, b""), "03e7 0000"),
    (IdPayload(PayloadType.ID_I, Identity.parse("gw.example")), "02 000000" + b"gw.example".hex()),
    (IdPayload(PayloadType.ID_R, Identity.parse("192.0.2.1")), "01 000000 c0000201"),
    (IdPayload(PayloadType.ID_R, Identity(200, b"")), "c8 000000"),
    (CertPayload(CertEncoding.X509_SIGNATURE, b"\x30"), "04 30"),
    (CertReqPayload(CertEncoding.X509_SIGNATURE, b"\xcc" * 20), "04" + "cc" * 20),
    (AuthPayload(AuthMethod.SHARED_KEY_MIC, b"\xdd" * 4), "02 000000 dddddddd"),
    (NoncePayload(b"\xee" * 16), "ee" * 16),
    (NotifyPayload(NotifyType.NO_PROPOSAL_CHOSEN), "00 00 000e"),
    (NotifyPayload(NotifyType.REKEY_SA, b"", ProtocolId.ESP, b"\1\2\3\4"), "03 04 4009 01020304"),
    (NotifyPayload(NotifyType.INVALID_KE_PAYLOAD, b"\0\x1f"), "00 00 0011 001f"),
    (NotifyPayload(40961, b"x"), "00 00 a001 78"),
    (DeletePayload(ProtocolId.IKE), "01 00 0000"),
    (DeletePayload(ProtocolId.ESP, (b"\1\2\3\4", b"\5\6\7\x08")), "03 04 0002 01020304 05060708"),
    (VendorPayload(b"perilune"), b"perilune".hex()),
    (TsPayload(PayloadType.TS_I, (V4,)), "01 000000 07 11 0010 01f4 0258 0a000000 0a0000ff"),
    (TsPayload(PayloadType.TS_R, (V6,)), "01 000000" + V6_OCTETS),
    (
        TsPayload(PayloadType.TS_R, (UnknownTrafficSelector(9, 6, b"\1\2"), V6)),
        "02 000000 09 06 0006 0102" + V6_OCTETS,
    ),
    (
        CpPayload(CpType.CFG_REQUEST, (ConfigurationAttribute(1), ConfigurationAttribute(3, b"\n\0\0\1"))),
        "01 000000 0001 0000 0003 0004 0a000001",
    ),
    (EapPayload(bytes.fromhex("01 07 0005 01")), "01 07 0005 01"),
]


@pytest.mark.parametrize(("payload", "octets"), LAYOUTS, ids=lambda value: type(value).__name__)
def test_layout(payload: Payload, octets: str) -> None:
    body = bytes.fromhex(octets)
    assert payload.encode() == body
    type_, chain = encode_chain([payload])
    assert chain == b"\0\0" + (4 + len(body)).to_bytes(2) + body
    assert decode_chain(type_, chain) == (payload,)


@pytest.mark.parametrize(
    ("type_", "octets", "place"),
    [
        (PayloadType.KE, "001f 00", "Key Exchange payload at octet 7"),
        (PayloadType.ID_I, "02 0000", "Identification payload at octet 7"),
        (PayloadType.ID_I, "01 000000 c00002", "Identification Data at octet 8"),
        (PayloadType.ID_R, "05 000000 c0000201", "Identification Data at octet 8"),
        (PayloadType.CERT, "", "Cert Encoding at octet 4"),
        (PayloadType.CERTREQ, "", "Cert Encoding at octet 4"),
        (PayloadType.AUTH, "02 0000", "Authentication payload at octet 7"),
        (PayloadType.NONCE, "ee" * 15, "Nonce Data at octet 4"),
        (PayloadType.NONCE, "ee" * 257, "Nonce Data at octet 4"),
        (PayloadType.NOTIFY, "00 00 00", "Notify payload at octet 7"),
        (PayloadType.NOTIFY, "03 04 4009 010203", "Notify SPI at octet 11"),
        (PayloadType.DELETE, "01 00 00", "Delete payload at octet 7"),
        (PayloadType.DELETE, "04 04 0001 01020304", "Protocol ID at octet 4"),
        (PayloadType.DELETE, "03 08 0001 0102030405060708", "SPI Size at octet 5"),
        (PayloadType.DELETE, "03 00 ffff", "SPI Size at octet 5"),
        (PayloadType.DELETE, "03 04 0002 01020304", "Delete SPIs at octet 12"),
        (PayloadType.DELETE, "03 04 0001 01020304 05", "Delete SPIs at octet 12"),
        (PayloadType.TS_I, "01 0000", "Traffic Selector payload at octet 7"),
        (PayloadType.TS_I, "00 000000", "Number of TSs at octet 4"),
        (PayloadType.TS_I, "01 000000 07", "Traffic Selector at octet 9"),
        (PayloadType.TS_I, "01 000000 09 00 0003", "Selector Length at octet 10"),
        (PayloadType.TS_I, "01 000000 09 00 0005", "Selector Length at octet 10"),
        (PayloadType.TS_I, "01 000000 07 00 000c 0000 ffff 0a000000", "Selector Length at octet 10"),
        (PayloadType.TS_I, "01 000000 08 00 0010 0000 ffff 0a000000 0a000000", "Selector Length at octet 10"),
        (
            PayloadType.TS_I,
            "01 000000 07 00 0010 0000 ffff 0a000001 0a000000",
            "Starting Address at octet 16",
        ),
        (PayloadType.TS_I, "01 000000 07 00 0010 0002 0001 0a000000 0a000000", "Start Port at octet 12"),
        (PayloadType.TS_I, "01 000000 09 00 0004 00", "Traffic Selectors at octet 12"),
        (PayloadType.TS_I, "02 000000 09 00 0004", "Traffic Selector at octet 12"),
        (PayloadType.CP, "01 0000", "Configuration payload at octet 7"),
        (PayloadType.CP, "01 000000 0001 00", "Configuration Attribute at octet 11"),
        (PayloadType.CP, "01 000000 0001 0004 0a0000", "Configuration Attribute Value at octet 15"),
        (PayloadType.CP, "01 000000" + "00010000" * 257, "Configuration Attributes at octet 1032"),
        (PayloadType.EAP, "01 07 00", "EAP message at octet 7"),
        (PayloadType.EAP, "01 07 0006 01", "EAP Length at octet 6"),
    ],
)
def test_malformed(type_: PayloadType, octets: str, place: str) -> None:
    body = bytes.fromhex(octets)
    with pytest.raises(DecodeError, match=place):
        decode_chain(type_, b"\0\0" + (4 + len(body)).to_bytes(2) + body)


def test_reserved_octets_of_an_identity_are_kept_for_auth() -> None:
    octets = bytes.fromhex("02 a1a2a3 67")
    payload = IdPayload.decode(octets, 0, PayloadType.ID_I)
    assert payload.encode() == octets
    assert payload.identity == Identity(IdType.ID_FQDN, b"g")


@pytest.mark.parametrize(
    ("type_", "octets", "expected"),
    [
        (PayloadType.KE, "001f ffff aa", KePayload(31, b"\xaa")),
        (PayloadType.AUTH, "02 ffffff aa", AuthPayload(2, b"\xaa")),
        (PayloadType.CP, "01 ffffff 8001 0000", CpPayload(1, (ConfigurationAttribute(1),))),
    ],
)
def test_reserved_octets_are_ignored(type_: PayloadType, octets: str, expected: Payload) -> None:
    body = bytes.fromhex(octets)
    assert decode_chain(type_, b"\0\0" + (4 + len(body)).to_bytes(2) + body) == (expected,)


def test_opaque_ports() -> None:
    octets = bytes.fromhex("01 000000 07 06 0010 ffff 0000 0a000000 0a000000")
    (selector,) = TsPayload.decode(octets, 0, PayloadType.TS_I).known
    assert selector.is_opaque


def test_known_selectors() -> None:
    assert TsPayload(PayloadType.TS_I, (V4, UnknownTrafficSelector(9, 0, b""), V6)).known == (V4, V6)


@pytest.mark.parametrize(("type_", "is_error"), [(14, True), (16383, True), (16384, False), (40961, False)])
def test_error_notifies_known_or_not(type_: int, *, is_error: bool) -> None:
    assert NotifyPayload(type_).is_error is is_error
