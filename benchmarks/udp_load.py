"""A program: many small datagrams from one socket to another, and how many arrived.

    python -m benchmarks.udp_load send ADDRESS SECONDS RATE OCTETS
    python -m benchmarks.udp_load receive ADDRESS

RATE is in datagrams a second, 0 for as many as it can. Each prints a line when it is done: datagrams and
seconds. Datagrams go and come some at a time (sendmmsg(2), recvmmsg(2)), so that what is measured is the
way between, and hardly the ends.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import time

PORT = 7100
AT_ONCE = 64
PACED_AT_ONCE = 16
BUFFER_OCTETS = 4 << 20
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
MSG_WAITFORONE = 0x10000
PATIENCE_S = 10.0
SILENCE_S = 0.3
PAUSE_S = 20e-6


class Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("header", Header), ("octets", ctypes.c_uint32))


class Messages:
    """Messages for sendmmsg(2) and recvmmsg(2), each in a buffer of its own.

    Args:
        buffers: What to send, or room to receive in.
    """

    def __init__(self, buffers: list[bytearray]) -> None:
        self._arrays = [(ctypes.c_char * len(buffer)).from_buffer(buffer) for buffer in buffers]
        self._vectors = [Vector(ctypes.addressof(array), len(array)) for array in self._arrays]
        self.array = (Message * len(buffers))(
            *(Message(Header(None, 0, ctypes.pointer(vector), 1)) for vector in self._vectors)
        )
        self._library = ctypes.CDLL(None, use_errno=True)

    def send(self, sender: socket.socket, count: int) -> int:
        """Send the first `count`; return how many went."""
        return self._done(self._library.sendmmsg(sender.fileno(), self.array, count, 0))

    def receive(self, receiver: socket.socket) -> int:
        """Receive as many as are there, at least one; return how many, or 0 when none comes in time."""
        count = len(self.array)
        return self._done(self._library.recvmmsg(receiver.fileno(), self.array, count, MSG_WAITFORONE, None))

    def _done(self, result: int) -> int:
        if result >= 0:
            return result
        number = ctypes.get_errno()
        if number in {11, 12, 105, 111}:  # try again, no memory, no buffers, refused by an earlier receiver
            return 0
        raise OSError(number, os.strerror(number))


def send(address: str, seconds: float, rate: float, octets: int) -> tuple[int, float]:
    """Send; return how many datagrams went and how long that took."""
    at_once = PACED_AT_ONCE if rate else AT_ONCE
    messages = Messages([bytearray(octets) for _ in range(at_once)])
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        _enlarge(sender, SO_SNDBUFFORCE, socket.SO_SNDBUF)
        sender.connect((address, PORT))
        start = now = time.monotonic()
        while now < start + seconds:
            if rate and sent > (now - start) * rate:
                time.sleep(PAUSE_S)
            else:
                sent += messages.send(sender, at_once)
            now = time.monotonic()
    return sent, now - start


def receive(address: str) -> tuple[int, float]:
    """Receive until no more comes; return how many came, and the time from the first to the last."""
    messages = Messages([bytearray(2048) for _ in range(AT_ONCE)])
    received, start, last = 0, 0.0, 0.0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        _enlarge(receiver, SO_RCVBUFFORCE, socket.SO_RCVBUF)
        receiver.bind((address, PORT))
        _time_out(receiver, PATIENCE_S)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while count := messages.receive(receiver):
            last = time.monotonic()
            if not received:
                start = last
                _time_out(receiver, SILENCE_S)
            received += count
    return received, last - start


def _enlarge(end: socket.socket, forced: int, asked: int) -> None:
    """Make a socket's buffer large, or as large as we may."""
    try:
        end.setsockopt(socket.SOL_SOCKET, forced, BUFFER_OCTETS)
    except PermissionError:
        end.setsockopt(socket.SOL_SOCKET, asked, BUFFER_OCTETS)


def _time_out(receiver: socket.socket, seconds: float) -> None:
    whole = int(seconds)
    value = whole.to_bytes(8, sys.byteorder) + int((seconds - whole) * 1e6).to_bytes(8, sys.byteorder)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)


def main(words: list[str]) -> None:
    """Do what the command line says."""
    if words[0] == "receive":
        count, seconds = receive(words[1])
    else:
        count, seconds = send(words[1], float(words[2]), float(words[3]), int(words[4]))
    sys.stdout.write(f"{count} {seconds:.6f}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
