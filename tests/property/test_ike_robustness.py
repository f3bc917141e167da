"""Nothing that comes from the network makes an endpoint raise, and nothing unauthenticated changes an SA."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.insider import Insider
from exchanges.link import Datagram
from exchanges.pair import Pair
from exchanges.settings import left, right
from perilune.databases.pad import Fragmentation
from perilune.ike.settings import EndpointSettings
from perilune.model.iana import ExchangeType
from perilune.model.time import Duration
from perilune.wire.header import Header
from perilune.wire.message import encode_message
from perilune.wire.payloads import Payload
from property import strategies as own

EXCHANGES = st.sampled_from(list(ExchangeType))


@cache
def recorded() -> tuple[Datagram, ...]:
    """Return every datagram of a set-up, rekeyings and an end, some in fragments."""
    small = EndpointSettings(fragment_octets=300)
    pair = Pair(left_settings=small, right_settings=small)
    pair.establish()
    pair.do(lambda now: pair.left.endpoint.rekey_child("net", now))
    pair.run(Duration.seconds(1))
    pair.do(lambda now: pair.right.endpoint.rekey_ike("gw", now))
    pair.run(Duration.seconds(1))
    pair.do(lambda now: pair.left.endpoint.terminate_ike("gw", now))
    pair.run(Duration.seconds(1))
    return tuple(pair.link.sent)


@cache
def established() -> Pair:
    """Return a pair that tests throw datagrams at; it has to stay as it is."""
    pair = Pair(left_settings=EndpointSettings(cookie_threshold=10**6, half_open_limit=8))
    pair.establish()
    return pair


def feed(pair: Pair, data: bytes) -> None:
    before = [(side.children, [ike.name for ike in side.ike_sas]) for side in pair.sides]
    for side in pair.sides:
        side.endpoint.receive_datagram(data, side.path(), pair.now)
        side.apply(side.endpoint.sa_changes(), pair.now)
        side.endpoint.transmits()
        side.endpoint.next_timeout()
        for event in side.endpoint.events():
            assert str(event)
    assert [(side.children, [ike.name for ike in side.ike_sas]) for side in pair.sides] == before


@given(st.binary(max_size=300))
def test_any_octets(data: bytes) -> None:
    feed(established(), data)


@given(own.headers, st.lists(own.payloads, max_size=6))
def test_any_message(header: Header, payloads: list[Payload]) -> None:
    feed(established(), encode_message(header, payloads))


@given(own.headers, st.lists(own.payloads, max_size=6), EXCHANGES, st.booleans())
def test_any_message_for_the_ike_sa_that_is_there(
    header: Header, payloads: list[Payload], exchange: ExchangeType, first: bool
) -> None:
    pair = established()
    name = pair.left.ike_sa.name
    octets = encode_message(header, payloads)
    spis = name.spi_i.to_bytes(8) + (bytes(8) if first else name.spi_r.to_bytes(8))
    feed(pair, spis + octets[16:18] + bytes((exchange,)) + octets[19:])


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 255))
def test_damaged_messages_of_a_real_conversation(which: int, where: int, flips: int) -> None:
    datagrams = recorded()
    data = bytearray(datagrams[which % len(datagrams)].data)
    data[where % len(data)] ^= flips
    feed(established(), bytes(data))


@given(st.data())
def test_damaged_messages_within_a_set_up(data: st.DataObject) -> None:
    pair = Pair(left_entry=left(fragmentation=Fragmentation.NO), right_entry=right())

    def damage(datagram: Datagram) -> list[tuple[Duration, Datagram]]:
        octets = bytearray(datagram.data)
        for _ in range(data.draw(st.integers(0, 2))):
            octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
        damaged = Datagram(datagram.source, datagram.destination, bytes(octets), datagram.encapsulated)
        return [(Duration(0), damaged)]

    pair.link.add_fault(damage)
    pair.initiate()
    pair.run(Duration.seconds(30))
    pair.link.mend()
    pair.run(Duration.seconds(600))
    pair.check_agreement()


@settings(max_examples=60)
@given(st.lists(st.tuples(EXCHANGES, own.chains), min_size=1, max_size=5))
def test_authenticated_peer_may_send_anything(requests: list[tuple[ExchangeType, list[Payload]]]) -> None:
    insider = Insider()
    for exchange, payloads in requests:
        insider.request(exchange, payloads)
    insider.pair.run(Duration.seconds(40))
    for side in insider.pair.sides:
        assert all(str(event) for event in side.events)
