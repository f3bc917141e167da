"""An IKE endpoint, strangers who send it anything, and a peer who has the keys and means harm.

The input is a list of deeds: who does it, two octets with a length, and so many octets. A stranger's are a
datagram. The peer's are an exchange type and a chain of payloads, each a type, a flag whether it is critical,
two octets with a length, and its body: so the ICV is right, and nothing else need be.
"""

from __future__ import annotations

from collections.abc import Iterator

from exchanges.insider import Insider
from exchanges.link import Datagram
from exchanges.pair import Pair
from perilune.ike.settings import EndpointSettings
from perilune.model.time import Duration
from perilune.wire.payloads import UnknownPayload

MOST_DEEDS = 6
LONGEST_WAIT = Duration.seconds(40)


def run(data: bytes) -> None:
    """Let them act, one after the other, and time pass."""
    # Keys of their own: what other tests recorded is as good as made up.
    insider = Insider(Pair(left_settings=EndpointSettings(export_keys=True), seed=7))
    for who, octets in _deeds(data):
        if who % 2:
            insider.request(octets[0] if octets else 0, list(_payloads(octets[1:])))
        else:
            _send_as_a_stranger(insider, octets)
    insider.pair.run(LONGEST_WAIT)
    for side in insider.pair.sides:
        assert all(str(event) for event in side.events)


def _send_as_a_stranger(insider: Insider, octets: bytes) -> None:
    """Who has no keys changes nothing of what is there; he may begin an IKE SA of his own."""
    pair = insider.pair
    before = [(side.children, dict(side.data_plane.sas)) for side in pair.sides]
    names = [{ike.name for ike in side.ike_sas} for side in pair.sides]
    for side in pair.sides:
        source, destination = side.path().remote, side.path().local
        pair.link.inject(Datagram(source, destination, octets, False), pair.now)
    pair.run(Duration.milliseconds(1))
    assert [(side.children, dict(side.data_plane.sas)) for side in pair.sides] == before
    for side, known in zip(pair.sides, names, strict=True):
        assert known <= {ike.name for ike in side.ike_sas}


def _deeds(data: bytes) -> Iterator[tuple[int, bytes]]:
    for _ in range(MOST_DEEDS):
        if len(data) < 3:
            return
        end = 3 + int.from_bytes(data[1:3])
        yield data[0], data[3:end]
        data = data[end:]


def _payloads(data: bytes) -> Iterator[UnknownPayload]:
    while len(data) >= 4:
        end = 4 + int.from_bytes(data[2:4])
        yield UnknownPayload(data[0], bool(data[1] & 1), data[4:end])
        data = data[end:]
