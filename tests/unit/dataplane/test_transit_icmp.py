"""ICMP errors that scapy makes, through SAs: which are carried, and where (RFC 4301, section 6.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw

from perilune.databases.changes import AddPolicy
from perilune.databases.spd import IcmpErrors
from perilune.dataplane.engine import Engine
from support.esp_tunnel import START, Tunnel

TUNNEL = Tunnel()
TO_RIGHT = IP(src="10.1.0.7", dst="10.2.0.9") / TCP(sport=1024, dport=80) / Raw(bytes(100))
ELSEWHERE = IP(src="10.1.0.7", dst="198.51.100.9") / UDP(sport=1024, dport=53) / Raw(bytes(100))
ROUTER, HOST = "203.0.113.1", "10.2.0.9"


def error(about: Packet, source: str, kind: str = "dest-unreach") -> bytes:
    return bytes(IP(src=source, dst=about.src) / ICMP(type=kind) / bytes(about)[:28])


def engines(carried: IcmpErrors) -> tuple[Engine, Engine]:
    """Return the left and the right gateway."""
    left, right = TUNNEL.engines()
    for engine, at_left in ((left, True), (right, False)):
        policy = replace(TUNNEL.policy(at_left=at_left).entry, icmp_errors=carried)
        engine.apply([AddPolicy(policy)], START)
    return left, right


# covers R4301-6.2-1
# covers R4301-6.2-2
# covers R4301-6.2-3
@pytest.mark.parametrize(
    ("carried", "of_router", "of_host", "about_others"),
    [
        (IcmpErrors.RELATED, True, True, True),
        (IcmpErrors.CHECKED, True, True, False),
        (IcmpErrors.SELECTED, False, True, True),
    ],
)
@pytest.mark.parametrize("kind", ["dest-unreach", "time-exceeded", "parameter-problem"])
def test_errors_from_the_right(
    carried: IcmpErrors, of_router: bool, of_host: bool, about_others: bool, kind: str
) -> None:
    cases = [
        (error(TO_RIGHT, ROUTER, kind), of_router),
        (error(TO_RIGHT, HOST, kind), of_host),
        (error(ELSEWHERE, HOST, kind), about_others),
    ]
    for packet, passes in cases:
        left, right = engines(carried)
        opened = [
            one for sealed in right.seal_packet(packet, START) for one in left.open_packet(sealed, START)
        ]
        assert opened == ([packet] if passes else [])


def test_an_error_about_what_no_sa_carries_does_not_leave() -> None:
    _, right = engines(IcmpErrors.RELATED)
    assert right.seal_packet(error(ELSEWHERE, ROUTER), START) == []
    assert right.stats().dropped("icmp_error_unrelated") == 1
