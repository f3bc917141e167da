"""Begin IKE SAs with a gateway and never go on, so that it sees half-open ones.

Usage: half_open.py HOST COUNT

Each is a whole IKE_SA_INIT request (RFC 7296, section 1.2) with another SPI: AES-GCM-16 of 256 bits,
PRF_HMAC_SHA2_256, X25519.
"""

from __future__ import annotations

import os
import socket
import struct
import sys

NONE, SA, KE, NONCE = 0, 33, 34, 40
CURVE25519 = 31


def payload(following: int, body: bytes) -> bytes:
    """A payload with its generic header; `following` is the type of the next one."""
    return struct.pack("!BBH", following, 0, 4 + len(body)) + body


def transform(last: bool, kind: int, number: int, attributes: bytes = b"") -> bytes:
    """A transform substructure."""
    return struct.pack("!BBHBBH", 0 if last else 3, 0, 8 + len(attributes), kind, 0, number) + attributes


def ike_sa_init() -> bytes:
    """A request with fresh SPI, key and nonce."""
    transforms = transform(False, 1, 20, struct.pack("!HH", 0x800E, 256)) + transform(False, 2, 5)
    transforms += transform(True, 4, CURVE25519)
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + len(transforms), 1, 1, 0, 3) + transforms
    body = payload(KE, proposal) + payload(NONCE, struct.pack("!HH", CURVE25519, 0) + os.urandom(32))
    body += payload(NONE, os.urandom(32))
    header = os.urandom(8) + bytes(8) + struct.pack("!BBBBII", SA, 0x20, 34, 0x08, 0, 28 + len(body))
    return header + body


def main() -> None:
    """Send them, and wait for each answer so that none is lost in a queue."""
    host, count = sys.argv[1], int(sys.argv[2])
    family, kind, _, _, target = socket.getaddrinfo(host, 500, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as sock:
        sock.settimeout(30.0)
        for _ in range(count):
            sock.sendto(ike_sa_init(), target)
            sock.recv(65535)


if __name__ == "__main__":
    main()
