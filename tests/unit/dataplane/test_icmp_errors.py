"""ICMP errors as scapy writes them are those that the engine's tests expect (RFC 792, 1191 and 4443).

`tests/vectors/icmp_errors.json` is read by the Rust tests of `rust/wire/src/icmp.rs`; here it is compared
with scapy, which shares no code with them.
"""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, IPv6
from scapy.layers.ipsec import AH, ESP
from scapy.packet import Packet, Raw

from support.vectors import printed

VECTORS = printed("icmp_errors.json")["errors"]
LONG = Raw(bytes(n & 0xFF for n in range(1400)))
SHORT = Raw(bytes(100))
V4 = IP(src="10.1.0.1", dst="10.2.0.2", id=7, ttl=61)
V6 = IPv6(src="2001:db8:1::1", dst="2001:db8:2::2", hlim=61)
V4_ERROR = IP(src="192.0.2.1", dst="10.1.0.1", flags="DF", id=0, ttl=64)
V6_ERROR = IPv6(src="2001:db8::1", dst="2001:db8:1::1", hlim=64)
ABOUT = {
    "udp": UDP(sport=1000, dport=2000, chksum=1) / Raw(b"text"),
    "esp": ESP(spi=0x10000001, seq=5, data=bytes(LONG)),
    "ah": AH(spi=0x10000002, seq=5, icv=bytes(12)) / SHORT,
    "nat traversal": UDP(sport=40000, dport=4500, chksum=0) / ESP(spi=0x10000003, seq=5, data=bytes(SHORT)),
}
V4_PROBLEMS = {
    "too big": {"code": 4, "nexthopmtu": 1388},
    "prohibited": {"code": 13},
    "unreachable": {"code": 1},
}
V6_PROBLEMS = {
    "too big": ICMPv6PacketTooBig(mtu=1388),
    "prohibited": ICMPv6DestUnreach(code=1),
    "unreachable": ICMPv6DestUnreach(code=3),
}


def error_v4(problem: str, about: Packet) -> Packet:
    message = ICMP(type=3, **V4_PROBLEMS[problem]) / Raw(bytes(about)[: 576 - 28])
    return V4_ERROR / message


def error_v6(problem: str, about: Packet) -> Packet:
    return V6_ERROR / V6_PROBLEMS[problem] / Raw(bytes(about)[: 1280 - 48])


@pytest.mark.parametrize("problem", V4_PROBLEMS)
@pytest.mark.parametrize("name", ABOUT)
@pytest.mark.parametrize("family", [4, 6])
def test_rust_is_told_what_scapy_writes(family: int, name: str, problem: str) -> None:
    about = (V4 if family == 4 else V6) / ABOUT[name]
    error = (error_v4 if family == 4 else error_v6)(problem, about)
    expected = {"about": bytes(about).hex(), "problem": problem, "error": bytes(error).hex()}
    assert expected in VECTORS
