"""Send bursts of datagrams, each given to the kernel in one piece, or receive datagrams.

Usage: bursts.py send HOST PORT BURSTS [DATAGRAMS OCTETS]
       bursts.py receive HOST PORT DATAGRAMS

What is sent is numbered. The receiver says `ready`, and when it has so many datagrams, or after half a minute
without one, it prints their numbers as a JSON list.
"""

from __future__ import annotations

import json
import socket
import sys

UDP_SEGMENT = 103
"""Cut what is sent into datagrams of this size (udp(7))."""
SO_RCVBUFFORCE = 33
"""A larger buffer than the system allows everybody (socket(7))."""
BUFFER_OCTETS = 4 << 20
SILENCE_S = 30.0


def send(host: str, port: int, bursts: int, datagrams: int = 60, octets: int = 64) -> None:
    """Send them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, octets)
        for burst in range(bursts):
            numbers = range(burst * datagrams, (burst + 1) * datagrams)
            udp.sendto(b"".join(number.to_bytes(octets) for number in numbers), (host, port))


def receive(host: str, port: int, datagrams: int) -> list[int]:
    """Return the numbers of what arrives."""
    numbers: list[int] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_OCTETS)
        udp.bind((host, port))
        udp.settimeout(SILENCE_S)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while len(numbers) < datagrams:
            try:
                numbers.append(int.from_bytes(udp.recv(65536)))
            except TimeoutError:
                break
    return numbers


def main() -> None:
    """Do one or the other."""
    kind, host, *rest = sys.argv[1:]
    port, count, *more = map(int, rest)
    if kind == "send":
        send(host, port, count, *more)
    else:
        sys.stdout.write(json.dumps(receive(host, port, count)) + "\n")


if __name__ == "__main__":
    main()
