"""VICI packets: what travels over the stream between client and daemon.

    0                   1                   2                   3
    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
   +---------------------------------------------------------------+
   |               Length of what follows, in octets               |
   +---------------+---------------+-------------------------------+
   |  Packet Type  |  Name Length  |  Name ...
   +---------------+---------------+-------------------------------+
   |  Message ...
   +---------------------------------------------------------------+

Only requests, registrations and events have a name; only requests, responses and events a message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from perilune.agent.vici.codec import Node, decode, encode
from perilune.model.errors import DecodeError, LocalError

LARGEST_PACKET_OCTETS = 512 * 1024
"""A longer packet ends the session; strongSwan has the same limit."""

_LENGTH_OCTETS = 4


class PacketType(IntEnum):
    """Type octet of a packet."""

    CMD_REQUEST = 0
    CMD_RESPONSE = 1
    CMD_UNKNOWN = 2
    EVENT_REGISTER = 3
    EVENT_UNREGISTER = 4
    EVENT_CONFIRM = 5
    EVENT_UNKNOWN = 6
    EVENT = 7


_NAMED = {PacketType.CMD_REQUEST, PacketType.EVENT_REGISTER, PacketType.EVENT_UNREGISTER, PacketType.EVENT}
_WITH_MESSAGE = {PacketType.CMD_REQUEST, PacketType.CMD_RESPONSE, PacketType.EVENT}


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet without its length."""

    type: PacketType
    name: str = ""
    """Of the command or event; empty where the type has none."""

    message: Node = field(default_factory=dict)
    """Empty where the type has none."""

    def encode(self) -> bytes:
        """Return the packet's octets with the length before them.

        Raises:
            LocalError: The packet is too long, or its message cannot be written.
        """
        octets = bytes([self.type])
        if self.type in _NAMED:
            name = self.name.encode("utf-8", "backslashreplace")
            if len(name) > 0xFF:
                raise LocalError("a VICI command or event has a name of more than 255 octets")
            octets += bytes([len(name)]) + name
        if self.type in _WITH_MESSAGE:
            octets += encode(self.message)
        if len(octets) > LARGEST_PACKET_OCTETS:
            raise LocalError(f"a VICI packet of {len(octets)} octets is longer than {LARGEST_PACKET_OCTETS}")
        return len(octets).to_bytes(_LENGTH_OCTETS, "big") + octets

    @classmethod
    def decode(cls, data: bytes) -> Packet:
        """Read a packet without its length.

        Raises:
            DecodeError: The octets are no packet; there is no notify for it.
        """
        type_ = _packet_type(data)
        name, at = _packet_name(data) if type_ in _NAMED else ("", 1)
        if type_ in _WITH_MESSAGE:
            return cls(type_, name, decode(data[at:]))
        if at != len(data):
            raise _error(f"{len(data) - at} octets too many", at, "packet")
        return cls(type_, name)


class Framer:
    """Cuts a stream into packets."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take octets off the stream; return the packets that they complete, each without its length.

        Raises:
            DecodeError: A length is 0 or beyond `LARGEST_PACKET_OCTETS`; the stream can't be read any more.
        """
        self._pending += data
        packets = []
        while len(self._pending) >= _LENGTH_OCTETS:
            length = int.from_bytes(self._pending[:_LENGTH_OCTETS], "big")
            if not 0 < length <= LARGEST_PACKET_OCTETS:
                raise _error(f"{length} is not 1 to {LARGEST_PACKET_OCTETS}", 0, "packet length")
            end = _LENGTH_OCTETS + length
            if len(self._pending) < end:
                break
            packets.append(bytes(self._pending[_LENGTH_OCTETS:end]))
            del self._pending[:end]
        return packets


def _packet_type(data: bytes) -> PacketType:
    try:
        return PacketType(data[0])
    except (IndexError, ValueError) as error:
        raise _error("is no packet type that we know", 0, "packet type") from error


def _packet_name(data: bytes) -> tuple[str, int]:
    end = 2 + int.from_bytes(data[1:2], "big")
    if len(data) < end:
        raise _error("is longer than the packet", 1, "packet name")
    try:
        return data[2:end].decode(), end
    except UnicodeDecodeError as error:
        raise _error("is not UTF-8", 2, "packet name") from error


def _error(message: str, offset: int, field_name: str) -> DecodeError:
    return DecodeError(message, offset=offset, field=f"VICI {field_name}", notify=None)
