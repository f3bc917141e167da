"""Where AH and ESP stand in an IPv6 packet, and what header a tunnel puts in front, as scapy reads them."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from scapy.layers.inet import IP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, RouterAlert
from scapy.layers.ipsec import AH, ESP

from perilune.databases.changes import AddSa, Change
from perilune.databases.processing import DestinationOptions, DscpMap, Mode, SecurityProtocol
from perilune.dataplane.engine import Engine
from perilune.model.iana import IntegId
from support.esp_tunnel import AES_GCM, START, Tunnel, null, path

ENDS = ("2001:db8::1", "2001:db8::2")
TRANSPORT = Tunnel(path=path(*ENDS), mode=Mode.TRANSPORT, left=f"{ENDS[0]}/128", right=f"{ENDS[1]}/128")
SUITES = {SecurityProtocol.AH: null(IntegId.AUTH_HMAC_SHA2_256_128), SecurityProtocol.ESP: AES_GCM}
HEADERS = {SecurityProtocol.AH: AH, SecurityProtocol.ESP: ESP}


def engine(tunnel: Tunnel, *, at_left: bool, **form: object) -> Engine:
    """Return an engine with the SAs of a tunnel whose packets have another form."""
    changed = Engine()
    changed.apply([_with(change, form) for change in tunnel.changes(at_left=at_left)], START)
    return changed


def _with(change: Change, form: dict[str, object]) -> Change:
    if not isinstance(change, AddSa):
        return change
    entry = change.entry
    return AddSa(replace(entry, processing=replace(entry.processing, **form)))  # type: ignore[arg-type] # any field


# covers R4301-4.1-8
@pytest.mark.parametrize("protocol", SecurityProtocol)
@pytest.mark.parametrize("place", DestinationOptions)
def test_it_comes_before_the_next_layer_and_on_either_side_of_destination_options(
    protocol: SecurityProtocol, place: DestinationOptions
) -> None:
    tunnel = replace(TRANSPORT, protocol=protocol, suite=SUITES[protocol])
    sent = (
        IPv6(src=ENDS[0], dst=ENDS[1])
        / IPv6ExtHdrHopByHop(options=[RouterAlert()])
        / IPv6ExtHdrDestOpt()
        / UDP(sport=1024, dport=53)
        / b"to whom it may concern"
    )
    (sealed,) = engine(tunnel, at_left=True, destination_options=place).seal_packet(bytes(sent), START)
    options = [IPv6ExtHdrDestOpt] if place is DestinationOptions.OUTSIDE else []
    in_front = [IPv6, IPv6ExtHdrHopByHop, *options, HEADERS[protocol]]
    assert IPv6(sealed).layers()[: len(in_front)] == in_front
    if protocol is SecurityProtocol.AH:
        assert IPv6(sealed)[AH].nh == (socket.IPPROTO_UDP if options else socket.IPPROTO_DSTOPTS)
    receiver = engine(tunnel, at_left=False, destination_options=place)
    assert receiver.open_packet(sealed, START) == [bytes(sent)]


FORM = {
    "hop_limit": 9,
    "flow_label": 0xABCDE,
    "dscp": DscpMap(tuple({46: 34, 10: 10}.get(inner, 0) for inner in range(64))),
}
TUNNELS = {
    4: Tunnel(path=path(*ENDS)),
    6: Tunnel(path=path(*ENDS), left="2001:db8:1::/48", right="2001:db8:2::/48"),
}
INNER = {
    4: IP(src="10.1.0.7", dst="10.2.0.9", ttl=61, options=[IPOption_Router_Alert()]),
    6: IPv6(src="2001:db8:1::7", dst="2001:db8:2::9", hlim=61, fl=0x12345)
    / IPv6ExtHdrHopByHop(options=[RouterAlert()])
    / IPv6ExtHdrDestOpt(),
}


# covers R4301-5.1.2-6
@pytest.mark.parametrize("protocol", SecurityProtocol)
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("inner_dscp", "outer_dscp"), [(46, 34), (10, 10), (0, 0), (63, 0)])
def test_a_tunnel_makes_its_header_and_copies_no_extension_headers(
    family: int, protocol: SecurityProtocol, inner_dscp: int, outer_dscp: int
) -> None:
    tunnel = replace(TUNNELS[family], protocol=protocol, suite=SUITES[protocol])
    sent = INNER[family] / UDP(sport=1024, dport=53) / b"to whom it may concern"
    ecn = 1
    sent.setfieldval("tos" if family == 4 else "tc", inner_dscp << 2 | ecn)
    for form, expected in ((FORM, (outer_dscp, 0xABCDE, 9)), ({}, (inner_dscp, 0, 64))):
        (sealed,) = engine(tunnel, at_left=True, **form).seal_packet(bytes(sent), START)
        outer = IPv6(sealed)
        assert outer.version == 6
        assert (outer.tc >> 2, outer.fl, outer.hlim) == expected
        assert outer.tc & 3 == ecn
        assert (outer.nh, outer.plen) == (protocol, len(sealed) - 40)
        assert (outer.src, outer.dst) == ENDS
        assert engine(tunnel, at_left=False, **form).open_packet(sealed, START) == [bytes(sent)]
