"""VICI packets on a stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perilune.agent.vici.packet import LARGEST_PACKET_OCTETS, Framer, Packet, PacketType
from perilune.model.errors import DecodeError, LocalError

PACKETS = [
    Packet(PacketType.CMD_REQUEST, "list-sas", {"noblock": "yes"}),
    Packet(PacketType.CMD_RESPONSE, message={"success": "yes"}),
    Packet(PacketType.CMD_UNKNOWN),
    Packet(PacketType.EVENT_REGISTER, "list-sa"),
    Packet(PacketType.EVENT_UNREGISTER, "list-sa"),
    Packet(PacketType.EVENT_CONFIRM),
    Packet(PacketType.EVENT_UNKNOWN),
    Packet(PacketType.EVENT, "list-sa", {"gw": {"version": "2"}}),
]


@pytest.mark.parametrize("packet", PACKETS, ids=lambda packet: packet.type.name)
def test_what_is_written_is_read(packet: Packet) -> None:
    (octets,) = Framer().feed(packet.encode())
    assert Packet.decode(octets) == packet


def test_known_packet() -> None:
    octets = "0000000c" + "03" + "0a" + "6c6973742d736173" + "7878"
    assert Packet(PacketType.EVENT_REGISTER, "list-sasxx").encode() == bytes.fromhex(octets)


@given(st.lists(st.integers(1, 60), max_size=20))
def test_stream_is_cut_where_packets_end(cuts: list[int]) -> None:
    stream = b"".join(packet.encode() for packet in PACKETS)
    framer, read = Framer(), []
    at = 0
    for cut in [*cuts, len(stream)]:
        read += framer.feed(stream[at : at + cut])
        at += cut
    assert [Packet.decode(octets) for octets in read] == PACKETS


@given(st.binary(min_size=1, max_size=60))
def test_octets_are_read_or_refused(octets: bytes) -> None:
    try:
        packet = Packet.decode(octets)
    except DecodeError:
        return
    assert packet.type in PacketType


@pytest.mark.parametrize("length", [0, LARGEST_PACKET_OCTETS + 1, 2**32 - 1])
def test_impossible_length_ends_the_stream(length: int) -> None:
    with pytest.raises(DecodeError, match="packet length"):
        Framer().feed(length.to_bytes(4, "big"))


@pytest.mark.parametrize("octets", ["", "08", "ff", "0005", "0001ff", "0200", "0301610000"])
def test_what_is_no_packet_is_refused(octets: str) -> None:
    with pytest.raises(DecodeError):
        Packet.decode(bytes.fromhex(octets))


def test_packet_that_is_too_long_is_not_written() -> None:
    values: dict[str, str | bytes] = {str(number): b"\xff" * 65535 for number in range(9)}
    with pytest.raises(LocalError, match="longer than"):
        Packet(PacketType.EVENT, "log", values).encode()
    with pytest.raises(LocalError, match="more than 255"):
        Packet(PacketType.EVENT, "l" * 256).encode()
