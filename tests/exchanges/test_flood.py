"""Requests with forged senders, many more than there is room for: little is kept, and who is real gets in."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Final

from exchanges.link import Datagram
from exchanges.pair import Pair
from exchanges.settings import right
from perilune.databases.pad import ANY_IPV4
from perilune.ike.events import ChildSaUp, CookieDemanded
from perilune.ike.settings import EndpointSettings
from perilune.model.address import Endpoint
from perilune.model.time import Duration

SETTINGS: Final = EndpointSettings(half_open_limit=40, cookie_threshold=30)
FORGED: Final = 10 * SETTINGS.half_open_limit
FIRST_FORGED: Final = int(IPv4Address("203.0.113.0"))


def first_request() -> Datagram:
    """Return what somebody can have overheard."""
    pair = Pair()
    pair.link.cut()
    pair.initiate()
    return pair.link.sent[0]


def forged(request: Datagram, number: int) -> Datagram:
    """Return the request with another SPI and another sender."""
    sender = Endpoint(IPv4Address(FIRST_FORGED + number), request.source.port)
    return replace(request, source=sender, data=(number + 1).to_bytes(8) + request.data[8:])


def test_flood_keeps_nobody_out_and_takes_no_memory() -> None:
    pair = Pair(right_entry=right(remote_addrs=(ANY_IPV4,)), right_settings=SETTINGS)
    request = first_request()
    most = 0
    for number in range(FORGED):
        pair.link.inject(forged(request, number), pair.now)
        if number == FORGED // 2:
            pair.initiate()
        pair.run(Duration.milliseconds(10))
        most = max(most, pair.right.endpoint.status().half_open)
    assert most <= SETTINGS.cookie_threshold + 1  # those that need no cookie, and the one who has one
    assert len(pair.right.all(CookieDemanded)) == FORGED - SETTINGS.cookie_threshold + 1
    assert pair.left.has(ChildSaUp)
    assert pair.right.has(ChildSaUp)

    pair.run(SETTINGS.timers.half_open)
    assert pair.right.endpoint.status().half_open == 0
