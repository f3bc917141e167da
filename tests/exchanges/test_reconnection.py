"""Children that come back by themselves, and those that wait for a packet."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from exchanges.pair import Pair
from exchanges.settings import LEFT_NET, RIGHT_NET, child, esp_proposal, left, right, secret, selectors
from perilune.databases.changes import AddPolicy
from perilune.databases.pad import ChildPolicy, LossAction, StartAction
from perilune.databases.spd import Action
from perilune.dataplane.events import Flow
from perilune.ike.events import ChildSaUp, IkeSaDown, NotTrapped, PathWanted
from perilune.model.errors import LocalError
from perilune.model.time import Duration

MIRRORED = child(local=RIGHT_NET, remote=LEFT_NET)
SOON = Duration.seconds(10)


def flow() -> Flow:
    return Flow(ip_address("10.1.2.3"), ip_address("10.2.3.4"), 17, (5000, 53))


def test_child_to_start_is_up_as_soon_as_the_configuration_is_loaded() -> None:
    pair = Pair(left_entry=left(children=(child(start_action=StartAction.START),)))
    pair.settle()
    assert pair.left.has(ChildSaUp)
    pair.check_agreement()


def test_child_to_start_comes_back_after_the_peer_was_away() -> None:
    entry = left(children=(child(start_action=StartAction.START),), dpd_delay=SOON)
    pair = Pair(left_entry=entry)
    pair.settle()
    pair.link.cut()
    pair.run(Duration.seconds(1000))
    assert pair.left.has(IkeSaDown)
    pair.link.mend()
    pair.restart(pair.right)
    pair.run(Duration.seconds(300))
    assert len(pair.left.children) == 1
    pair.check_agreement()


def test_child_to_start_waits_for_a_peer_that_comes_late() -> None:
    pair = Pair()
    pair.link.cut()
    pair.left.load(left(children=(child(start_action=StartAction.START),)), secret(), pair.now)
    pair.do(lambda now: None)
    pair.run(Duration.seconds(1800))
    assert not pair.left.children
    pair.link.mend()
    pair.run(Duration.seconds(300))
    assert len(pair.left.children) == 1
    pair.check_agreement()


@pytest.mark.parametrize(("action", "comes_back"), [(LossAction.CLEAR, False), (LossAction.START, True)])
def test_close_action_says_what_follows_the_peers_delete(action: LossAction, comes_back: bool) -> None:
    pair = Pair(left_entry=left(children=(child(close_action=action),)))
    pair.establish()
    pair.do(lambda now: pair.right.endpoint.terminate_child("net", now))
    pair.run(Duration.seconds(5))
    assert bool(pair.left.children) == comes_back
    pair.check_agreement()


def test_dpd_action_trap_installs_a_policy_that_asks() -> None:
    pair = Pair(left_entry=left(children=(child(dpd_action=LossAction.TRAP),), dpd_delay=SOON))
    pair.establish()
    pair.link.cut()
    pair.run(Duration.seconds(300))
    (policy,) = pair.left.data_plane.policies.values()
    assert policy.acquires
    pair.link.mend()
    pair.restart(pair.right)
    pair.do(lambda now: pair.left.endpoint.acquire(policy.id, flow(), now))
    pair.run(Duration.seconds(5))
    assert pair.left.child.policy == policy.id
    pair.check_agreement()


def test_nobody_starts_again_what_was_closed_here() -> None:
    pair = Pair(left_entry=left(children=(child(start_action=StartAction.START),)))
    pair.settle()
    pair.do(lambda now: pair.left.endpoint.terminate_ike("gw", now))
    pair.run(Duration.seconds(600))
    assert not pair.left.children


def test_trapped_child_is_set_up_by_a_packet() -> None:
    pair = Pair(left_entry=left(children=(child(start_action=StartAction.TRAP),)))
    (policy,) = pair.left.data_plane.policies.values()
    assert policy.acquires
    assert policy.name == "gw/net"
    # IKE_AUTH { ..., TSi = packet, 10.1/16, TSr = packet, 10.2/16 } -->
    pair.do(lambda now: pair.left.endpoint.acquire(policy.id, flow(), now))
    pair.settle()
    assert pair.left.child.policy == policy.id
    assert pair.left.child.local == selectors(LEFT_NET)
    pair.do(lambda now: pair.left.endpoint.terminate_ike("gw", now))
    pair.settle()
    assert list(pair.left.data_plane.policies.values()) == [policy]


def test_packet_selectors_let_a_responder_choose_the_right_range() -> None:
    narrow = child(local="10.2.3.0/24", remote="10.1.2.0/24")
    other = child("other", local="10.2.9.0/24", remote="10.1.9.0/24")
    pair = Pair(
        left_entry=left(children=(child(start_action=StartAction.TRAP),)),
        right_entry=right(children=(other, narrow)),
    )
    (policy,) = pair.left.data_plane.policies.values()
    pair.do(lambda now: pair.left.endpoint.acquire(policy.id, flow(), now))
    pair.settle()
    assert pair.left.child.remote == selectors("10.2.3.0/24")


def test_two_packets_set_up_one_child() -> None:
    pair = Pair(left_entry=left(children=(child(start_action=StartAction.TRAP),)))
    (policy,) = pair.left.data_plane.policies.values()
    for _ in range(3):
        pair.do(lambda now: pair.left.endpoint.acquire(policy.id, flow(), now))
    pair.settle()
    assert len(pair.left.children) == 1
    assert len(pair.left.ike_sas) == 1


def test_set_up_that_a_packet_asked_for_is_not_repeated_for_ever() -> None:
    pair = Pair(left_entry=left(children=(child(start_action=StartAction.TRAP),)))
    (policy,) = pair.left.data_plane.policies.values()
    pair.link.cut()
    pair.do(lambda now: pair.left.endpoint.acquire(policy.id, flow(), now))
    pair.run(Duration.seconds(200))
    sent = len(pair.link.sent)
    pair.run(Duration.seconds(1000))
    assert len(pair.link.sent) == sent
    pair.do(lambda now: pair.left.endpoint.acquire(policy.id, flow(), now))
    assert len(pair.link.sent) == sent + 1


def test_passed_and_dropped_children_are_policies_in_order() -> None:
    passed = ChildPolicy(
        name="lan",
        action=Action.BYPASS,
        local_ts=selectors("10.1.0.0/16"),
        remote_ts=selectors("10.1.0.0/16"),
    )
    dropped = ChildPolicy(
        name="rest", action=Action.DISCARD, local_ts=selectors("0.0.0.0/0"), remote_ts=selectors("0.0.0.0/0")
    )
    wide = child("wide", remote="10.0.0.0/8", start_action=StartAction.TRAP)
    narrow = child("narrow", remote="10.2.3.0/24", start_action=StartAction.TRAP)
    first = child("first", remote="0.0.0.0/0", start_action=StartAction.TRAP, priority=1)
    pair = Pair(left_entry=left(children=(dropped, wide, narrow, first, passed)))
    policies = sorted(pair.left.data_plane.policies.values(), key=lambda entry: entry.priority)
    assert [policy.name.split("/")[1] for policy in policies] == ["first", "lan", "narrow", "wide", "rest"]
    assert [policy.action for policy in policies][-1] is Action.DISCARD


def test_dynamic_selector_without_an_address_cannot_be_trapped() -> None:
    policy = ChildPolicy(name="host", proposals=(esp_proposal(),), start_action=StartAction.TRAP)
    pair = Pair(left_entry=left(children=(policy,)))
    assert pair.left.take(NotTrapped).child == "host"
    assert not pair.left.data_plane.policies
    pair.left.load(pair.left_entry, secret(), pair.now, paths={"gw": pair.left.path()})
    pair.do(lambda now: None)
    assert len(pair.left.data_plane.policies) == 1


def test_reload_keeps_what_is_the_same_and_what_is_in_use() -> None:
    trapped = child(start_action=StartAction.TRAP)
    pair = Pair(left_entry=left(children=(trapped,)))
    pair.establish()
    transactions = len(pair.left.data_plane.transactions)
    pair.left.load(left(children=(trapped,)), secret(), pair.now)
    pair.do(lambda now: None)
    assert len(pair.left.data_plane.transactions) == transactions
    pair.left.load(left(children=()), secret(), pair.now)
    pair.do(lambda now: None)
    assert len(pair.left.data_plane.sas) == 2
    pair.do(lambda now: pair.left.endpoint.terminate_child("net", now))
    pair.settle()
    assert not pair.left.data_plane.policies


def test_rekeying_of_an_ike_sa_goes_on_with_the_entry_it_was_made_with() -> None:
    pair = Pair()
    pair.establish()
    pair.left.load(left(name="renamed"), secret(), pair.now)
    pair.do(lambda now: pair.left.endpoint.rekey_ike("gw", now))
    pair.run(Duration.seconds(1))
    assert pair.left.ike_sa.name.connection == "gw"
    pair.check_agreement()


def test_wish_is_told_again_if_nobody_acts() -> None:
    pair = Pair()
    pair.left.obeys_wishes = False
    pair.left.load(left(children=(child(start_action=StartAction.START),)), secret(), pair.now)
    pair.do(lambda now: None)
    pair.run(Duration.seconds(181))
    assert len(pair.left.all(PathWanted)) == 4


def test_wrong_use_is_told() -> None:
    pair = Pair()
    for connection, name in (("nowhere", None), ("gw", "nothing")):
        with pytest.raises(LocalError):
            pair.left.endpoint.initiate(connection, name, pair.left.path(), pair.now)


def test_policy_comes_before_the_sas_that_serve_it() -> None:
    pair = Pair()
    pair.establish()
    changes = [change for _, batch in pair.left.data_plane.transactions for change in batch]
    assert isinstance(changes[0], AddPolicy)
