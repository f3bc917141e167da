"""What scapy covers with AH's ICV is what the engine's tests are told (RFC 4302, appendix A).

`tests/vectors/ah_mutable_fields.json` is read by the Rust tests of `rust/wire/src/immutable.rs`; here it is
compared with scapy, which shares no code with them. What scapy leaves out is in the Rust tests alone: the
destination of an IPv4 source route, the Home Address option and a fragment header around a whole packet.
"""

from __future__ import annotations

import pytest
from scapy.layers.inet import (
    IP,
    TCP,
    IPOption,
    IPOption_NOP,
    IPOption_Router_Alert,
    IPOption_RR,
    IPOption_SDBM,
    IPOption_Security,
    IPOption_Stream_Id,
    IPOption_Timestamp,
    IPOption_Traceroute,
)
from scapy.layers.inet6 import (
    HBHOptUnknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    RouterAlert,
)
from scapy.layers.ipsec import AH, zero_mutable_fields
from scapy.packet import Packet

from support.vectors import printed

VECTORS = printed("ah_mutable_fields.json")["headers"]


def v4(*options: Packet) -> Packet:
    return IP(src="10.1.0.1", dst="10.2.0.2", tos=0xB9, id=7, flags="DF", ttl=61, options=list(options))


def v6(*extensions: Packet) -> Packet:
    packet = IPv6(src="2001:db8::1", dst="2001:db8::2", tc=0xB9, fl=0x12345, hlim=61)
    for extension in extensions:
        packet = packet / extension
    return packet


KEPT = HBHOptUnknown(otype=0x1E, optdata=b"kept")
CHANGED = HBHOptUnknown(otype=0x3E, optdata=b"changed")
ROUTE = IPv6ExtHdrRouting(addresses=["2001:db8::3", "2001:db8::4", "2001:db8::5"], segleft=3)
HEADERS = {
    "v4": v4(),
    "v4 router alert": v4(IPOption_Router_Alert()),
    "v4 security": v4(IPOption_Security(security=3, compartment=4)),
    "v4 extended security": v4(IPOption(option=5, copy_flag=1, value=b"\1\2")),
    "v4 commercial security": v4(IPOption(option=6, copy_flag=1, value=b"\1\2\3\4")),
    "v4 directed delivery": v4(IPOption_SDBM(addresses=["10.3.0.3", "10.4.0.4"])),
    "v4 record route": v4(IPOption_RR(pointer=8, routers=["10.5.0.5", "0.0.0.0"])),
    "v4 time stamp": v4(IPOption_Timestamp(timestamp=99)),
    "v4 traceroute": v4(IPOption_Traceroute(id=1, outbound_hops=2)),
    "v4 stream": v4(IPOption_Stream_Id(security=9)),
    "v4 unknown": v4(IPOption(option=25, copy_flag=1, value=b"unknown")),
    "v4 many": v4(IPOption_NOP(), IPOption_RR(routers=["1.2.3.4"]), IPOption_Router_Alert()),
    "v6": v6(),
    "v6 router alert": v6(IPv6ExtHdrHopByHop(options=[RouterAlert()])),
    "v6 options": v6(IPv6ExtHdrHopByHop(options=[KEPT, CHANGED]), IPv6ExtHdrDestOpt(options=[CHANGED, KEPT])),
    "v6 route": v6(ROUTE),
    "v6 all": v6(
        IPv6ExtHdrHopByHop(options=[CHANGED]),
        IPv6ExtHdrDestOpt(options=[KEPT]),
        ROUTE,
        IPv6ExtHdrDestOpt(options=[CHANGED]),
    ),
}


def in_front_of_ah(packet: Packet) -> str:
    octets = bytes(packet)
    return octets[: -len(packet[AH])].hex()


@pytest.mark.parametrize("name", HEADERS)
def test_rust_is_told_what_scapy_covers(name: str) -> None:
    packet = HEADERS[name] / AH(spi=0x1000, seq=1, icv=bytes(12)) / TCP(sport=1, dport=2)
    sent = type(packet)(bytes(packet))
    expected = {"name": name, "sent": in_front_of_ah(sent)}
    expected["covered"] = in_front_of_ah(zero_mutable_fields(sent, sending=True))
    assert expected in VECTORS
