"""The PAD: which entry a peer gets, which children, and which addresses (RFC 4301, section 4.4.3)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from exchanges.pair import Pair
from exchanges.settings import LEFT, LEFT_NET, RIGHT_NET, child, left, right, selectors
from perilune.databases.pad import AddressRange, DynamicSelector, SharedSecret
from perilune.ike.events import AuthenticationFailed, ChildSaUp, IkeSaUp, Refused
from perilune.model.identity import Identity
from perilune.model.identity_pattern import IdentityPattern, parse_pattern
from perilune.model.secret import Secret
from perilune.model.time import Duration


def group(text: str) -> IdentityPattern:
    pattern = parse_pattern(text)
    assert pattern is not None
    return pattern


def claims(first: str, last: str) -> tuple[AddressRange, ...]:
    return (AddressRange(ip_address(first), ip_address(last)),)


# covers R4301-4.4.3-1
# covers R4301-4.4.3.1-1
@pytest.mark.parametrize(
    ("identity", "pattern"),
    [
        ("station-7.example.org", "*.example.org"),
        ("joe@example.org", "*@example.org"),
        ("C=US, ST=MA, CN=joe", "C=US, ST=MA, *"),
        ("10.9.0.7", "10.9.0.0/24"),
        ("2001:db8::7", "2001:db8::-2001:db8::ff"),
    ],
)
def test_a_member_of_a_group_is_authenticated_as_itself(identity: str, pattern: str) -> None:
    entry = right(remote_id=group(pattern))
    pair = Pair(left_entry=left(local_id=Identity.parse(identity)), right_entry=entry)
    pair.establish()
    assert pair.right.ike_sa.remote_id == Identity.parse(identity)


# covers R4301-4.4.3-2
def test_a_stranger_to_a_group_gets_no_entry() -> None:
    entry = right(remote_id=group("*.example.org"))
    pair = Pair(left_entry=left(local_id=Identity.parse("station-7.example.com")), right_entry=entry)
    pair.initiate()
    pair.run(Duration.seconds(1))
    assert "*.example.org" in pair.right.take(AuthenticationFailed).reason
    assert not pair.right.has(IkeSaUp)


def test_an_initiator_knows_its_peer_by_its_group() -> None:
    entry = left(remote_id=group("*.example.org"))
    pair = Pair(left_entry=entry, right_entry=right(local_id=Identity.parse("gw.example.org")))
    pair.establish()
    assert pair.left.ike_sa.remote_id == Identity.parse("gw.example.org")


def test_a_group_may_share_a_secret() -> None:
    shared = SharedSecret(Secret(b"of the group"), owners=(group("*.example.org"),))
    pair = Pair(
        left_entry=left(remote_id=group("*.example.org"), local_id=Identity.parse("left.example.org")),
        right_entry=right(remote_id=group("*.example.org"), local_id=Identity.parse("right.example.org")),
        left_secret=shared,
        right_secret=shared,
    )
    pair.establish()
    assert pair.left.ike_sa.remote_id == Identity.parse("right.example.org")


# covers R4301-4.4.3.3-1
# covers R4301-4.4.3.4-1
def test_a_peer_speaks_only_for_addresses_that_the_pad_gives_it() -> None:
    pair = Pair(right_entry=right(remote_claims=claims("10.9.0.0", "10.9.255.255")))
    pair.initiate()
    pair.run(Duration.seconds(1))
    refused = pair.right.take(Refused)
    assert refused.notify == "TS_UNACCEPTABLE"
    assert "may not speak for these addresses" in refused.why
    assert refused.theirs == LEFT_NET
    assert str(refused).endswith("remote.claims)")
    assert pair.right.has(IkeSaUp)
    assert not pair.right.has(ChildSaUp)


def test_what_a_peer_claims_is_narrowed_to_what_is_its_own() -> None:
    pair = Pair(right_entry=right(remote_claims=claims("10.1.2.0", "10.1.2.255")))
    pair.establish()
    assert pair.right.child.remote == selectors("10.1.2.0/24")
    assert pair.left.child.local == selectors("10.1.2.0/24")
    pair.check_agreement()


def test_a_responder_that_claims_too_much_gets_no_child() -> None:
    pair = Pair(left_entry=left(remote_claims=claims("10.9.0.0", "10.9.255.255")))
    pair.initiate()
    pair.run(Duration.seconds(1))
    assert "may not speak" in pair.left.take(Refused).why
    assert not pair.left.has(ChildSaUp)
    assert not pair.right.data_plane.sas


# covers R4301-4.4.1.1-8
@pytest.mark.parametrize(("identity", "is_up"), [("boss.example.org", True), ("guest.example.org", False)])
def test_a_child_may_be_for_some_peers_only(identity: str, is_up: bool) -> None:
    named = child(local=RIGHT_NET, remote=LEFT_NET, peers=(Identity.parse("boss.example.org"),))
    entry = right(remote_id=group("*.example.org"), children=(named,))
    pair = Pair(left_entry=left(local_id=Identity.parse(identity)), right_entry=entry)
    pair.initiate()
    pair.run(Duration.seconds(1))
    assert pair.right.has(ChildSaUp) == is_up
    assert pair.right.has(Refused) != is_up


# covers R4301-4.4.1.1-8
@pytest.mark.parametrize(
    ("identity", "name", "reach"),
    [("boss@example.org", "everything", RIGHT_NET), ("guest@example.org", "printers", "10.2.9.0/24")],
)
def test_who_the_peer_is_names_the_entry_that_its_address_is_bound_to(
    identity: str, name: str, reach: str
) -> None:
    dynamic = (DynamicSelector(),)
    everything = child(
        "everything", local=RIGHT_NET, remote_ts=dynamic, peers=(Identity.parse("boss@example.org"),)
    )
    printers = child("printers", local="10.2.9.0/24", remote_ts=dynamic, peers=(group("*@example.org"),))
    entry = right(remote_id=group("*@example.org"), children=(everything, printers))
    roaming = left(local_id=Identity.parse(identity), children=(child(local_ts=dynamic),))
    pair = Pair(left_entry=roaming, right_entry=entry)
    pair.establish()

    (granted,) = pair.right.children
    assert (granted.name.name, granted.local, granted.remote) == (
        name,
        selectors(reach),
        selectors(f"{LEFT}/32"),
    )
    bound = pair.right.data_plane.policies[granted.policy]
    assert (bound.name, bound.remote) == (f"gw/{name}", selectors(f"{LEFT}/32"))
    pair.check_agreement()
