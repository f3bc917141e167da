"""Our engine at one end of a cable and a Linux kernel at the other.

```
  10.1.0.7                192.0.2.1     192.0.2.2            10.2.0.9
  2001:db8:1::7 - engine  2001:db8::1 ~ 2001:db8::2  kernel  2001:db8:2::9
```

The engine has no sockets here: what it seals goes to the kernel in an Ethernet frame, and the other way
round. A host behind the engine, or in transport mode the engine's own, answers echo requests.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from ipaddress import ip_network

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from lab.uml import MAC, PATIENCE_S, UserModeLinux
from perilune.databases.sad import Direction
from support.esp_tunnel import START, Tunnel, path
from support.fragments import Reassembly
from support.xfrm import SHOW, Counters, bundle, counters

OUR_MAC = "02:00:00:00:00:01"
ETHERNET = {
    version: bytes(Ether(src=OUR_MAC, dst=MAC, type=kind)) for version, kind in ((4, 0x0800), (6, 0x86DD))
}
ETHERNET_OCTETS = 14
PROTECTED = frozenset({17, 50, 51})
"""Protocols that the engine gets: ESP, AH, and UDP that may have ESP in it."""

OUTER4 = path("192.0.2.1", "192.0.2.2")
OUTER6 = path("2001:db8::1", "2001:db8::2")
INNER4 = {"left": "10.1.0.7/32", "right": "10.2.0.9/32"}
INNER6 = {"left": "2001:db8:1::7/128", "right": "2001:db8:2::9/128"}
ENDS4 = {"left": "192.0.2.1/32", "right": "192.0.2.2/32"}
ENDS6 = {"left": "2001:db8::1/128", "right": "2001:db8::2/128"}
ESP_IN_UDP = """\
import socket, signal
sockets = []
for family, address in (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"):
    receiver = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    receiver.setsockopt(socket.IPPROTO_UDP, 100, 2)  # UDP_ENCAP, UDP_ENCAP_ESPINUDP
    receiver.bind((address, 4500))
    sockets.append(receiver)
signal.pause()
"""
"""Has the sockets that give ESP in UDP to the kernel."""

SETUP = f"""\
set -e
ip link set vec0 up
ip address add 192.0.2.2/24 dev vec0
ip address add 2001:db8::2/64 dev vec0 nodad
ip address add 10.2.0.9/32 dev lo
ip address add 2001:db8:2::9/128 dev lo
ip neighbour add 192.0.2.1 lladdr {OUR_MAC} nud permanent dev vec0
ip neighbour add 2001:db8::1 lladdr {OUR_MAC} nud permanent dev vec0
ip route add 10.1.0.0/16 via 192.0.2.1 src 10.2.0.9
ip route add 2001:db8:1::/48 via 2001:db8::1 src 2001:db8:2::9
cat > /run/sockets.py <<'END'
{ESP_IN_UDP}
END
setsid {sys.executable} -S /run/sockets.py > /run/sockets.log 2>&1 &
until grep -q ':1194 ' /proc/net/udp6; do kill -0 $! || cat /run/sockets.log; done
"""


def first_address(network: str) -> str:
    """Return the first address of a network."""
    return str(ip_network(network).network_address)


def transport(packet: Packet) -> bytes:
    """Return what is behind the header of an IP packet without options and extension headers."""
    octets = bytes(packet)
    return octets[20:] if packet.version == 4 else octets[40:]


def echo_request(tunnel: Tunnel, octets: int) -> Packet:
    """Return an echo request from the host behind the engine to the kernel."""
    payload = bytes(n & 0xFF for n in range(octets))
    ends = {"src": first_address(tunnel.left), "dst": first_address(tunnel.right)}
    if ip_network(tunnel.left).version == 4:
        return IP(**ends, ttl=63) / ICMP(id=7, seq=octets) / Raw(payload)
    return IPv6(**ends, hlim=63) / ICMPv6EchoRequest(id=7, seq=octets, data=payload)


def echo_reply(request: Packet) -> Packet | None:
    """Return the answer to a packet; None if it is no echo request."""
    if request.version == 4 and ICMP in request and request[ICMP].type == 8:
        icmp = request[ICMP].copy()
        icmp.type, icmp.chksum = 0, None
        return IP(src=request.dst, dst=request.src) / icmp
    if ICMPv6EchoRequest in request:
        asked = request[ICMPv6EchoRequest]
        icmp = ICMPv6EchoReply(id=asked.id, seq=asked.seq, data=asked.data)
        return IPv6(src=request.dst, dst=request.src) / icmp
    return None


def is_protected(packet: bytes) -> bool:
    """Whether it may be for the engine: not the kernel's Neighbor Discovery and the like."""
    return packet[9 if packet[0] >> 4 == 4 else 6] in PROTECTED


class KernelPeer:
    """A kernel that has the addresses of the drawing, and the engine that it talks with.

    Args:
        kernel: One that has just booted.
    """

    def __init__(self, kernel: UserModeLinux) -> None:
        self.kernel = kernel
        self._opened: list[Packet] = []
        self._reassembly = Reassembly()
        self._failures: Mapping[str, int] | None = {}
        kernel.run(SETUP)

    def key(self, tunnel: Tunnel) -> None:
        """Give the kernel and a new engine the SAs of a tunnel whose left end is ours, and nothing else."""
        self._engine = tunnel.engine()
        self._tunnel = tunnel
        self.key_kernel(tunnel)

    def key_kernel(self, tunnel: Tunnel) -> None:
        """Give the kernel the SAs of a tunnel whose right end it is, and nothing else."""
        lines = ["xfrm state flush", "xfrm policy flush"]
        for direction in Direction:
            lines += bundle(tunnel.bundle(direction))
        batch = "\n".join(lines)
        show = "" if self._failures is not None else f" && {SHOW}"
        text = self.kernel.run(f"ip -batch - <<'END'{show}\n{batch}\nEND\n").text
        self._failures_before = self._failures if self._failures is not None else counters(text).failures
        self._failures = None

    def counters(self) -> Counters:
        """Tell what the kernel counted since `key`."""
        return self._since(self.kernel.run(SHOW, self._receive).text)

    def _since(self, shown: str) -> Counters:
        now = counters(shown)
        before, self._failures = self._failures_before, now.failures
        return Counters(now.packets, {name: n for name, n in now.failures.items() if n != before.get(name)})

    def _send(self, packet: Packet) -> None:
        for octets in self._engine.seal_packet(bytes(packet), START):
            self.kernel.send(ETHERNET[octets[0] >> 4] + octets)

    def _receive(self, frame: bytes) -> None:
        whole = self._reassembly.add(frame[ETHERNET_OCTETS:])
        if whole is None or not is_protected(whole):
            return
        for octets in self._engine.open_packet(whole, START):
            packet = IP(octets) if octets[0] >> 4 == 4 else IPv6(octets)
            self._opened.append(packet)
            if answer := echo_reply(packet):
                self._send(answer)

    def answer_to(self, request: Packet) -> Packet:
        """Send a packet through the SAs and wait for the first one that comes back."""
        self._opened.clear()
        self._send(request)
        self.kernel.serve(self._receive, lambda: bool(self._opened), f"an answer to {request.summary()}")
        return self._opened.pop()

    def ping_from_kernel(self, octets: int, count: int = 1) -> Counters:
        """Let the kernel ping the host behind the engine, and then tell what it counted.

        Raises:
            LabError: An answer did not come, or is not what was sent.
        """
        ends = f"-I {first_address(self._tunnel.right)} {first_address(self._tunnel.left)}"
        ping = f"ping -q -i 0.01 -c {count} -s {octets} -W {PATIENCE_S:g} {ends}"
        shown = self.kernel.run(f"{ping} && {SHOW}", self._receive).text
        return self._since(shown)
