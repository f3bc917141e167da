"""Pass datagrams on, and change one octet in each n-th; bundles stay bundles.

Usage: spoil.py HOST PORT TARGET_PORT EVERY

What arrives at HOST and PORT goes on to TARGET_PORT of the same host. Ends on SIGINT and prints one JSON
object: how many datagrams there were, how many of them were changed, and how many of those had others before
and behind them in their bundle.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
import sys
from types import FrameType

UDP_SEGMENT = 103
"""Cut what is sent into datagrams of this size (udp(7))."""
UDP_GRO = 104
"""Join datagrams of one size, and tell the size (udp(7))."""
BUFFER_OCTETS = 4 << 20


class Relay:
    """A socket between a sender and a port.

    Args:
        host: Address to receive on and to send to.
        port: To receive on.
        target_port: To send to.
        every: Which datagrams to change: those whose number it divides.
    """

    def __init__(self, host: str, port: int, target_port: int, every: int) -> None:
        self.datagrams = 0
        self.spoilt = 0
        self.within = 0
        self._target = (host, target_port)
        self._every = every
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_OCTETS)
        self._udp.bind((host, port))

    def run(self) -> None:
        """Go on for ever."""
        while True:
            data, ancillary, _, _ = self._udp.recvmsg(65536, 64)
            sizes = [struct.unpack("i", value)[0] for _, kind, value in ancillary if kind == UDP_GRO]
            self._pass_on(bytearray(data), sizes[0] if sizes else len(data))

    def _pass_on(self, data: bytearray, size: int) -> None:
        last = (len(data) - 1) // size
        for place in range(last + 1):
            self.datagrams += 1
            if self.datagrams % self._every == 0:
                # Its last octet: of ESP, of the integrity check value.
                data[min((place + 1) * size, len(data)) - 1] ^= 0x55
                self.spoilt += 1
                self.within += 0 < place < last
        segment = (socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", size))
        self._udp.sendmsg([data], [segment] if last else [], 0, self._target)

    def report(self) -> dict[str, int]:
        """What became of them."""
        return {"datagrams": self.datagrams, "spoilt": self.spoilt, "within": self.within}


def main() -> None:
    """Pass on until SIGINT."""
    host, port, target_port, every = sys.argv[1:]
    relay = Relay(host, int(port), int(target_port), int(every))

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, end)
    sys.stdout.write("started\n")
    sys.stdout.flush()
    try:
        relay.run()
    except KeyboardInterrupt:
        sys.stdout.write(json.dumps(relay.report()) + "\n")


if __name__ == "__main__":
    main()
