"""Joins the fragments that a kernel sends, as a host does before IPsec (RFC 791; RFC 8200, section 4.5)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

FRAGMENT_HEADER = 44
MORE_FRAGMENTS = 0x2000


@dataclass(frozen=True, slots=True)
class Fragment:
    """Part of a packet; one of IPv6 may be all of it (RFC 6946)."""

    key: bytes
    """Addresses, protocol and identification."""

    head: bytes
    """IP header."""

    offset: int
    is_last: bool
    payload: bytes


def parse(packet: bytes) -> Fragment | None:
    """Read an IPv4 packet, or an IPv6 packet whose first extension header, if any, is for fragments.

    Returns:
        None if it is no fragment.
    """
    if packet[0] >> 4 == 4:
        begin, end = 4 * (packet[0] & 0xF), int.from_bytes(packet[2:4], "big")
        field = int.from_bytes(packet[6:8], "big")
        if not field & 0x3FFF:
            return None
        key = packet[12:20] + packet[9:10] + packet[4:6]
        return Fragment(
            key, packet[:begin], 8 * (field & 0x1FFF), not field & MORE_FRAGMENTS, packet[begin:end]
        )
    if packet[6] != FRAGMENT_HEADER:
        return None
    end = 40 + int.from_bytes(packet[4:6], "big")
    field = int.from_bytes(packet[42:44], "big")
    head = packet[:6] + packet[40:41] + packet[7:40]
    return Fragment(packet[8:40] + packet[44:48], head, field & ~7, not field & 1, packet[48:end])


class Reassembly:
    """Fragments that wait for the rest."""

    def __init__(self) -> None:
        self._parts: dict[bytes, dict[int, Fragment]] = defaultdict(dict)

    def add(self, packet: bytes) -> bytes | None:
        """Take a packet.

        Returns:
            The whole packet, if this is one or was what was missing; the checksum of an IPv4 header that was
            joined is 0.
        """
        part = parse(packet)
        if part is None:
            return packet
        parts = self._parts[part.key]
        parts[part.offset] = part
        payload = b""
        while (next_part := parts.get(len(payload))) is not None:
            payload += next_part.payload
            if next_part.is_last:
                del self._parts[part.key]
                return with_payload(parts[0].head, payload)
        return None


def with_payload(head: bytes, payload: bytes) -> bytes:
    """Put a payload behind an IP header, whose lengths are those of the first fragment."""
    if head[0] >> 4 == 6:
        return head[:4] + len(payload).to_bytes(2, "big") + head[6:] + payload
    length = (len(head) + len(payload)).to_bytes(2, "big")
    return head[:2] + length + head[4:6] + bytes(2) + head[8:10] + bytes(2) + head[12:] + payload
