"""Our engine at one end of a cable and a Linux kernel at the other.

```
  10.1.0.7                192.0.2.1     192.0.2.2            10.2.0.9
  2001:db8:1::7 - engine  2001:db8::1 ~ 2001:db8::2  kernel  2001:db8:2::9
```

The engine has no sockets here: what it seals gets its outer header from scapy and goes to the kernel in an
Ethernet frame, and the other way round. A host behind the engine answers echo requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from lab.uml import MAC, PATIENCE_S, UserModeLinux
from perilune.databases.sad import Direction, Encapsulation
from perilune.dataplane.engine import SealedPacket
from support.esp_tunnel import START, Tunnel
from support.xfrm import SHOW, Counters, counters, sa

OUR_MAC = "02:00:00:00:00:01"
ESP = 50
UDP_PROTOCOL = 17
ETHERNET_OCTETS = 14
UDP_OCTETS = 8
HOST = {4: "10.1.0.7", 6: "2001:db8:1::7"}
"""Behind the engine."""

KERNEL = {4: "10.2.0.9", 6: "2001:db8:2::9"}
"""Of the kernel, inside of tunnels."""

SETUP = f"""\
set -e
ip link set vec0 up
ip address add 192.0.2.2/24 dev vec0
ip address add 2001:db8::2/64 dev vec0 nodad
ip address add {KERNEL[4]}/32 dev lo
ip address add {KERNEL[6]}/128 dev lo
ip neighbour add 192.0.2.1 lladdr {OUR_MAC} nud permanent dev vec0
ip neighbour add 2001:db8::1 lladdr {OUR_MAC} nud permanent dev vec0
ip route add 10.1.0.0/16 via 192.0.2.1 src {KERNEL[4]}
ip route add 2001:db8:1::/48 via 2001:db8::1 src {KERNEL[6]}
"""


def outer_packet(sealed: SealedPacket) -> Packet:
    """Put what the engine sealed behind its outer headers."""
    local, remote = sealed.path.local, sealed.path.remote
    payload, protocol = Raw(sealed.data), ESP
    if sealed.encapsulation is Encapsulation.UDP:
        # a checksum of 0: there is none (RFC 3948, section 2.1)
        payload, protocol = UDP(sport=local.port, dport=remote.port, chksum=0) / payload, UDP_PROTOCOL
    ends = {"src": str(local.address), "dst": str(remote.address)}
    if local.address.version == 4:
        return IP(**ends, proto=protocol, tos=sealed.traffic_class) / payload
    return IPv6(**ends, nh=protocol, tc=sealed.traffic_class) / payload


def ip_payload(packet: bytes) -> tuple[int, bytes]:
    """Return protocol and payload of an IP packet without options and extension headers."""
    if packet[0] >> 4 == 4:
        return packet[9], packet[20 : int.from_bytes(packet[2:4], "big")]
    return packet[6], packet[40 : 40 + int.from_bytes(packet[4:6], "big")]


def transport(packet: Packet) -> bytes:
    """Return what is behind a packet's IP header, with its checksum."""
    return ip_payload(bytes(packet))[1]


def echo_request(version: int, octets: int) -> Packet:
    """Return an echo request from the host behind the engine to the kernel."""
    payload = Raw(bytes(n & 0xFF for n in range(octets)))
    if version == 4:
        return IP(src=HOST[4], dst=KERNEL[4], ttl=63) / ICMP(id=7, seq=octets) / payload
    return IPv6(src=HOST[6], dst=KERNEL[6], hlim=63) / ICMPv6EchoRequest(id=7, seq=octets, data=payload.load)


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


class KernelPeer:
    """A kernel that has the addresses of the drawing, and the engine that it talks with.

    Args:
        kernel: One that has just booted.
    """

    def __init__(self, kernel: UserModeLinux) -> None:
        self.kernel = kernel
        self._opened: list[Packet] = []
        self._failures: Mapping[str, int] | None = {}
        kernel.run(SETUP)

    def key(self, tunnel: Tunnel) -> None:
        """Give the kernel and a new engine the SAs of a tunnel whose left end is ours, and nothing else."""
        self._engine = tunnel.engine()
        self._path = tunnel.path
        self._encapsulation = tunnel.encapsulation
        self.version = ip_network(tunnel.left).version
        self.key_kernel(tunnel)

    def key_kernel(self, tunnel: Tunnel) -> None:
        """Give the kernel the SAs of a tunnel whose right end it is, and nothing else."""
        lines = ["xfrm state flush", "xfrm policy flush"]
        for direction in Direction:
            lines += sa(tunnel.sa(direction))
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
        for sealed in self._engine.seal(bytes(packet), START):
            self.kernel.send(bytes(Ether(src=OUR_MAC, dst=MAC) / outer_packet(sealed)))

    def _receive(self, frame: bytes) -> None:
        protocol, payload = ip_payload(frame[ETHERNET_OCTETS:])
        if self._encapsulation is Encapsulation.UDP:
            protocol, payload = (ESP, payload[UDP_OCTETS:]) if protocol == UDP_PROTOCOL else (protocol, b"")
        if protocol != ESP:
            return
        for octets in self._engine.open(payload, self._path, self._encapsulation, START):
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
        ends = f"-I {KERNEL[self.version]} {HOST[self.version]}"
        ping = f"ping -q -i 0.01 -c {count} -s {octets} -W {PATIENCE_S:g} {ends}"
        shown = self.kernel.run(f"{ping} && {SHOW}", self._receive).text
        return self._since(shown)
