"""decode(encode(x)) == x for all payloads, chains and messages."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from perilune.wire.header import Header
from perilune.wire.message import (
    Message,
    decode_chain,
    encode_chain,
    encode_encrypted_prefix,
    encode_fragment_prefix,
    encode_message,
)
from perilune.wire.payloads import EncryptedFragment, EncryptedPayload, Payload
from property import strategies as own


@given(own.headers)
def test_header(header: Header) -> None:
    assert Header.decode(header.encode()) == header
    assert len(header.encode()) == 28


@given(own.payloads)
def test_payload(payload: Payload) -> None:
    type_, octets = encode_chain([payload])
    assert type_ == payload.payload_type
    assert decode_chain(type_, octets) == (payload,)


@given(own.chains)
def test_chain(payloads: tuple[Payload, ...]) -> None:
    assert decode_chain(*encode_chain(payloads)) == payloads


@given(own.headers, own.chains)
def test_message(header: Header, payloads: tuple[Payload, ...]) -> None:
    octets = encode_message(header, payloads)
    message = Message.decode(octets)
    assert message.payloads == payloads
    assert message.octets == message.associated_data == octets
    assert message.encrypted is None
    first = payloads[0].payload_type if payloads else 0
    assert message.header == replace(header, next_payload=first, length=len(octets))


@given(own.headers, own.chains, own.encrypted_payloads)
def test_message_with_encrypted_end(
    header: Header, payloads: tuple[Payload, ...], end: EncryptedPayload | EncryptedFragment
) -> None:
    octets = encode_message(header, (*payloads, end))
    message = Message.decode(octets)
    assert message.payloads == (*payloads, end)
    assert message.encrypted == end
    assert message.associated_data + end.content == octets


@given(own.headers, own.encrypted_payloads)
def test_prefix_is_the_message_before_its_content(
    header: Header, end: EncryptedPayload | EncryptedFragment
) -> None:
    if isinstance(end, EncryptedFragment):
        end = replace(end, inner_type=end.inner_type if end.number == 1 else 0)
        prefix = encode_fragment_prefix(header, end.inner_type, end.number, end.total, len(end.content))
    else:
        prefix = encode_encrypted_prefix(header, end.inner_type, len(end.content))
    assert prefix + end.content == encode_message(header, [end])
