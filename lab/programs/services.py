"""What a host offers the others: checked TCP transfers, a UDP echo and a web page.

Usage: services.py DIRECTORY TRANSFER_PORT ECHO_PORT WEB_PORT

The web server serves DIRECTORY. A transfer begins with one octet, `P` (put) or `G` (get), and a 64-bit count
of octets; 0 means until the client stops. Data comes in chunks of a 32-bit length and so many octets; length
0 ends them, and the SHA-256 of all their octets follows. Who receives a put answers the SHA-256 it has seen.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import select
import socket
import socketserver
import struct
import sys
import threading

CHUNK_OCTETS = 1 << 17


def read_exactly(sock: socket.socket, count: int) -> bytes:
    """Read `count` octets.

    Raises:
        ConnectionError: The connection ended before.
    """
    data = bytearray()
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise ConnectionError("the connection ended in the middle")
        data += piece
    return bytes(data)


def stopped(sock: socket.socket) -> bool:
    """Whether the other side has closed its half of the connection."""
    readable, _, _ = select.select([sock], [], [], 0)
    return bool(readable) and not sock.recv(1, socket.MSG_PEEK)


def send_stream(sock: socket.socket, octets: int, stop: threading.Event | None = None) -> tuple[int, bytes]:
    """Send random octets in chunks, then their digest.

    Args:
        sock: Connection.
        octets: How many; 0 for as many as go until `stop` is set or the other side closes its half.
        stop: Ends the stream after the chunk under way.

    Returns:
        Octets sent and their SHA-256.
    """
    digest = hashlib.sha256()
    block = bytearray(os.urandom(CHUNK_OCTETS))
    sent = 0
    while (sent < octets) if octets else not (stop.is_set() if stop else stopped(sock)):
        struct.pack_into("!Q", block, 0, sent)
        chunk = memoryview(block)[: min(CHUNK_OCTETS, octets - sent) if octets else CHUNK_OCTETS]
        digest.update(chunk)
        sock.sendall(struct.pack("!I", len(chunk)))
        sock.sendall(chunk)
        sent += len(chunk)
    sock.sendall(struct.pack("!I", 0) + digest.digest())
    return sent, digest.digest()


def receive_stream(sock: socket.socket) -> tuple[int, bytes, bytes]:
    """Receive a stream.

    Returns:
        Octets received, their SHA-256, and the SHA-256 that the sender gave.
    """
    digest = hashlib.sha256()
    received = 0
    while length := struct.unpack("!I", read_exactly(sock, 4))[0]:
        chunk = read_exactly(sock, length)
        digest.update(chunk)
        received += length
    return received, digest.digest(), read_exactly(sock, 32)


class Transfer(socketserver.BaseRequestHandler):
    """One connection: a put or a get."""

    request: socket.socket

    def handle(self) -> None:
        """Serve it."""
        try:
            kind, octets = struct.unpack("!cQ", read_exactly(self.request, 9))
            if kind == b"P":
                self.request.sendall(receive_stream(self.request)[1])
            else:
                send_stream(self.request, octets)
        except OSError as error:
            sys.stderr.write(f"transfer: {error}\n")


class TransferServer(socketserver.ThreadingTCPServer):
    """Listens on every address, IPv4 and IPv6."""

    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


class WebServer(http.server.ThreadingHTTPServer):
    """Serves the files of a directory on every address, IPv4 and IPv6."""

    address_family = socket.AF_INET6
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without asking the DNS for our name: there is none in a namespace."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "host", self.server_address[1]


def echo(port: int) -> None:
    """Send every datagram back to where it came from."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::", port))
        while True:
            data, sender = sock.recvfrom(65535)
            try:
                sock.sendto(data, sender)
            except OSError as error:
                sys.stderr.write(f"echo: {error}\n")


def main() -> None:
    """Serve until the end."""
    directory, transfer_port, echo_port, web_port = sys.argv[1], *map(int, sys.argv[2:5])
    threading.Thread(target=echo, args=(echo_port,), daemon=True).start()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=directory)
    web = WebServer(("::", web_port), handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    with TransferServer(("::", transfer_port), Transfer) as server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
