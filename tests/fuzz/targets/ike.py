"""IKE messages and the chains of payloads in them."""

from __future__ import annotations

from perilune.model.errors import DecodeError
from perilune.wire.message import Message, decode_chain, decode_header, encode_chain, encode_message
from perilune.wire.payloads import Payload


def run(data: bytes) -> None:
    """Read a message, and a chain of payloads whose first type is the first octet."""
    message = _read_message(data)
    if isinstance(message, DecodeError):
        assert message.field
        assert 0 <= message.offset <= len(data)
    else:
        again = Message.decode(encode_message(message.header, message.payloads))
        assert again.payloads == message.payloads
    payloads = _read_chain(data)
    # What is accepted says the same when it is written again.
    assert decode_chain(*encode_chain(payloads)) == payloads


def _read_message(data: bytes) -> Message | DecodeError:
    try:
        header = decode_header(data)
        message = Message.decode(data)
    except DecodeError as error:
        return error
    assert message.header == header
    return message


def _read_chain(data: bytes) -> tuple[Payload, ...]:
    try:
        return decode_chain(data[0], data[1:]) if data else ()
    except DecodeError:
        return ()
