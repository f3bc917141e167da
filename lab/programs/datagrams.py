"""Send numbered datagrams at a steady pace to an echo service and account for each.

Usage: datagrams.py HOST PORT INTERVAL_MS COUNT [OCTETS]

COUNT 0 means until SIGINT. Prints one JSON object: how many went and came back, how many came twice, the
longest silence, and the median round trip time.
"""

from __future__ import annotations

import json
import select
import signal
import socket
import statistics
import struct
import sys
import time

STRAGGLERS_S = 5.0
NUMBER = struct.Struct("!Qd")


class Stream:
    """Numbered datagrams to one echo service.

    Args:
        host: Its address.
        port: Its port.
        octets: Payload of each datagram.
    """

    def __init__(self, host: str, port: int, octets: int) -> None:
        family, kind, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self.running = True
        self.sent = 0
        self.refused = 0
        self.duplicates = 0
        self.round_trips_ms: dict[int, float] = {}
        self.longest_silence_s = 0.0
        self._sock = socket.socket(family, kind)
        self._sock.connect(target)
        self._padding = bytes(max(0, octets - NUMBER.size))
        self._heard = time.monotonic()

    def run(self, interval_s: float, count: int) -> None:
        """Send until `count` are out (0: until `running` is false), then wait a moment for stragglers."""
        self._heard = due = time.monotonic()
        while self.running and not (count and self.sent >= count):
            self._send()
            due += interval_s
            while (left := due - time.monotonic()) > 0:
                self._receive(left)
        end = time.monotonic() + STRAGGLERS_S
        while len(self.round_trips_ms) < self.sent and (left := end - time.monotonic()) > 0:
            self._receive(left)

    def report(self) -> dict[str, float]:
        """What became of them."""
        return {
            "sent": self.sent,
            "received": len(self.round_trips_ms),
            "lost": self.sent - len(self.round_trips_ms),
            "duplicates": self.duplicates,
            "refused": self.refused,
            "longest_silence_ms": round(self.longest_silence_s * 1e3, 1),
            "round_trip_ms": round(statistics.median(self.round_trips_ms.values() or [float("inf")]), 3),
        }

    def _send(self) -> None:
        try:
            self._sock.send(NUMBER.pack(self.sent, time.monotonic()) + self._padding)
        except OSError:
            self.refused += 1
        self.sent += 1

    def _receive(self, timeout_s: float) -> None:
        if not select.select([self._sock], [], [], timeout_s)[0]:
            return
        try:
            number, then = NUMBER.unpack_from(self._sock.recv(65535))
        except OSError:
            self.refused += 1
            return
        now = time.monotonic()
        self.longest_silence_s = max(self.longest_silence_s, now - self._heard)
        self._heard = now
        if number in self.round_trips_ms:
            self.duplicates += 1
        else:
            self.round_trips_ms[number] = (now - then) * 1e3


def main() -> int:
    """Run one stream."""
    host, port, interval_ms, count = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    stream = Stream(host, port, int(sys.argv[5]) if len(sys.argv) > 5 else 64)

    def stop(*_: object) -> None:
        stream.running = False

    signal.signal(signal.SIGINT, stop)
    sys.stderr.write("started\n")
    stream.run(interval_ms / 1e3, count)
    sys.stdout.write(json.dumps(stream.report()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
