"""Send one ICMP error about a packet that nobody need have sent; wants root.

Usage: icmp_error.py TARGET TYPE CODE NUMBER PACKET

NUMBER is what is in the second word, such as an MTU; PACKET is what is quoted, in hexadecimal.
"""

from __future__ import annotations

import socket
import struct
import sys


def checksum(octets: bytes) -> int:
    """Return the checksum of RFC 1071 of an even number of octets."""
    total: int = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def main() -> None:
    """Send it."""
    target, type_, code, number, packet = sys.argv[1:]
    quoted = bytes.fromhex(packet)
    start, rest = bytes([int(type_), int(code)]), struct.pack(">I", int(number)) + quoted
    sum_ = checksum(start + b"\0\0" + rest)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.sendto(start + struct.pack(">H", sum_) + rest, (target, 0))


if __name__ == "__main__":
    main()
