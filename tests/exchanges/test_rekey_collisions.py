"""Both sides rekey, or close, the same Child SA at once (RFC 7296, sections 2.8.1 and 2.25.1)."""

from __future__ import annotations

import pytest

from exchanges.insider import creator_of_lowest_nonce
from exchanges.link import Datagram
from exchanges.pair import Pair, Side
from perilune.databases.sad import Direction
from perilune.ike.events import ChildSaDown, ChildSaRekeyed, DownReason, IkeKeysDerived, Refused
from perilune.ike.settings import EndpointSettings
from perilune.model.time import Duration

SEEDS = range(8)


def rekey(side: Side, pair: Pair) -> None:
    pair.do(lambda now: side.endpoint.rekey_child("net", now))


def assert_one_child_remains(pair: Pair) -> None:
    pair.run(Duration.seconds(20))
    for side in pair.sides:
        assert len(side.children) == 1, side.children
        assert len(side.sas(Direction.INBOUND)) == 1
        assert len(side.sas(Direction.OUTBOUND)) == 1
        assert len(side.data_plane.policies) == 1
        assert len(side.ike_sas) == 1
    pair.check_agreement()


@pytest.mark.parametrize("seed", SEEDS)
def test_both_rekey_at_once(seed: int) -> None:
    pair = Pair(seed=seed)
    pair.establish()
    rekey(pair.left, pair)
    rekey(pair.right, pair)
    assert_one_child_remains(pair)
    redundant = [
        event
        for side in pair.sides
        for event in side.all(ChildSaDown)
        if event.reason in {DownReason.REDUNDANT, DownReason.PEER}
    ]
    assert len(redundant) == 2
    for side in pair.sides:
        assert len(side.all(ChildSaRekeyed)) == 2


@pytest.mark.parametrize("seed", SEEDS)
def test_sa_with_the_lowest_nonce_is_closed_by_its_creator(seed: int) -> None:
    pair = Pair(seed=seed, left_settings=EndpointSettings(export_keys=True))
    pair.initiate()
    pair.settle()
    derived = pair.left.take(IkeKeysDerived)
    sent = len(pair.link.sent)
    rekey(pair.left, pair)
    rekey(pair.right, pair)
    assert_one_child_remains(pair)

    loser = creator_of_lowest_nonce(pair, derived, sent)
    assert loser.take(ChildSaDown).reason is DownReason.REDUNDANT
    assert loser.peer.take(ChildSaDown).reason is DownReason.PEER


@pytest.mark.parametrize("seed", SEEDS)
def test_no_packet_is_lost_when_both_rekey_at_once(seed: int) -> None:
    pair = Pair(seed=seed)
    pair.establish()
    lost: list[str] = []
    pair.watch(lambda: lost.extend(str(s.address) for s in pair.sides if not pair.send_packet(s)))
    rekey(pair.left, pair)
    rekey(pair.right, pair)
    assert_one_child_remains(pair)
    assert not lost


@pytest.mark.parametrize("seed", SEEDS)
def test_first_request_is_lost_so_only_one_side_sees_the_collision(seed: int) -> None:
    """The second sequence of section 2.8.1, which ends with CHILD_SA_NOT_FOUND."""
    pair = Pair(seed=seed)
    pair.establish()
    pair.link.drop(nth=1)
    rekey(pair.left, pair)
    rekey(pair.right, pair)
    assert_one_child_remains(pair)
    assert {event.notify for event in pair.left.all(Refused)} == {"CHILD_SA_NOT_FOUND"}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("nth", [2, 3, 4, 5, 6])
def test_any_message_of_a_collision_may_be_lost(seed: int, nth: int) -> None:
    pair = Pair(seed=seed)
    pair.establish()
    pair.link.drop(nth=nth)
    rekey(pair.left, pair)
    rekey(pair.right, pair)
    assert_one_child_remains(pair)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ms", [1, 9, 15, 25])
def test_one_side_rekeys_a_little_later(seed: int, ms: int) -> None:
    pair = Pair(seed=seed)
    pair.establish()
    rekey(pair.left, pair)
    pair.run(Duration.milliseconds(ms))
    rekey(pair.right, pair)
    assert_one_child_remains(pair)


def test_rekeying_a_child_that_the_peer_closes() -> None:
    pair = Pair()
    pair.establish()
    pair.do(lambda now: pair.right.endpoint.terminate_child("net", now))
    rekey(pair.left, pair)
    pair.run(Duration.seconds(30))
    # The closing side answers TEMPORARY_FAILURE; the Delete ends the child on both sides.
    assert {event.notify for event in pair.left.all(Refused)} <= {"TEMPORARY_FAILURE", "CHILD_SA_NOT_FOUND"}
    assert not pair.left.children
    assert not pair.right.children
    assert not pair.left.data_plane.sas
    assert not pair.right.data_plane.sas


def test_both_close_a_child_at_once() -> None:
    pair = Pair()
    pair.establish()
    for side in pair.sides:
        pair.do(lambda now, side=side: side.endpoint.terminate_child("net", now))
    pair.run(Duration.seconds(30))
    for side in pair.sides:
        assert not side.data_plane.sas
        assert [policy.acquires for policy in side.data_plane.policies.values()] == [False]
        assert side.take(ChildSaDown).reason is DownReason.LOCAL
        assert len(side.ike_sas) == 1


def test_both_create_the_same_child_at_once() -> None:
    pair = Pair()
    pair.establish()
    for side in pair.sides:
        pair.do(lambda now, side=side: side.endpoint.terminate_child("net", now))
    pair.run(Duration.seconds(1))
    pair.initiate(pair.left)
    pair.initiate(pair.right)
    pair.run(Duration.seconds(20))
    pair.check_agreement()


@pytest.mark.parametrize("seed", SEEDS)
def test_replayed_and_reordered_messages_of_a_collision(seed: int) -> None:
    pair = Pair(seed=seed)
    pair.establish()

    def echo(datagram: Datagram) -> list[tuple[Duration, Datagram]]:
        late = Duration.milliseconds(7 * (datagram.number % 5))
        return [(Duration(0), datagram), (late, datagram), (Duration.seconds(2), datagram)]

    pair.link.add_fault(echo)
    rekey(pair.left, pair)
    rekey(pair.right, pair)
    assert_one_child_remains(pair)
