"""VICI packets, as clients send them."""

from __future__ import annotations

from perilune.agent.vici.packet import Framer, Packet
from perilune.model.errors import DecodeError


def run(data: bytes) -> None:
    """Read a packet; what is accepted says the same when it is written again. Then cut a stream."""
    packet = _read(data)
    if isinstance(packet, DecodeError):
        assert 0 <= packet.offset <= len(data)
    else:
        assert Packet.decode(packet.encode()[4:]) == packet
    _check_stream(data)


def _read(data: bytes) -> Packet | DecodeError:
    try:
        return Packet.decode(data)
    except DecodeError as error:
        return error


def _check_stream(data: bytes) -> None:
    """However a stream arrives, it is the same packets."""
    whole, octet_by_octet = _cut([data]), _cut([bytes([octet]) for octet in data])
    # A length that cannot be ends the stream before the packets that came with it are handed over.
    assert whole == octet_by_octet[: len(whole)]


def _cut(pieces: list[bytes]) -> list[bytes]:
    framer, packets = Framer(), list[bytes]()
    try:
        for piece in pieces:
            packets += framer.feed(piece)
    except DecodeError:
        pass  # the packets that came before are there
    return packets
