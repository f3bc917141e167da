"""Read every frame on a device, sort the packets, and look for strings in them.

Usage: eavesdrop.py DEVICE [STRING ...]

Says "saw KIND" with the first packet of each kind. Goes on until SIGINT, then prints one JSON object: packets
by kind, how often each string was seen, the beginning of the first long packet of each kind in hexadecimal,
how many answers to a ping came by whose question did not, and how many frames the kernel could not hand over
in time.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
import sys
from collections import Counter

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
SOL_PACKET = 263
PACKET_STATISTICS = 6
SAMPLE_OCTETS = 150
NON_ESP_MARKER = bytes(4)
ECHO_REPLY, ECHO = 0, 8
TRANSPORTS = {1: "ICMP", 6: "TCP", 17: "UDP", 50: "ESP", 51: "AH", 58: "ICMPv6"}


def transport(frame: bytes) -> tuple[int, bytes] | None:
    """Protocol number and payload of the IP packet in an Ethernet frame, or None for anything else."""
    ethertype = frame[12:14]
    packet = frame[14:]
    if ethertype == b"\x08\x00" and len(packet) >= 20:
        return packet[9], packet[(packet[0] & 15) * 4 : int.from_bytes(packet[2:4], "big")]
    if ethertype == b"\x86\xdd" and len(packet) >= 40:
        return packet[6], packet[40:]
    return None


def kind_of(frame: bytes) -> str:
    """What an eavesdropper can tell about a frame."""
    found = transport(frame)
    if found is None:
        return "other"
    protocol, payload = found
    if protocol != 17 or len(payload) < 8:
        return TRANSPORTS.get(protocol, f"protocol {protocol}")
    ports = struct.unpack("!HH", payload[:4])
    data = payload[8:]
    if 500 in ports:
        return "IKE"
    if 4500 not in ports:
        return "UDP"
    if data == b"\xff":
        return "NAT keepalive"
    return "IKE" if data[:4] == NON_ESP_MARKER else "ESP in UDP"


def ping_of(frame: bytes) -> tuple[bool, bytes] | None:
    """Whether a frame is an answer to a ping, and which one it is about; None for anything else."""
    found = transport(frame)
    if found is None or found[0] != 1 or len(found[1]) < 8:
        return None
    type_, number = found[1][0], found[1][4:8]
    return (type_ == ECHO_REPLY, number) if type_ in (ECHO_REPLY, ECHO) else None


class Eavesdropper:
    """Counts frames and strings.

    Args:
        needles: Strings to look for.
    """

    def __init__(self, needles: list[str]) -> None:
        self.kinds: Counter[str] = Counter()
        self.octets: Counter[str] = Counter()
        self.samples: dict[str, str] = {}
        self.unasked = 0
        self.seen = dict.fromkeys(needles, 0)
        self._asked: set[bytes] = set()
        self._needles = [(needle, needle.encode()) for needle in needles]

    def look_at(self, frame: bytes) -> None:
        """Account for one frame."""
        kind = kind_of(frame)
        if kind not in self.kinds:
            sys.stderr.write(f"saw {kind}\n")
        self.kinds[kind] += 1
        self.octets[kind] += len(frame)
        if len(frame) >= SAMPLE_OCTETS and kind not in self.samples:
            self.samples[kind] = frame[:SAMPLE_OCTETS].hex()
        for needle, octets in self._needles:
            self.seen[needle] += frame.count(octets)
        if ping := ping_of(frame):
            is_answer, number = ping
            if not is_answer:
                self._asked.add(number)
            elif number not in self._asked:
                self.unasked += 1


def main() -> int:
    """Listen until SIGINT."""
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGINT, stop)
    eavesdropper = Eavesdropper(sys.argv[2:])
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        sock.settimeout(0.1)
        sock.bind((sys.argv[1], ETH_P_ALL))
        sys.stderr.write("listening\n")
        while True:
            if not running:
                sock.setblocking(False)  # what came by until now is still looked at
            try:
                eavesdropper.look_at(sock.recv(65600))
            except (TimeoutError, BlockingIOError):
                if not running:
                    break
        missed = struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    report = {
        "packets": eavesdropper.kinds,
        "octets": eavesdropper.octets,
        "seen": eavesdropper.seen,
        "samples": eavesdropper.samples,
        "unasked": eavesdropper.unasked,
        "missed": missed,
    }
    sys.stdout.write(json.dumps(report) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
