"""IKE fragmentation (RFC 7383): messages longer than a datagram should be."""

from __future__ import annotations

import pytest

from exchanges.link import Datagram
from exchanges.pair import Pair
from exchanges.settings import child, left, right
from perilune.databases.pad import ChildPolicy, Fragmentation
from perilune.ike.settings import EndpointSettings
from perilune.model.iana import PayloadType
from perilune.model.time import Duration

MANY_LEFT = " ".join(f"10.1.{number}.0/24" for number in range(60))
MANY_RIGHT = " ".join(f"10.2.{number}.0/24" for number in range(60))
SMALL = EndpointSettings(fragment_octets=576)


def big() -> tuple[ChildPolicy, ...]:
    return (child(local=MANY_LEFT, remote=MANY_RIGHT),)


def big_mirrored() -> tuple[ChildPolicy, ...]:
    return (child(local=MANY_RIGHT, remote=MANY_LEFT),)


def pair_with(ours: Fragmentation, theirs: Fragmentation, settings: EndpointSettings = SMALL) -> Pair:
    return Pair(
        left_entry=left(children=big(), fragmentation=ours),
        right_entry=right(children=big_mirrored(), fragmentation=theirs),
        left_settings=settings,
        right_settings=settings,
    )


def is_fragment(datagram: Datagram) -> bool:
    return datagram.header.next_payload == PayloadType.SKF


def test_long_messages_travel_in_fragments_that_fit() -> None:
    pair = pair_with(Fragmentation.YES, Fragmentation.YES)
    pair.establish()
    fragments = [d for d in pair.link.sent if is_fragment(d)]
    assert len(fragments) > 8
    assert max(len(d.data) for d in fragments) <= 576 - 20 - 8
    assert len(pair.left.child.local) == 60


@pytest.mark.parametrize(
    ("ours", "theirs", "who"),
    [
        (Fragmentation.NO, Fragmentation.YES, ()),
        (Fragmentation.YES, Fragmentation.NO, ()),
        (Fragmentation.ACCEPT, Fragmentation.YES, ("right",)),
        (Fragmentation.FORCE, Fragmentation.YES, ("left", "right")),
    ],
)
def test_only_who_may_sends_fragments(
    ours: Fragmentation, theirs: Fragmentation, who: tuple[str, ...]
) -> None:
    pair = pair_with(ours, theirs)
    pair.establish()
    senders = {d.source.address for d in pair.link.sent if is_fragment(d)}
    assert senders == {getattr(pair, name).address for name in who}


@pytest.mark.parametrize("nth", range(3, 12))
def test_any_fragment_may_be_lost_or_come_twice(nth: int) -> None:
    for fault in ("drop", "duplicate", "corrupt"):
        pair = pair_with(Fragmentation.YES, Fragmentation.YES)
        getattr(pair.link, fault)(nth=nth)
        pair.initiate()
        pair.run(Duration.seconds(12))
        assert pair.left.children, (fault, nth)
        pair.check_agreement()


def test_fragments_may_come_in_any_order() -> None:
    pair = pair_with(Fragmentation.YES, Fragmentation.YES)

    def shuffled(datagram: Datagram) -> list[tuple[Duration, Datagram]] | None:
        if not is_fragment(datagram):
            return None
        return [(Duration.milliseconds(7 * (datagram.number * 5 % 11)), datagram)]

    pair.link.add_fault(shuffled)
    pair.initiate()
    pair.settle()
    assert pair.left.children
    pair.check_agreement()


def test_repeated_request_is_answered_once_although_it_has_many_fragments() -> None:
    pair = pair_with(Fragmentation.YES, Fragmentation.YES)
    pair.link.drop_where(lambda d: is_fragment(d) and d.header.flags.response, times=1)
    pair.initiate()
    pair.run(Duration.seconds(5))
    responses = [d for d in pair.link.sent if is_fragment(d) and d.header.flags.response]
    assert len(responses) == 2 * len({d.data for d in responses})
    pair.check_agreement()


def test_rekeying_goes_in_fragments_too() -> None:
    pair = pair_with(Fragmentation.YES, Fragmentation.YES, EndpointSettings())
    pair.establish()
    pair.do(lambda now: pair.right.endpoint.rekey_child("net", now))
    pair.run(Duration.seconds(10))
    assert len(pair.left.child.local) == 60
    pair.check_agreement()
