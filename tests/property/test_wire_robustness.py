"""No octets make a decoder raise anything but DecodeError."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perilune.model.errors import DecodeError
from perilune.model.iana import PayloadType
from perilune.wire.header import Header
from perilune.wire.message import Message, decode_chain, decode_header, encode_chain, encode_message
from perilune.wire.payloads import Payload
from property import strategies as own


def _refusal(octets: bytes) -> DecodeError | None:
    try:
        Message.decode(octets)
    except DecodeError as error:
        return error
    return None


def _decode_or_refuse(octets: bytes) -> None:
    refusal = _refusal(octets)
    assert refusal is None or (refusal.field and 0 <= refusal.offset <= len(octets))


@given(st.binary(max_size=200))
def test_any_octets(octets: bytes) -> None:
    _decode_or_refuse(octets)
    with suppress(DecodeError):
        decode_header(octets)


@given(own.headers, st.integers(0, 255), st.binary(max_size=120))
def test_any_octets_behind_a_header(header: Header, first_type: int, body: bytes) -> None:
    octets = bytearray(header.encode() + body)
    octets[16] = first_type
    octets[24:28] = len(octets).to_bytes(4)
    _decode_or_refuse(bytes(octets))


@pytest.mark.parametrize("type_", [*PayloadType, 200])
@given(body=st.binary(max_size=120))
def test_any_body_of_a_payload(type_: int, body: bytes) -> None:
    octets = b"\0\0" + (4 + len(body)).to_bytes(2) + body
    with suppress(DecodeError):
        # What is accepted says the same when it is written again.
        payloads = decode_chain(type_, octets)
        assert decode_chain(*encode_chain(payloads)) == payloads


@given(own.headers, own.chains, st.data())
def test_damaged_message(header: Header, payloads: tuple[Payload, ...], data: st.DataObject) -> None:
    octets = bytearray(encode_message(header, payloads))
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    _decode_or_refuse(bytes(octets))


@given(own.headers, own.chains.filter(bool), st.data())
def test_cut_message_is_refused(header: Header, payloads: tuple[Payload, ...], data: st.DataObject) -> None:
    octets = encode_message(header, payloads)
    cut = octets[: data.draw(st.integers(0, len(octets) - 1))]
    with pytest.raises(DecodeError):
        Message.decode(cut)
    if len(cut) >= 28:
        # The same with a header that says so.
        with suppress(DecodeError):
            assert Message.decode(cut[:24] + len(cut).to_bytes(4) + cut[28:]).payloads != payloads
