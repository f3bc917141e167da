"""Where AH and ESP stand in an IPv6 packet, and what header a tunnel puts in front, as scapy reads them."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, RouterAlert
from scapy.layers.ipsec import AH, ESP

from perilune.databases.changes import AddSa, Change
from perilune.databases.processing import DestinationOptions, Mode, SecurityProtocol
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
