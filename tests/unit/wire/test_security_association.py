from __future__ import annotations

import pytest

from perilune.model.errors import DecodeError
from perilune.model.iana import EncrId, IntegId, KeId, PrfId, ProtocolId, SnId, TransformType
from perilune.model.proposal import Proposal, Transform
from perilune.wire.limits import MAX_TRANSFORM_ATTRIBUTES
from perilune.wire.payloads import SaPayload

IKE = Proposal(
    ProtocolId.IKE,
    (
        Transform(TransformType.ENCR, EncrId.ENCR_AES_CBC, 256),
        Transform(TransformType.INTEG, IntegId.AUTH_HMAC_SHA2_256_128),
        Transform(TransformType.PRF, PrfId.PRF_HMAC_SHA2_256),
        Transform(TransformType.KE, KeId.CURVE25519),
    ),
)
ESP = Proposal(
    ProtocolId.ESP,
    (
        Transform(TransformType.ENCR, EncrId.ENCR_AES_GCM_16, 128),
        Transform(TransformType.SN, SnId.SEQUENTIAL_32),
    ),
    spi=b"\x01\x02\x03\x04",
    number=2,
)
IKE_BODY = (
    "00 00 002c 01 01 00 04 0300000c 0100000c 800e0100 03000008 0300000c 03000008 02000005 00000008 0400001f"
)
ESP_BODY = "00 00 0020 02 03 04 02 01020304 0300000c 01000014 800e0080 00000008 05000000"
ESN = "00000008 05000001"


def body(*parts: str) -> bytes:
    return bytes.fromhex("".join(parts))


def test_one_proposal() -> None:
    assert SaPayload.decode(body(IKE_BODY), 0) == SaPayload((IKE,))
    assert SaPayload((IKE,)).encode() == body(IKE_BODY)


def test_two_proposals() -> None:
    octets = body("02", IKE_BODY[2:], ESP_BODY)
    assert SaPayload.decode(octets, 0) == SaPayload((IKE, ESP))
    assert SaPayload((IKE, ESP)).encode() == octets


def test_known_numbers_come_with_their_names() -> None:
    (proposal,) = SaPayload.decode(body(IKE_BODY), 0).proposals
    assert isinstance(proposal.protocol, ProtocolId)
    assert str(proposal) == ("IKE: ENCR_AES_CBC(256), AUTH_HMAC_SHA2_256_128, PRF_HMAC_SHA2_256, CURVE25519")


##= https://www.rfc-editor.org/rfc/rfc7296#section-3.3.6
##= type=test
##% This
##% allows new Transform Types and Transform Attributes to be defined in
##% the future.
@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ("0000000c f1000001 800e0080", Transform(0xF1, 1, 128)),
        ("00000010 01000014 800e0080 80ff0102", Transform(1, 20, 128, ((0x80FF, b"\1\2"),))),
        ("0000000f 01000014 00ff0003 010203", Transform(1, 20, None, ((0xFF, b"\1\2\3"),))),
        ("0000000e 01000014 000e0002 0080", Transform(1, 20, None, ((0x0E, b"\0\x80"),))),
        ("00000010 01000014 800e0080 800e0100", Transform(1, 20, 128, ((0x800E, b"\1\0"),))),
    ],
    ids=["type", "short attribute", "long attribute", "key length in long form", "second key length"],
)
def test_unknown_parts_are_kept(transform: str, expected: Transform) -> None:
    octets = body("00 00", f"{8 + len(bytes.fromhex(transform)):04x}", "01 03 00 01", transform)
    assert SaPayload.decode(octets, 0).proposals[0].transforms == (expected,)
    assert SaPayload((Proposal(ProtocolId.ESP, (expected,)),)).encode() == octets


##= https://www.rfc-editor.org/rfc/rfc7296#section-3.3
##= type=test
##% When parsing an SA, an implementation MUST check that the total
##% Payload Length is consistent with the payload's internal lengths and
##% counts.
@pytest.mark.parametrize(
    ("octets", "place"),
    [
        (body(), "Proposal at octet 100"),
        (body("00 00 0010 01 03 00"), "Proposal at octet 107"),
        (body("00 00 0000 01 03 00 01", ESN), "Proposal Length at octet 102"),
        (body("00 00 0007 01 03 00 01", ESN), "Proposal Length at octet 102"),
        (body("00 00 0011 01 03 00 01", ESN), "Proposal Length at octet 102"),
        (body("00 00 000b 01 03 04 00 010203"), "Proposal Length at octet 102"),
        (body("00 00 0008 01 03 00 00"), "Transform at octet 108"),
        (body("00 00 0010 01 03 00 02", ESN), "Num Transforms at octet 107"),
        (body("00 00 0010 01 03 00 00", ESN), "Num Transforms at octet 107"),
        (body("02 00 0010 01 03 00 01", ESN), "Last Substruc at octet 100"),
        (body("03 00 0010 01 03 00 01", ESN), "Last Substruc at octet 100"),
        (body("00 00 0010 01 03 00 01", ESN, "00"), "Last Substruc at octet 100"),
        (body("02 00 0010 01 03 00 01", ESN, "00"), "Proposal at octet 117"),
        (body("00 00 0010 01 03 00 01 03000008 05000001"), "Last Substruc at octet 108"),
        (body("00 00 0010 01 03 00 01 00000007 05000001"), "Transform Length at octet 110"),
        (body("00 00 0010 01 03 00 01 00000009 05000001"), "Transform Length at octet 110"),
        (body("00 00 0013 01 03 00 01 0000000b 01000014 800e00"), "Transform Attribute at octet 119"),
        (body("00 00 0014 01 03 00 01 0000000c 01000014 000f0001"), "Attribute Value at octet 120"),
    ],
)
def test_inconsistent_lengths_and_counts(octets: bytes, place: str) -> None:
    with pytest.raises(DecodeError, match=place):
        SaPayload.decode(octets, 100)


@pytest.mark.parametrize(
    "proposals",
    [
        (ESP,) * 65,
        tuple(Proposal(3, (Transform(5, 0),) * 255, number=number) for number in range(3)),
        (Proposal(3, (Transform(1, 20, None, ((0x80FF, b"\0\0"),) * (MAX_TRANSFORM_ATTRIBUTES + 1)),)),),
    ],
    ids=["proposals", "transforms", "attributes"],
)
def test_too_many(proposals: tuple[Proposal, ...]) -> None:
    with pytest.raises(DecodeError, match="too many"):
        SaPayload.decode(SaPayload(proposals).encode(), 0)
