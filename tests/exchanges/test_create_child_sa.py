"""CREATE_CHILD_SA: another child, and successors of children, each side beginning."""

from __future__ import annotations

import pytest

from exchanges.pair import Pair
from exchanges.settings import LEFT_NET, RIGHT_NET, child, esp_proposal, left, right, selectors
from perilune.databases.sad import Direction, Lifetime, Limits
from perilune.ike.events import ChildSaDown, ChildSaRekeyed, ChildSaUp, Refused
from perilune.ike.settings import EndpointSettings
from perilune.ike.status import ChildSaState
from perilune.model.iana import KeId, SnId
from perilune.model.time import Duration

SECOND = child("other", local="10.3.0.0/16", remote="10.4.0.0/16")
SECOND_MIRRORED = child("other", local="10.4.0.0/16", remote="10.3.0.0/16")
MIRRORED = child(local=RIGHT_NET, remote=LEFT_NET)


def two_children() -> Pair:
    return Pair(
        left_entry=left(children=(child(), SECOND)), right_entry=right(children=(MIRRORED, SECOND_MIRRORED))
    )


def test_another_child_joins_the_ike_sa() -> None:
    pair = two_children()
    pair.establish()

    # CREATE_CHILD_SA { SA, Ni, TSi, TSr } -->
    pair.initiate(child="other")
    # <-- CREATE_CHILD_SA { SA, Nr, TSi, TSr }
    pair.settle()

    assert len(pair.link.sent) == 6
    assert pair.left.take(ChildSaUp).local == selectors("10.3.0.0/16")
    assert len(pair.right.children) == 2
    assert len(pair.left.ike_sas) == 1
    pair.check_agreement()


def test_responder_of_the_ike_sa_may_ask_for_a_child() -> None:
    pair = two_children()
    pair.establish()
    pair.initiate(pair.right, "other")
    pair.settle()
    assert pair.right.take(ChildSaUp).child.name == "other"
    pair.check_agreement()


def test_child_that_is_up_is_not_made_twice() -> None:
    pair = Pair()
    pair.establish()
    assert pair.left.endpoint.initiate("gw", "net", pair.left.path(), pair.now).already_up
    pair.settle()
    assert len(pair.link.sent) == 4


@pytest.mark.parametrize("method", [KeId.CURVE25519, KeId.ECP_256, KeId.CURVE448, KeId.MODP_2048])
def test_rekeying_runs_a_key_exchange_where_the_child_has_one(method: KeId) -> None:
    proposals = (esp_proposal(method),)
    pair = Pair(
        left_entry=left(children=(child(proposals=proposals),)),
        right_entry=right(children=(child(local=RIGHT_NET, remote=LEFT_NET, proposals=proposals),)),
    )
    pair.establish()
    assert pair.left.child.suite.key_exchange is KeId.NONE
    pair.do(lambda now: pair.left.endpoint.rekey_child("net", now))
    pair.settle()
    assert pair.left.take(ChildSaRekeyed).suite.key_exchange is method
    pair.check_agreement()


def test_key_exchange_that_the_peer_prefers_is_tried_next() -> None:
    pair = Pair(
        left_entry=left(children=(child(proposals=(esp_proposal(KeId.CURVE25519, KeId.ECP_256),)),)),
        right_entry=right(
            children=(child(local=RIGHT_NET, remote=LEFT_NET, proposals=(esp_proposal(KeId.ECP_256),)),)
        ),
    )
    pair.establish()
    pair.do(lambda now: pair.left.endpoint.rekey_child("net", now))
    pair.settle()
    assert pair.left.take(ChildSaRekeyed).suite.key_exchange is KeId.ECP_256
    assert len(pair.link.sent) == 4 + 2 + 2 + 2
    pair.check_agreement()


@pytest.mark.parametrize("who", ["left", "right"])
def test_rekeyed_child_ends_and_its_packets_under_way_are_received(who: str) -> None:
    pair = Pair()
    pair.establish()
    side = getattr(pair, who)
    old = side.child.name
    pair.do(lambda now: side.endpoint.rekey_child("net", now))
    pair.settle()

    event = side.take(ChildSaRekeyed)
    assert event.child == old
    assert event.new == side.child.name
    assert not pair.left.has(ChildSaDown)
    assert not pair.right.has(ChildSaDown)
    for one in pair.sides:
        assert len(one.sas(Direction.OUTBOUND)) == 1
        assert len(one.sas(Direction.INBOUND)) == 2
    pair.run(Duration.seconds(5.1))
    for one in pair.sides:
        assert len(one.sas(Direction.INBOUND)) == 1
        assert len(one.data_plane.policies) == 1
    pair.check_agreement()


@pytest.mark.parametrize("who", ["left", "right"])
def test_no_packet_is_lost_while_a_child_is_rekeyed(who: str) -> None:
    pair = Pair()
    pair.establish()
    lost: list[str] = []

    def packets_cross() -> None:
        lost.extend(str(one.address) for one in pair.sides if not pair.send_packet(one))

    pair.watch(packets_cross)
    for _ in range(3):
        pair.do(lambda now: getattr(pair, who).endpoint.rekey_child("net", now))
        pair.run(Duration.seconds(10))
    assert len(pair.left.all(ChildSaRekeyed)) == 3
    assert not lost


def test_soft_limit_leads_to_a_successor_and_traffic_goes_on() -> None:
    lifetime = Lifetime(soft=Limits(time=Duration.seconds(60)), hard=Limits(time=Duration.seconds(70)))
    jitter = {"lifetime": lifetime, "rand_time": Duration.seconds(10)}
    pair = Pair(
        left_entry=left(children=(child(**jitter),)),
        right_entry=right(children=(child(local=RIGHT_NET, remote=LEFT_NET, **jitter),)),
    )
    pair.establish()
    pair.run(Duration.seconds(600))
    assert len(pair.left.all(ChildSaRekeyed)) >= 9
    assert not pair.left.has(ChildSaDown)
    assert [one.state for one in pair.left.children] == [ChildSaState.INSTALLED]
    pair.check_agreement()


# covers R4302-2.5-2
# covers R4303-2.2-2
@pytest.mark.parametrize("numbers", SnId)
def test_successor_comes_before_the_sequence_numbers_end(numbers: SnId) -> None:
    proposals = (esp_proposal(numbers=(numbers,)),)
    pair = Pair(
        left_entry=left(children=(child(proposals=proposals),)),
        right_entry=right(children=(child(local=RIGHT_NET, remote=LEFT_NET, proposals=proposals),)),
    )
    pair.establish()
    for side in pair.sides:
        [first] = side.sas(Direction.OUTBOUND).values()
        numbered = first.suite.sequence_numbers
        assert numbered is numbers
        soft = first.lifetime.soft.packets
        if numbered is SnId.PARTIALLY_TRANSMITTED_64:
            assert soft is None
            continue
        assert soft is not None
        assert 1 << 31 < soft < 1 << 32
        # What the data plane tells at a soft limit:
        pair.do(lambda now, side=side, first=first: side.endpoint.expire(first.peer_spi, now, hard=False))
        pair.settle()
        [second] = side.sas(Direction.OUTBOUND).values()
        assert second.spi != first.spi
        assert second.keys != first.keys
        assert second.lifetime.soft.packets == soft


def test_limit_of_packets_that_is_set_comes_first() -> None:
    pair = Pair(left_entry=left(children=(child(lifetime=Lifetime(soft=Limits(packets=1000))),)))
    pair.establish()
    [entry] = pair.left.sas(Direction.OUTBOUND).values()
    assert entry.lifetime.soft.packets == 1000


def test_hard_limit_closes_a_child_that_was_not_rekeyed() -> None:
    pair = Pair(left_entry=left(children=(child(lifetime=Lifetime(hard=Limits(time=Duration.seconds(60)))),)))
    pair.establish()
    pair.run(Duration.seconds(61))
    assert pair.left.has(ChildSaDown)
    assert pair.right.has(ChildSaDown)
    assert not pair.left.data_plane.sas
    assert not pair.right.data_plane.sas
    assert [policy.acquires for policy in pair.left.data_plane.policies.values()] == [False]
    assert len(pair.left.ike_sas) == 1


def test_child_with_unacceptable_selectors_leaves_the_ike_sa_up() -> None:
    pair = Pair(left_entry=left(children=(child(), SECOND)))
    pair.establish()
    pair.initiate(child="other")
    pair.settle()
    refused = pair.left.take(Refused)
    assert refused.by_peer
    assert refused.notify == "TS_UNACCEPTABLE"
    theirs = pair.right.take(Refused)
    assert "10.3.0.0/16" in theirs.theirs
    assert RIGHT_NET in theirs.ours
    assert len(pair.left.children) == 1
    pair.check_agreement()


def test_child_limit_is_told_by_no_additional_sas() -> None:
    pair = Pair(
        left_entry=left(children=(child(), SECOND)),
        right_entry=right(children=(MIRRORED, SECOND_MIRRORED)),
        right_settings=EndpointSettings(child_limit=1),
    )
    pair.establish()
    pair.initiate(child="other")
    pair.settle()
    assert pair.left.take(Refused).notify == "NO_ADDITIONAL_SAS"
    # The initiator begins anew under another IKE SA, as section 4 of RFC 7296 says.
    pair.run(Duration.seconds(3))
    assert len(pair.left.ike_sas) == 1
    pair.check_agreement()
