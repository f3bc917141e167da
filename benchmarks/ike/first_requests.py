"""A program: first requests of IKE (RFC 7296, section 1.2) from very many addresses that nobody has.

    python -m benchmarks.ike.first_requests TARGET DEVICE RATE SECONDS

It is root's in a namespace of its own. What comes back to any of the addresses is counted where it arrives,
at the device. When the time is over it prints: requests sent, answers, and those that demand a cookie
(section 2.6).
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

FORGED = IPv4Network("198.18.0.0/15")
"""For benchmarks (RFC 2544)."""
IKE_PORT = 500
IKE_SA_INIT, INITIATOR, VERSION_2 = 34, 0x08, 0x20
SA, KE, NONCE, NOTIFY, COOKIE = 33, 34, 40, 41, 16390
CURVE25519 = 31
ETHERNET_OCTETS, IPV4_OCTETS, UDP_OCTETS = 14, 20, 8
IKE_AT = ETHERNET_OCTETS + IPV4_OCTETS + UDP_OCTETS
AT_ONCE = 16
SILENCE_S = 0.3
ETHERTYPE_IPV4 = 0x0800


@dataclass(slots=True)
class Answers:
    """What came back."""

    all: int = 0
    cookies: int = 0

    def take(self, frame: bytes) -> None:
        """Count a frame, if it is an answer."""
        ike = frame[IKE_AT:]
        if frame[23:24] != b"\x11" or ike[18:19] != bytes((IKE_SA_INIT,)):
            return
        self.all += 1
        # generic header of the first payload, protocol, SPI size, type (section 3.10)
        if ike[16:17] == bytes((NOTIFY,)) and ike[34:36] == struct.pack("!H", COOKIE):
            self.cookies += 1


def body() -> bytes:
    """Payloads of a first request: AES-256-GCM, HMAC-SHA-256, X25519 (sections 3.3, 3.4, 3.9)."""
    transforms = (
        struct.pack("!BxHBxHHH", 3, 12, 1, 20, 0x800E, 256),
        struct.pack("!BxHBxH", 3, 8, 2, 5),
        struct.pack("!BxHBxH", 0, 8, 4, CURVE25519),
    )
    inner = b"".join(transforms)
    proposal = struct.pack("!BxHBBBB", 0, 8 + len(inner), 1, 1, 0, len(transforms)) + inner
    return (
        _payload(KE, proposal)
        + _payload(NONCE, struct.pack("!Hxx", CURVE25519) + os.urandom(32))
        + _payload(0, os.urandom(32))
    )


def _payload(following: int, content: bytes) -> bytes:
    return struct.pack("!BxH", following, 4 + len(content)) + content


def packets(target: str) -> Iterator[bytes]:
    """IPv4 packets, each from another address with another SPI; the kernel adds length and checksum."""
    payloads = body()
    ike_octets = 28 + len(payloads)
    udp = struct.pack("!HHHH", IKE_PORT, IKE_PORT, UDP_OCTETS + ike_octets, 0)
    rest = struct.pack("!8xBBBBII", SA, VERSION_2, IKE_SA_INIT, INITIATOR, 0, ike_octets) + payloads
    first, to = int(FORGED[1]), IPv4Address(target).packed
    number = 0
    while True:
        source = first + number % (FORGED.num_addresses - 2)
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0)
        yield b"".join((ip, source.to_bytes(4), to, udp, os.urandom(8), rest))
        number += 1


def flood(target: str, device: str, rate: float, seconds: float) -> tuple[int, Answers]:
    """Send at a rate; return how many requests went, and what came back."""
    answers, sent, source = Answers(), 0, packets(target)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_IPV4)) as listener,
    ):
        listener.bind((device, ETHERTYPE_IPV4))
        listener.settimeout(0)
        start = now = time.monotonic()
        while now < start + seconds:
            if sent > (now - start) * rate:
                time.sleep(0.001)
            else:
                for _ in range(AT_ONCE):
                    sender.sendto(next(source), (target, 0))
                sent += AT_ONCE
            _drain(listener, answers)
            now = time.monotonic()
        listener.settimeout(SILENCE_S)
        _drain(listener, answers)
    return sent, answers


def _drain(listener: socket.socket, answers: Answers) -> None:
    try:
        while True:
            answers.take(listener.recv(2048))
    except (BlockingIOError, TimeoutError):
        return


def main(words: list[str]) -> None:
    """Do what the command line says."""
    target, device, rate, seconds = words
    sent, answers = flood(target, device, float(rate), float(seconds))
    sys.stdout.write(f"sent {sent} answers {answers.all} cookies {answers.cookies}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
