"""INFORMATIONAL: closing, liveness, and what must not be answered (RFC 7296, sections 1.4 and 2.4)."""

from __future__ import annotations

import pytest

from exchanges.pair import Pair
from exchanges.settings import left
from perilune.ike.events import ChildSaDown, DownReason, Dropped, IkeSaDown, PeerUnreachable
from perilune.model.time import Duration


@pytest.mark.parametrize("who", ["left", "right"])
def test_closing_a_child_ends_it_on_both_sides(who: str) -> None:
    pair = Pair()
    pair.establish()
    side = getattr(pair, who)
    pair.do(lambda now: side.endpoint.terminate_child("net", now))
    pair.settle()
    assert side.take(ChildSaDown).reason is DownReason.LOCAL
    assert side.peer.take(ChildSaDown).reason is DownReason.PEER
    for one in pair.sides:
        assert not one.data_plane.sas
        assert [policy.acquires for policy in one.data_plane.policies.values()] == [False]
        assert len(one.ike_sas) == 1


@pytest.mark.parametrize("who", ["left", "right"])
def test_closing_the_ike_sa_ends_its_children(who: str) -> None:
    pair = Pair()
    pair.establish()
    side = getattr(pair, who)
    assert side.endpoint.terminate_ike("gw", pair.now) == 1
    pair.do(lambda now: None)
    pair.settle()
    assert side.take(IkeSaDown).reason is DownReason.LOCAL
    assert side.peer.take(IkeSaDown).reason is DownReason.PEER
    for one in pair.sides:
        assert one.endpoint.is_quiet
        assert not one.data_plane.sas


def test_both_close_the_ike_sa_at_once() -> None:
    pair = Pair()
    pair.establish()
    for side in pair.sides:
        pair.do(lambda now, side=side: side.endpoint.terminate_ike("gw", now))
    pair.settle()
    assert all(side.endpoint.is_quiet for side in pair.sides)


def test_lost_answer_to_a_delete_is_repeated_by_what_is_left_of_the_ike_sa() -> None:
    pair = Pair()
    pair.establish()
    pair.link.drop(nth=2)
    pair.do(lambda now: pair.left.endpoint.terminate_ike("gw", now))
    pair.run(Duration.seconds(4.1))
    assert pair.left.take(IkeSaDown).reason is DownReason.LOCAL


def test_silence_is_broken_by_an_empty_request_that_an_empty_response_answers() -> None:
    pair = Pair(left_entry=left(dpd_delay=Duration.seconds(10)))
    pair.establish()
    pair.run(Duration.seconds(10.1))
    assert len(pair.link.sent) == 6
    pair.run(Duration.seconds(10))
    assert len(pair.link.sent) == 8


def test_traffic_from_the_peer_needs_no_request() -> None:
    pair = Pair(left_entry=left(dpd_delay=Duration.seconds(10)))
    pair.establish()
    spi = pair.left.child.name.spi_in
    for _ in range(20):
        pair.run(Duration.seconds(2))
        pair.do(lambda now: pair.left.endpoint.heard(spi, now))
    assert len(pair.link.sent) == 4


def test_dead_peer_is_found_and_its_sas_end() -> None:
    pair = Pair(left_entry=left(dpd_delay=Duration.seconds(10)))
    pair.establish()
    pair.link.cut()
    # 10 s of silence, then 4 s x 1.8^n for 6 transmissions
    pair.run(Duration.seconds(10 + 165.1))
    assert pair.left.has(PeerUnreachable)
    assert pair.left.take(IkeSaDown).reason is DownReason.UNREACHABLE
    assert pair.left.take(ChildSaDown).reason is DownReason.UNREACHABLE
    assert not pair.left.data_plane.sas


def test_shutdown_tells_the_peers_and_begins_nothing() -> None:
    pair = Pair()
    pair.establish()
    pair.do(pair.left.endpoint.shutdown)
    pair.settle()
    assert pair.left.endpoint.is_quiet
    assert pair.right.endpoint.is_quiet


def test_replayed_request_is_answered_from_memory_and_not_carried_out_again() -> None:
    pair = Pair()
    pair.establish()
    pair.do(lambda now: pair.left.endpoint.rekey_child("net", now))
    pair.run(Duration.seconds(20))
    children = pair.right.children
    sent = len(pair.link.sent)
    for number in range(1, sent + 1):
        pair.link.replay(number, pair.now)
        pair.settle()
    assert pair.right.children == children
    assert len(pair.left.ike_sas) == 1
    # Only the last request of the left side is repeated to it; older ones are outside the window.
    assert len(pair.link.sent) - sent <= 2
    assert pair.right.has(Dropped)
    pair.check_agreement()


@pytest.mark.parametrize("nth", [1, 2])
def test_corrupted_message_is_dropped_and_sent_again(nth: int) -> None:
    pair = Pair()
    pair.establish()
    pair.link.corrupt(nth=nth)
    pair.do(lambda now: pair.left.endpoint.terminate_child("net", now))
    pair.run(Duration.seconds(5))
    assert pair.left.has(ChildSaDown)
    assert pair.right.has(ChildSaDown)
    assert pair.left.has(Dropped) or pair.right.has(Dropped)
