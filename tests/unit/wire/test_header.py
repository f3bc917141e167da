from __future__ import annotations

import pytest

from perilune.model.errors import DecodeError
from perilune.model.iana import NotifyType
from perilune.wire.header import Flags, Header
from perilune.wire.message import decode_header
from support.messages import REQUEST, message

OCTETS = bytes.fromhex("0102030405060708 1112131415161718 2e 20 23 28 00000001 0000001c")


def test_each_field_lies_where_the_drawing_says() -> None:
    header = Header.decode(OCTETS)
    assert (header.spi_i, header.spi_r) == (0x0102030405060708, 0x1112131415161718)
    assert (header.next_payload, header.exchange_type, header.message_id, header.length) == (46, 35, 1, 28)
    assert header.flags == Flags(initiator=True, response=True)
    assert header.encode() == OCTETS


##= https://www.rfc-editor.org/rfc/rfc7296#section-3.1
##= type=test
##% 'X' bits MUST be
##% cleared when sending and MUST be ignored on receipt.
def test_undefined_flags_are_ignored() -> None:
    octets = OCTETS[:19] + b"\xff" + OCTETS[20:]
    assert Header.decode(octets).flags == Flags(initiator=True, response=True, version=True)
    assert Header.decode(octets).flags.encode() == 0x38


##= https://www.rfc-editor.org/rfc/rfc7296#section-3.1
##= type=test
##% They MUST ignore the minor
##% version number of received messages.
def test_minor_version_is_ignored() -> None:
    assert decode_header(message(0, version=0x2F)).minor_version == 15


@pytest.mark.parametrize("version", [0x00, 0x10, 0x30, 0xF0])
def test_other_major_version_is_refused_and_can_be_answered(version: int) -> None:
    octets = message(33, version=version)
    with pytest.raises(DecodeError) as refusal:
        decode_header(octets)
    assert refusal.value.notify is NotifyType.INVALID_MAJOR_VERSION
    assert Header.decode(octets).spi_i == REQUEST.spi_i


@pytest.mark.parametrize("octets", [b"", OCTETS[:27]])
def test_short_datagram_has_no_answer(octets: bytes) -> None:
    with pytest.raises(DecodeError) as refusal:
        decode_header(octets)
    assert refusal.value.notify is None


@pytest.mark.parametrize("length", [0, 27, 29, 2**32 - 1])
def test_length_must_be_the_datagram_s(length: int) -> None:
    with pytest.raises(DecodeError, match="Length at octet 24"):
        decode_header(OCTETS[:24] + length.to_bytes(4))
