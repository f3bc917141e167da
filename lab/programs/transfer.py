"""Move random octets to a host and from it at the same time, and compare checksums.

Usage: transfer.py HOST PORT OCTETS

OCTETS go each way; 0 means until SIGINT. Prints one JSON object; the exit code is 0 when both checksums are
equal.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable

from lab.programs.services import read_exactly, receive_stream, send_stream

TIMEOUT_S = 60.0


class Exchange:
    """One transfer each way.

    Args:
        host: Address of the server.
        port: Its port.
        octets: To move each way; 0 for as many as go until `stop` is set.
    """

    def __init__(self, host: str, port: int, octets: int) -> None:
        self.stop = threading.Event()
        self.report: dict[str, object] = {}
        self._target = (host, port)
        self._octets = octets
        self._failed = False

    def run(self) -> bool:
        """Move the octets.

        Returns:
            Whether all arrived and the checksums are equal.
        """
        start = time.monotonic()
        works = (("put", self._put), ("get", self._get))
        threads = [threading.Thread(target=self._guard, args=work) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.1)
        self.report["seconds"] = round(time.monotonic() - start, 3)
        return not self._failed

    def _guard(self, name: str, work: Callable[[], bool]) -> None:
        try:
            equal = work()
        except OSError as error:
            self.report[f"error_of_{name}"] = str(error)
            equal = False
        if not equal:
            self._failed = True
            self.stop.set()

    def _put(self) -> bool:
        with socket.create_connection(self._target, TIMEOUT_S) as sock:
            sock.sendall(struct.pack("!cQ", b"P", self._octets))
            self.report["up_octets"], digest = send_stream(sock, self._octets, self.stop)
            seen = read_exactly(sock, 32)
        self.report |= {"up_sha256": digest.hex(), "up_sha256_seen": seen.hex()}
        return seen == digest

    def _get(self) -> bool:
        with socket.create_connection(self._target, TIMEOUT_S) as sock:
            sock.sendall(struct.pack("!cQ", b"G", self._octets))
            if not self._octets:
                threading.Thread(target=self._hang_up, args=(sock,), daemon=True).start()
            self.report["down_octets"], seen, digest = receive_stream(sock)
        self.report |= {"down_sha256": digest.hex(), "down_sha256_seen": seen.hex()}
        return seen == digest

    def _hang_up(self, sock: socket.socket) -> None:
        self.stop.wait()
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            sys.stderr.write(f"hang up: {error}\n")


def main() -> int:
    """Run one exchange."""
    exchange = Exchange(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    signal.signal(signal.SIGINT, lambda *_: exchange.stop.set())
    sys.stderr.write("started\n")
    equal = exchange.run()
    sys.stdout.write(json.dumps(exchange.report) + "\n")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
