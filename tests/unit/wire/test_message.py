from __future__ import annotations

import pytest

from perilune.model.errors import DecodeError, LocalError
from perilune.model.iana import NotifyType, PayloadType
from perilune.wire.message import (
    Message,
    decode_chain,
    encode_chain,
    encode_encrypted_prefix,
    encode_fragment_prefix,
    encode_message,
)
from perilune.wire.payloads import (
    EncryptedFragment,
    EncryptedPayload,
    NoncePayload,
    NotifyPayload,
    UnknownPayload,
    VendorPayload,
)
from support.messages import REQUEST, message
from support.vectors import printed

NONCE = "00 00 0014" + "ab" * 16
SOURCE = "%02x 00 001c 00 00 4004" + "cd" * 20


def test_chain_of_payloads() -> None:
    octets = message(40, "29 00 0014" + "ab" * 16, SOURCE % 0)
    nonce = NoncePayload(b"\xab" * 16)
    notify = NotifyPayload(NotifyType.NAT_DETECTION_SOURCE_IP, b"\xcd" * 20)
    assert Message.decode(octets).payloads == (nonce, notify)
    assert encode_message(REQUEST, [nonce, notify]) == octets


def test_no_payloads() -> None:
    assert Message.decode(message(0)).payloads == ()
    assert decode_chain(PayloadType.NONE, b"") == ()
    assert encode_chain([]) == (PayloadType.NONE, b"")


def test_message_of_rfc_7634() -> None:
    (vector,) = printed("rfc7634_ikev2_message.json")["vectors"]
    octets = bytes.fromhex(vector["message"])
    received = Message.decode(octets)
    iv, ciphertext, tag = (bytes.fromhex(vector[name]) for name in ("iv", "ciphertext", "tag"))
    assert received.payloads == (EncryptedPayload(PayloadType.NOTIFY, iv + ciphertext + tag),)
    assert received.associated_data.hex() == vector["aad"]
    prefix = encode_encrypted_prefix(received.header, PayloadType.NOTIFY, len(iv + ciphertext + tag))
    assert prefix == received.associated_data


def test_fragment_s_numbers_belong_to_the_associated_data() -> None:
    prefix = encode_fragment_prefix(REQUEST, PayloadType.ID_I, 1, 3, 4)
    received = Message.decode(prefix + b"data")
    assert received.encrypted == EncryptedFragment(PayloadType.ID_I, 1, 3, b"data")
    assert received.associated_data == prefix
    assert prefix.hex().endswith("23 00 000c 0001 0003".replace(" ", ""))


##= https://www.rfc-editor.org/rfc/rfc7383#section-2.5
##= type=test
##% In the rest of the Fragment messages (with Fragment Number greater
##% than 1), this field MUST be set to zero.
def test_only_the_first_fragment_names_a_payload() -> None:
    received = Message.decode(encode_fragment_prefix(REQUEST, PayloadType.ID_I, 2, 3, 4) + b"data")
    assert received.encrypted == EncryptedFragment(PayloadType.NONE, 2, 3, b"data")


##= https://www.rfc-editor.org/rfc/rfc7383#section-2.6
##= type=test
##% check that the Fragment Number and the Total Fragments fields
##% contain non-zero values
##= https://www.rfc-editor.org/rfc/rfc7383#section-2.6
##= type=test
##% check that the value in the Fragment Number field is less than
##% or equal to the value in the Total Fragments field
@pytest.mark.parametrize("numbers", ["0000 0001", "0001 0000", "0000 0000", "0003 0002"])
def test_impossible_fragment_is_dropped_in_silence(numbers: str) -> None:
    with pytest.raises(DecodeError) as refusal:
        Message.decode(message(53, "23 00 000c", numbers, "00000000"))
    assert refusal.value.notify is None


##= https://www.rfc-editor.org/rfc/rfc7296#section-2.5
##= type=test
##% If the critical flag is set
##% and the payload type is unrecognized, the message MUST be rejected
##% and the response to the IKE request containing that payload MUST
##% include a Notify payload UNSUPPORTED_CRITICAL_PAYLOAD, indicating an
##% unsupported critical payload was included.  In that Notify payload,
##% the Notification Data contains the one-octet payload type.
def test_unknown_critical_payload_is_refused() -> None:
    with pytest.raises(DecodeError) as refusal:
        Message.decode(message(200, "00 80 0005 ff"))
    assert refusal.value.notify is NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD
    assert refusal.value.notify_data == b"\xc8"


##= https://www.rfc-editor.org/rfc/rfc7296#section-2.5
##= type=test
##% If the
##% critical flag is not set and the payload type is unsupported, that
##% payload MUST be ignored.
@pytest.mark.parametrize("type_", [1, 32, 49, 200, 255])
def test_unknown_payload_is_passed_over(type_: int) -> None:
    payloads = Message.decode(message(type_, "28 7f 0005 ff", NONCE)).payloads
    assert payloads == (UnknownPayload(type_, critical=False, body=b"\xff"), NoncePayload(b"\xab" * 16))


##= https://www.rfc-editor.org/rfc/rfc7296#section-3.2
##= type=test
##% MUST be ignored by the recipient if the recipient
##% understands the payload type code.
def test_critical_bit_of_a_known_payload_is_ignored() -> None:
    assert Message.decode(message(43, "00 ff 0005 01")).payloads == (VendorPayload(b"\1"),)


def test_critical_bit_is_written() -> None:
    assert encode_chain([UnknownPayload(200, critical=True, body=b"")]) == (200, b"\0\x80\0\4")


@pytest.mark.parametrize(
    ("octets", "place"),
    [
        pytest.param(message(40), "Generic Payload Header at octet 28", id="no payload where one is named"),
        pytest.param(message(43, "00 00 00"), "Generic Payload Header at octet 28", id="cut header"),
        pytest.param(message(43, "00 00 0000"), "Payload Length at octet 30", id="length 0"),
        pytest.param(message(43, "00 00 0003"), "Payload Length at octet 30", id="length 3"),
        pytest.param(message(43, "00 00 0006 00"), "Payload Length at octet 30", id="overrun"),
        pytest.param(message(43, "00 00 0005 00 00"), "Next Payload at octet 33", id="trailing octet"),
        pytest.param(message(0, "00"), "Next Payload at octet 28", id="octets but no payload"),
        pytest.param(
            message(46, "2b 00 0005 00", "00 00 0004"), "Next Payload at octet 33", id="payload behind SK"
        ),
        pytest.param(message(43, *["2b 00 0004"] * 64, "00 00 0004"), "Payloads at octet 284", id="too many"),
    ],
)
def test_malformed_chain(octets: bytes, place: str) -> None:
    with pytest.raises(DecodeError, match=place) as refusal:
        Message.decode(octets)
    assert refusal.value.notify is NotifyType.INVALID_SYNTAX


##= https://www.rfc-editor.org/rfc/rfc7296#section-3.1
##= type=test
##% an Encrypted payload MUST NOT contain another
##% Encrypted payload.
@pytest.mark.parametrize("type_", [PayloadType.SK, PayloadType.SKF])
def test_no_encrypted_payload_inside(type_: PayloadType) -> None:
    with pytest.raises(DecodeError, match="inside an encrypted one"):
        decode_chain(type_, bytes.fromhex("00 00 0008 00010001"))


@pytest.mark.parametrize("type_", [40, 44])
def test_second_payload_where_one_is_meant(type_: int) -> None:
    bodies = {40: "ab" * 16, 44: "01000000 09000004"}
    payload = f"00 {4 + len(bytes.fromhex(bodies[type_])):04x}" + bodies[type_]
    assert len(Message.decode(message(type_, "00", payload)).payloads) == 1
    with pytest.raises(DecodeError, match=f"a second {type_}"):
        Message.decode(message(type_, f"{type_:02x}", payload, "00", payload))


def test_payloads_that_may_come_often() -> None:
    for payload in (NotifyPayload(1), VendorPayload(b""), UnknownPayload(200, critical=False, body=b"")):
        assert decode_chain(*encode_chain([payload] * 3)) == (payload,) * 3


def test_errors_of_an_inner_chain_count_from_its_offset() -> None:
    with pytest.raises(DecodeError, match="Nonce Data at octet 104"):
        decode_chain(PayloadType.NONCE, bytes.fromhex("00 00 0005 00"), offset=100)


def test_longest_payload() -> None:
    type_, octets = encode_chain([VendorPayload(bytes(65531))])
    assert decode_chain(type_, octets) == (VendorPayload(bytes(65531)),)
    with pytest.raises(LocalError):
        encode_chain([VendorPayload(bytes(65532))])
