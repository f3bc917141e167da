"""VICI packets, as clients send them."""

from __future__ import annotations

from perilune.agent.vici.packet import Packet
from perilune.model.errors import DecodeError


def run(data: bytes) -> None:
    """Read a packet; what is accepted says the same when it is written again."""
    packet = _read(data)
    if isinstance(packet, DecodeError):
        assert 0 <= packet.offset <= len(data)
    else:
        assert Packet.decode(packet.encode()[4:]) == packet


def _read(data: bytes) -> Packet | DecodeError:
    try:
        return Packet.decode(data)
    except DecodeError as error:
        return error
