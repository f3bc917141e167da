"""Rekeying the IKE SA, and both sides doing it at once (RFC 7296, sections 1.3.2, 2.8.2 and 2.25.2)."""

from __future__ import annotations

import pytest

from exchanges.insider import creator_of_lowest_nonce
from exchanges.pair import Pair, Side
from exchanges.settings import LEFT_NET, RIGHT_NET, child, ike_proposal, left, right
from perilune.ike.events import (
    ChildSaDown,
    ChildSaRekeyed,
    ChildSaUp,
    DownReason,
    IkeKeysDerived,
    IkeSaDown,
    IkeSaRekeyed,
    Refused,
)
from perilune.ike.settings import EndpointSettings
from perilune.ike.status import IkeSaState
from perilune.model.iana import KeId, PrfId
from perilune.model.time import Duration

SEEDS = range(8)


def rekey(side: Side, pair: Pair) -> None:
    pair.do(lambda now: side.endpoint.rekey_ike("gw", now))


def assert_one_ike_sa_with_its_child_remains(pair: Pair) -> None:
    pair.run(Duration.seconds(100))
    for side in pair.sides:
        assert len(side.ike_sas) == 1, side.ike_sas
        assert side.ike_sa.state is IkeSaState.ESTABLISHED
        assert len(side.children) == 1
        assert not side.has(ChildSaDown), [str(event) for event in side.all(ChildSaDown)]
        assert len(side.data_plane.sas) == 2
    pair.check_agreement()


@pytest.mark.parametrize("who", ["left", "right"])
def test_successor_inherits_the_children(who: str) -> None:
    pair = Pair()
    pair.establish()
    side: Side = getattr(pair, who)
    old, sas = side.ike_sa, dict(side.data_plane.sas)

    rekey(side, pair)
    pair.settle()

    event = side.take(IkeSaRekeyed)
    assert event.ike == old.name
    assert event.new == side.ike_sa.name
    assert side.ike_sa.original_initiator
    assert not side.peer.ike_sa.original_initiator
    assert side.ike_sa.children == old.children
    assert side.data_plane.sas == sas
    assert_one_ike_sa_with_its_child_remains(pair)


def test_message_ids_begin_at_zero_again() -> None:
    pair = Pair()
    pair.establish()
    rekey(pair.left, pair)
    pair.settle()
    number = len(pair.link.sent)
    pair.do(lambda now: pair.left.endpoint.rekey_child("net", now))
    pair.do(lambda now: pair.right.endpoint.rekey_ike("gw", now))
    pair.settle()
    assert {d.header.message_id for d in pair.link.sent[number : number + 2]} == {0}


@pytest.mark.parametrize("who", ["left", "right"])
def test_children_are_rekeyed_under_the_successor(who: str) -> None:
    pair = Pair()
    pair.establish()
    rekey(pair.left, pair)
    pair.settle()
    pair.do(lambda now: getattr(pair, who).endpoint.rekey_child("net", now))
    pair.run(Duration.seconds(10))
    assert getattr(pair, who).has(ChildSaRekeyed)
    assert_one_ike_sa_with_its_child_remains(pair)


@pytest.mark.parametrize("seed", SEEDS)
def test_both_rekey_at_once(seed: int) -> None:
    pair = Pair(seed=seed)
    pair.establish()
    rekey(pair.left, pair)
    rekey(pair.right, pair)
    assert_one_ike_sa_with_its_child_remains(pair)
    for side in pair.sides:
        assert {event.reason for event in side.all(IkeSaDown)} <= {DownReason.REDUNDANT}


@pytest.mark.parametrize("seed", SEEDS)
def test_ike_sa_with_the_lowest_nonce_is_closed_by_its_creator(seed: int) -> None:
    pair = Pair(seed=seed, left_settings=EndpointSettings(export_keys=True))
    pair.initiate()
    pair.settle()
    derived = pair.left.take(IkeKeysDerived)
    sent = len(pair.link.sent)
    rekey(pair.left, pair)
    rekey(pair.right, pair)
    assert_one_ike_sa_with_its_child_remains(pair)

    winner = creator_of_lowest_nonce(pair, derived, sent).peer
    assert winner.ike_sa.original_initiator


@pytest.mark.parametrize("seed", SEEDS)
def test_only_one_side_sees_the_collision(seed: int) -> None:
    """The special case of section 2.8.2: the first request is lost."""
    pair = Pair(seed=seed)
    pair.establish()
    pair.link.drop(nth=1)
    rekey(pair.left, pair)
    rekey(pair.right, pair)
    assert_one_ike_sa_with_its_child_remains(pair)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("nth", [2, 3, 4, 5, 6])
def test_any_message_of_a_collision_may_be_lost(seed: int, nth: int) -> None:
    pair = Pair(seed=seed)
    pair.establish()
    pair.link.drop(nth=nth)
    rekey(pair.left, pair)
    rekey(pair.right, pair)
    assert_one_ike_sa_with_its_child_remains(pair)


@pytest.mark.parametrize("ms", [1, 9, 11, 15, 19, 21, 29, 31])
@pytest.mark.parametrize("seed", range(3))
def test_one_side_rekeys_a_little_later(seed: int, ms: int) -> None:
    pair = Pair(seed=seed)
    pair.establish()
    rekey(pair.left, pair)
    pair.run(Duration.milliseconds(ms))
    rekey(pair.right, pair)
    assert_one_ike_sa_with_its_child_remains(pair)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ms", [0, 5, 15, 25])
def test_child_and_ike_sa_are_rekeyed_at_once(seed: int, ms: int) -> None:
    pair = Pair(seed=seed)
    pair.establish()
    rekey(pair.left, pair)
    pair.run(Duration.milliseconds(ms))
    pair.do(lambda now: pair.right.endpoint.rekey_child("net", now))
    pair.run(Duration.seconds(60))
    assert pair.right.has(ChildSaRekeyed)
    assert pair.left.has(IkeSaRekeyed)
    assert_one_ike_sa_with_its_child_remains(pair)


def test_child_is_asked_for_while_the_peer_rekeys_the_ike_sa() -> None:
    second = child("other", local="10.3.0.0/16", remote="10.4.0.0/16")
    mirrored = child("other", local="10.4.0.0/16", remote="10.3.0.0/16")
    pair = Pair(
        left_entry=left(children=(child(), second)),
        right_entry=right(children=(child(local=RIGHT_NET, remote=LEFT_NET), mirrored)),
    )
    pair.establish()
    rekey(pair.left, pair)
    pair.initiate(pair.right, "other")
    pair.run(Duration.seconds(40))
    assert pair.right.take(Refused).notify == "TEMPORARY_FAILURE"
    assert pair.right.has(ChildSaUp)
    assert len(pair.left.ike_sas) == 1
    pair.check_agreement()


def test_close_of_the_ike_sa_while_the_peer_rekeys_it() -> None:
    pair = Pair()
    pair.establish()
    rekey(pair.left, pair)
    pair.do(lambda now: pair.right.endpoint.terminate_ike("gw", now))
    pair.run(Duration.seconds(60))
    for side in pair.sides:
        assert not side.ike_sas
        assert not side.data_plane.sas


def test_successor_is_not_rekeyed_for_the_age_of_its_predecessor() -> None:
    pair = Pair(left_entry=left(dpd_delay=Duration.seconds(10)))
    pair.establish()
    # A liveness check waits for its response, and our rekeying for that, while the peer rekeys.
    pair.link.drop_where(lambda d: d.header.flags.response)
    pair.run(Duration.seconds(10.1))
    rekey(pair.left, pair)
    rekey(pair.right, pair)
    pair.run(Duration.seconds(30))
    assert len(pair.left.all(IkeSaRekeyed)) == 1
    assert_one_ike_sa_with_its_child_remains(pair)


def test_rekeying_keeps_the_key_exchange_and_the_peer_may_want_another() -> None:
    both = (ike_proposal(KeId.CURVE25519, KeId.ECP_384),)
    pair = Pair(left_entry=left(proposals=both), right_entry=right(proposals=(ike_proposal(KeId.ECP_384),)))
    pair.establish()
    assert pair.left.ike_sa.suite
    assert pair.left.ike_sa.suite.key_exchange is KeId.ECP_384
    rekey(pair.left, pair)
    pair.settle()
    assert pair.left.take(IkeSaRekeyed).suite.key_exchange is KeId.ECP_384
    pair.check_agreement()


def test_age_leads_to_a_successor_again_and_again() -> None:
    lifetime = {
        "rekey_time": Duration.seconds(100),
        "over_time": Duration.seconds(10),
        "rand_time": Duration.seconds(10),
    }
    pair = Pair(left_entry=left(**lifetime), right_entry=right(**lifetime))
    pair.establish()
    pair.run(Duration.seconds(1000))
    assert len(pair.left.all(IkeSaRekeyed)) >= 9
    assert not pair.left.has(ChildSaDown)
    assert len(pair.left.ike_sas) == 1
    pair.check_agreement()


def test_ike_sa_that_could_not_be_rekeyed_ends() -> None:
    lifetime = {
        "rekey_time": Duration.seconds(100),
        "over_time": Duration.seconds(10),
        "rand_time": Duration.seconds(0),
    }
    pair = Pair(left_entry=left(**lifetime))
    pair.establish()
    pair.link.cut()
    pair.run(Duration.seconds(111))
    assert pair.left.take(IkeSaDown).reason is DownReason.EXPIRED
    assert not pair.left.data_plane.sas


@pytest.mark.parametrize("who", ["left", "right"])
def test_rekeying_keeps_the_prf_whatever_either_side_likes_best(who: str) -> None:
    """Implementations disagree on which PRF expands SKEYSEED where it changes (section 2.18)."""
    large = ike_proposal(prf=PrfId.PRF_HMAC_SHA2_512)
    pair = Pair(
        left_entry=left(proposals=(large, ike_proposal())),
        right_entry=right(proposals=(ike_proposal(), large)),
    )
    pair.establish()
    pair.do(lambda now: getattr(pair, who).endpoint.rekey_ike("gw", now))
    pair.run(Duration.seconds(1))
    assert pair.left.ike_sa.suite
    assert pair.left.ike_sa.suite.prf is PrfId.PRF_HMAC_SHA2_256
    pair.check_agreement()
