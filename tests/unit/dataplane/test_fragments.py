"""Fragments that scapy makes, on SAs for certain ports (RFC 4301, section 7)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from scapy.layers.inet import IP, TCP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.packet import Packet, Raw

from perilune.databases.changes import AddPolicy, AddSa
from perilune.databases.sad import Direction
from perilune.dataplane.engine import Engine
from perilune.model.selector import TrafficSelector
from support.esp_tunnel import START, Tunnel

NETS = {4: ("10.1.0.0/16", "10.2.0.0/16"), 6: ("fd01::/16", "fd02::/16")}
TELNET = TCP(sport=1024, dport=23) / Raw(bytes(n & 0xFF for n in range(3000)))


def gateway(*, version: int, at_left: bool, stateful: bool) -> Engine:
    """Return a gateway with SAs for TCP from the left to port 23 on the right."""
    left, right = NETS[version]
    tunnel = Tunnel(left=left, right=right)
    ends = (
        (TrafficSelector.of_network(ip_network(left), 6),),
        (TrafficSelector.of_network(ip_network(right), 6, 23, 23),),
    )
    local, remote = ends if at_left else ends[::-1]
    sas = [tunnel.sa(direction, at_left=at_left) for direction in Direction]
    engine = Engine()
    policy = replace(tunnel.policy(at_left=at_left).entry, local=local, remote=remote)
    changed = [replace(sa, local=local, remote=remote, stateful_fragments=stateful) for sa in sas]
    engine.apply([AddPolicy(policy), *map(AddSa, changed)], START)
    return engine


def pieces(version: int) -> tuple[Packet, list[Packet]]:
    """Return a packet and its fragments."""
    if version == 4:
        whole = IP(bytes(IP(src="10.1.0.7", dst="10.2.0.9", id=7) / TELNET))
        return whole, fragment(whole, 1000)
    head = IPv6(src="fd01::7", dst="fd02::9")
    return IPv6(bytes(head / TELNET)), fragment6(IPv6(bytes(head / IPv6ExtHdrFragment(id=7) / TELNET)), 1000)


# covers R4301-7.3-3
# covers R4301-7.3-4
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("sends", "takes"), [(True, True), (True, False), (False, True), (False, False)])
def test_later_fragments_go_where_both_have_agreed(version: int, sends: bool, takes: bool) -> None:
    left = gateway(version=version, at_left=True, stateful=sends)
    right = gateway(version=version, at_left=False, stateful=takes)
    whole, fragments = pieces(version)
    assert len(fragments) >= 4
    sealed = [one for piece in fragments for one in left.seal_packet(bytes(piece), START)]
    opened = [one for packet in sealed for one in right.open_packet(packet, START)]
    if not sends:
        assert opened == [bytes(whole)]
    elif takes:
        assert opened == [bytes(piece) for piece in fragments]
    else:
        assert opened == [bytes(fragments[0])]
        assert right.stats().dropped("selector_mismatch") == len(fragments) - 1
