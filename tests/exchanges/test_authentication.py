"""IKE_AUTH that fails, or half fails: the wire says little, the logs say what differed (RFC 7296, 2.21.2)."""

from __future__ import annotations

import pytest

from exchanges.pair import Pair
from exchanges.settings import (
    LEFT_NET,
    RIGHT_NET,
    child,
    esp_proposal,
    ike_proposal,
    left,
    right,
    secret,
    selectors,
)
from perilune.databases.pad import ChildPolicy, SharedSecret
from perilune.ike.events import (
    AuthenticationFailed,
    ChildSaUp,
    DownReason,
    IkeSaDown,
    IkeSaUp,
    Refused,
)
from perilune.model.iana import SnId
from perilune.model.identity import Identity
from perilune.model.time import Duration


def assert_nothing_is_up(pair: Pair) -> None:
    for side in pair.sides:
        assert side.endpoint.is_quiet
        assert not side.data_plane.sas
        assert not side.has(ChildSaUp)


def test_wrong_secret() -> None:
    pair = Pair(right_secret=secret("another secret"))
    pair.initiate()
    pair.run(Duration.seconds(1))
    assert pair.left.take(AuthenticationFailed).by_peer
    ours = pair.right.take(AuthenticationFailed)
    assert not ours.by_peer
    assert "AUTH does not fit" in ours.reason
    assert ours.hint == "secrets.ike*.secret"
    assert not pair.right.has(IkeSaUp)
    assert pair.left.take(IkeSaDown).reason is DownReason.REFUSED
    assert_nothing_is_up(pair)


def test_unknown_identity() -> None:
    pair = Pair(left_entry=left(local_id=Identity.parse("stranger.example")))
    pair.initiate()
    pair.run(Duration.seconds(1))
    failed = pair.right.take(AuthenticationFailed)
    assert "no connection for 'stranger.example'" in failed.reason
    assert str(failed).endswith("(see connections.gw.remote.id)")
    assert_nothing_is_up(pair)


def test_responder_is_asked_for_somebody_else() -> None:
    pair = Pair(left_entry=left(remote_id=Identity.parse("somebody.example")))
    pair.initiate()
    pair.run(Duration.seconds(1))
    failed = pair.right.take(AuthenticationFailed)
    assert "asks for 'somebody.example'" in failed.reason
    assert failed.hint == "connections.gw.local.id"
    assert_nothing_is_up(pair)


def test_responder_that_is_not_authentic_is_told_so_and_forgets() -> None:
    """The responder knows our secret for us, and proves itself with an identity that we do not expect."""
    pair = Pair(
        left_entry=left(remote_id=None),
        right_entry=right(),
        left_secret=secret(),
    )
    pair.left.endpoint.load([left(remote_id=None)], [_owned("a shared secret", "198.51.100.1")], pair.now)
    pair.initiate()
    pair.settle()
    ours = pair.left.take(AuthenticationFailed)
    assert "no secret" in ours.reason
    assert ours.hint == "secrets.ike*.id"
    pair.run(Duration.seconds(1))
    theirs = pair.right.take(AuthenticationFailed)
    assert theirs.by_peer
    assert theirs.hint == "connections.gw.local.id and secrets.ike*.secret"
    assert pair.right.take(IkeSaDown).reason is DownReason.REFUSED
    assert pair.left.endpoint.is_quiet
    assert pair.right.endpoint.is_quiet
    assert not pair.right.data_plane.sas


def test_responder_with_a_wrong_secret_is_found_out_by_the_initiator() -> None:
    """It accepts us by a secret that we do not hold for the identity it then claims."""
    pair = Pair(left_entry=left(remote_id=None))
    secrets = [_owned("a shared secret", "198.51.100.1"), _owned("another one", "right.example")]
    pair.left.endpoint.load([left(remote_id=None)], secrets, pair.now)
    pair.initiate()
    pair.run(Duration.seconds(1))
    failed = pair.left.take(AuthenticationFailed)
    assert "AUTH does not fit" in failed.reason
    assert failed.hint == "secrets.ike-right.example.secret"
    assert not pair.left.has(IkeSaUp)
    assert_nothing_is_up_now(pair)


def test_connection_of_the_identity_has_to_allow_the_algorithms() -> None:
    ours = (ike_proposal(bits=128), ike_proposal(bits=256))
    pair = Pair(left_entry=left(proposals=ours))
    other = right(name="other", proposals=ours[:1], remote_id=Identity.parse("other.example"))
    pair.right.endpoint.load([other, right(proposals=ours[1:])], [secret()], pair.now)
    pair.initiate()
    pair.run(Duration.seconds(1))
    failed = pair.right.take(AuthenticationFailed)
    assert "does not allow AES_GCM_16-128" in failed.reason
    assert failed.hint == "connections.gw.proposals"
    assert pair.left.take(AuthenticationFailed).by_peer
    assert_nothing_is_up(pair)


def test_initial_contact_does_not_end_what_was_established_meanwhile() -> None:
    pair = Pair()
    pair.initiate(pair.left)
    pair.run(Duration.milliseconds(5))
    pair.initiate(pair.right)
    # The right side's IKE_AUTH, sent at 25 ms while it knew of no other IKE SA, comes late.
    pair.link.add_fault(
        lambda d: (
            [(Duration.milliseconds(15), d)]
            if d.source.address == pair.right.address
            and d.header.exchange_type == 35
            and d.header.flags.initiator
            else None
        )
    )
    pair.run(Duration.seconds(20))
    downs = [event.reason for side in pair.sides for event in side.all(IkeSaDown)]
    assert DownReason.REPLACED not in downs
    pair.check_agreement()


def assert_nothing_is_up_now(pair: Pair) -> None:
    for side in pair.sides:
        assert side.endpoint.is_quiet
        assert not side.data_plane.sas


def _owned(text: str, owner: str) -> SharedSecret:
    return SharedSecret(secret(text).secret, (Identity.parse(owner),), name=f"ike-{owner}")


def test_lost_refusal_is_repeated() -> None:
    pair = Pair(right_secret=secret("another secret"))
    pair.link.drop(nth=4)
    pair.initiate()
    pair.run(Duration.seconds(5))
    assert pair.left.has(AuthenticationFailed)
    assert len(pair.right.all(AuthenticationFailed)) == 1
    assert_nothing_is_up(pair)


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_each_message_of_the_set_up_may_be_lost(nth: int) -> None:
    pair = Pair()
    pair.link.drop(nth=nth)
    pair.initiate()
    pair.run(Duration.seconds(5))
    assert pair.left.has(ChildSaUp)
    assert len(pair.right.all(ChildSaUp)) == 1
    pair.check_agreement()


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_each_message_of_the_set_up_may_come_twice_or_be_damaged(nth: int) -> None:
    pair = Pair()
    pair.link.duplicate(nth=nth)
    pair.initiate()
    pair.run(Duration.seconds(5))
    pair.check_agreement()
    other = Pair()
    other.link.corrupt(nth=nth)
    other.initiate()
    other.run(Duration.seconds(12))
    if nth > 2:
        assert other.left.has(ChildSaUp)
        other.check_agreement()


@pytest.mark.parametrize(
    ("theirs", "notify", "hint"),
    [
        (child(local="10.9.0.0/16", remote=LEFT_NET), "TS_UNACCEPTABLE", "local_ts and remote_ts"),
        (
            child(local=RIGHT_NET, remote=LEFT_NET, proposals=(esp_proposal(bits=256),)),
            "NO_PROPOSAL_CHOSEN",
            "esp_proposals",
        ),
    ],
)
def test_child_that_does_not_fit_leaves_the_ike_sa_up(theirs: ChildPolicy, notify: str, hint: str) -> None:
    pair = Pair(right_entry=right(children=(theirs,)))
    pair.initiate()
    pair.settle()
    ours = pair.left.take(Refused)
    assert ours.by_peer
    assert ours.notify == notify
    assert hint in ours.hint
    there = pair.right.take(Refused)
    assert there.notify == notify
    assert hint in there.hint
    assert there.ours
    assert there.theirs
    assert pair.left.has(IkeSaUp)
    assert pair.right.has(IkeSaUp)
    assert not pair.left.children
    pair.check_agreement()


def test_responder_narrows_selectors() -> None:
    pair = Pair(
        left_entry=left(children=(child(local="10.1.0.0/16", remote="10.2.0.0/16"),)),
        right_entry=right(children=(child(local="10.2.7.0/24", remote="10.1.5.0/24 10.1.6.0/24"),)),
    )
    pair.establish()
    assert pair.left.child.remote == selectors("10.2.7.0/24")
    assert pair.left.child.local == selectors("10.1.5.0/24", "10.1.6.0/24")


def test_dynamic_selectors_are_the_ends_of_the_ike_sa() -> None:
    policy = ChildPolicy(name="host", proposals=(esp_proposal(),))
    pair = Pair(left_entry=left(children=(policy,)), right_entry=right(children=(policy,)))
    pair.establish()
    assert pair.left.child.local == selectors("192.0.2.1/32")
    assert pair.left.child.remote == selectors("198.51.100.1/32")


def test_extended_sequence_numbers_are_chosen_where_both_offer_them() -> None:
    both = (SnId.PARTIALLY_TRANSMITTED_64, SnId.SEQUENTIAL_32)
    pair = Pair(
        left_entry=left(children=(child(proposals=(esp_proposal(numbers=both),)),)),
        right_entry=right(
            children=(child(local=RIGHT_NET, remote=LEFT_NET, proposals=(esp_proposal(numbers=both),)),)
        ),
    )
    pair.establish()
    assert pair.left.child.suite.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64


def test_peer_that_lost_its_memory_begins_anew_and_the_old_ike_sa_ends() -> None:
    pair = Pair()
    pair.establish()
    pair.run(Duration.seconds(5))
    pair.restart(pair.left)
    pair.initiate()
    pair.settle()
    assert pair.right.take(IkeSaDown).reason is DownReason.REPLACED
    assert len(pair.right.ike_sas) == 1
    assert len(pair.right.data_plane.sas) == 2
    assert len(pair.right.data_plane.policies) == 1
    pair.check_agreement()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ms", [0, 5, 10, 15, 20, 25, 35])
def test_both_sides_begin_at_once(seed: int, ms: int) -> None:
    pair = Pair(seed=seed)
    pair.initiate(pair.left)
    pair.run(Duration.milliseconds(ms))
    pair.initiate(pair.right)
    pair.run(Duration.seconds(20))
    pair.check_agreement()
    assert pair.left.children
    assert len(pair.left.ike_sas) in {1, 2}
    if ms in {0, 5}:
        assert len(pair.left.ike_sas) == 1
