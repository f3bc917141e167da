"""Policies that stand while a child has no SA, so that its traffic is dropped and not sent in the clear."""

from __future__ import annotations

import pytest

from exchanges.pair import Pair, Side
from exchanges.settings import LEFT_NET, RIGHT_NET, child, esp_proposal, left, right, secret, selectors
from perilune.databases.changes import AddPolicy, RemovePolicy
from perilune.databases.pad import ChildPolicy, LossAction, StartAction
from perilune.databases.spd import SpdEntry
from perilune.ike.events import NotTrapped
from perilune.ike.settings import EndpointSettings
from perilune.model.time import Duration


def policy(side: Side) -> SpdEntry:
    (entry,) = side.data_plane.policies.values()
    return entry


@pytest.mark.parametrize(
    ("start_action", "acquires"),
    [(StartAction.NONE, False), (StartAction.START, False), (StartAction.TRAP, True)],
)
def test_policy_is_there_before_the_child_and_behind_it(start_action: StartAction, acquires: bool) -> None:
    pair = Pair(left_entry=left(children=(child(start_action=start_action),)))
    stands = policy(pair.left)
    assert (stands.local, stands.remote) == (selectors(LEFT_NET), selectors(RIGHT_NET))
    assert stands.acquires == acquires
    pair.establish()
    assert pair.left.child.policy == stands.id
    pair.do(lambda now: pair.left.endpoint.terminate_ike("gw", now))
    pair.settle()
    assert not pair.left.data_plane.sas
    assert policy(pair.left) == stands


def test_policy_stands_wider_than_a_child_that_was_narrowed() -> None:
    pair = Pair(right_entry=right(children=(child(local="10.2.3.0/24", remote=LEFT_NET),)))
    pair.establish()
    assert pair.left.child.remote == selectors("10.2.3.0/24")
    assert policy(pair.left).remote == selectors(RIGHT_NET)


def test_policies_that_need_not_stand_come_and_go_with_their_child() -> None:
    pair = Pair(left_settings=EndpointSettings(policies_stand=False))
    assert not pair.left.data_plane.policies
    pair.establish()
    assert not policy(pair.left).acquires
    pair.do(lambda now: pair.left.endpoint.terminate_ike("gw", now))
    pair.settle()
    assert not pair.left.data_plane.policies


def test_closed_child_that_is_then_trapped_asks_once_its_last_sa_is_gone() -> None:
    pair = Pair(left_entry=left(children=(child(close_action=LossAction.TRAP),)))
    pair.establish()
    stood = policy(pair.left)
    pair.do(lambda now: pair.right.endpoint.terminate_child("net", now))
    pair.run(Duration.seconds(60))
    assert not pair.left.data_plane.sas
    asks = policy(pair.left)
    assert asks.acquires
    assert (asks.local, asks.remote, asks.priority) == (stood.local, stood.remote, stood.priority)
    changes = [change for _, changes in pair.left.data_plane.transactions for change in changes]
    assert changes.index(RemovePolicy(stood.id)) + 1 == changes.index(AddPolicy(asks))


def test_address_that_is_not_known_yet_is_no_reason_to_complain() -> None:
    host = ChildPolicy(name="host", proposals=(esp_proposal(),), start_action=StartAction.NONE)
    pair = Pair(left_entry=left(children=(host,)))
    assert not pair.left.data_plane.policies
    assert not pair.left.has(NotTrapped)
    pair.left.load(pair.left_entry, secret(), pair.now, paths={"gw": pair.left.path()})
    pair.do(lambda now: None)
    assert policy(pair.left).local == selectors("192.0.2.1/32")


def test_policy_of_a_child_that_is_configured_no_more_goes() -> None:
    pair = Pair()
    assert policy(pair.left)
    pair.left.load(left(children=()), secret(), pair.now)
    pair.do(lambda now: None)
    assert not pair.left.data_plane.policies
