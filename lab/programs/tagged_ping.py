"""Send ICMP echo requests with a VLAN tag until one is answered with the same tag.

Usage: tagged_ping.py DEVICE VLAN STATION SOURCE TARGET SECONDS

STATION is the address of the next router, such as 02:00:00:00:00:01. Works on kernels without VLAN devices,
too. Ends with 0 if there was an answer in time, with 1 if not.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
import time

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_AUXDATA = 8
AUXDATA = struct.Struct("=IIIHHHH")
VLAN_VALID = 1 << 4
PATIENCE_S = 1.0
ECHO_REQUEST, ECHO_REPLY = 8, 0


def checksum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071) of an even number of octets."""
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(source: str, target: str) -> bytes:
    """An IPv4 packet."""
    addresses = ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(target).packed
    message = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, 7, 7)
    message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(message), 1, 0, 64, 1, 0) + addresses
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + message


def tag_of(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The VLAN that the kernel took out of a frame."""
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, _ = AUXDATA.unpack(data[: AUXDATA.size])
            return int(tci) & 0xFFF if status & VLAN_VALID else None
    return None


def is_answer(frame: bytes, source: str, target: str) -> bool:
    """Whether a frame carries the answer."""
    ends = ipaddress.IPv4Address(target).packed + ipaddress.IPv4Address(source).packed
    return frame[12:14] == b"\x08\x00" and frame[26:34] == ends and frame[34] == ECHO_REPLY


def main() -> int:
    """Ask until there is an answer."""
    device, vlan, station, source, target, seconds = sys.argv[1:]
    deadline = time.monotonic() + float(seconds)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.bind((device, ETH_P_ALL))
        own: bytes = sock.getsockname()[4]
        to = bytes.fromhex(station.replace(":", ""))
        tagged = to + own + struct.pack("!HHH", 0x8100, int(vlan), 0x0800)
        while time.monotonic() < deadline:
            sock.send(tagged + echo_request(source, target))
            until = time.monotonic() + PATIENCE_S
            while (left := until - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    frame, ancillary, _, _ = sock.recvmsg(65600, socket.CMSG_SPACE(AUXDATA.size))
                except TimeoutError:
                    break
                if tag_of(ancillary) == int(vlan) and is_answer(frame, source, target):
                    return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
