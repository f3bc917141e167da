"""IKE_AUTH by signatures, by nothing, and each side by its own way (RFC 7296, 2.15; RFC 7427; RFC 7619)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from exchanges.link import Datagram
from exchanges.pair import Pair, Side
from exchanges.settings import left, right, secret
from perilune.crypto.keys import KeyKind
from perilune.crypto.signature_rules import SchemeRule
from perilune.crypto.signature_schemes import RsaPadding
from perilune.databases.proof import KnownKeys, LocalProof, NoProof, OwnKey, RemoteProof, SharedKey
from perilune.ike.events import AuthenticationFailed, ChildSaUp, IkeSaUp
from perilune.ike.received import find_notify
from perilune.model.iana import HashId, NotifyType
from perilune.model.identity import NOBODY, Identity
from perilune.model.time import Duration
from perilune.wire.message import Message, encode_message
from perilune.wire.payloads import NotifyPayload
from support.keys import KINDS, key_pair

BY = {
    "RSA": "RSASSA-PSS with SHA-256",
    "P-256": "ECDSA with SHA-256",
    "P-384": "ECDSA with SHA-384",
    "P-521": "ECDSA with SHA-512",
}


def pair_of(
    ours: LocalProof, of_peer: RemoteProof, theirs: LocalProof, of_us: RemoteProof, **changes: object
) -> Pair:
    """Return a left side that proves itself by `ours` and wants `of_peer`, and its peer."""
    return Pair(
        left_entry=left(local_proof=ours, remote_proof=of_peer, **changes),
        right_entry=right(local_proof=theirs, remote_proof=of_us),
    )


def signers(left_kind: str, right_kind: str) -> Pair:
    ours, theirs = key_pair(left_kind), key_pair(right_kind, 1)
    return pair_of(OwnKey(ours), KnownKeys((theirs.public,)), OwnKey(theirs), KnownKeys((ours.public,)))


def up(pair: Pair) -> tuple[IkeSaUp, IkeSaUp]:
    pair.initiate()
    pair.settle()
    for side in pair.sides:
        assert not side.has(AuthenticationFailed), list(map(str, side.events))
    pair.check_agreement()
    assert len(pair.left.children) == 1
    return pair.left.take(IkeSaUp), pair.right.take(IkeSaUp)


def refused(pair: Pair, by: Side | None = None) -> AuthenticationFailed:
    """Return why one side refused the other, which learns no more than AUTHENTICATION_FAILED."""
    pair.initiate()
    pair.run(Duration.seconds(1))
    by = by or pair.right
    failed = by.take(AuthenticationFailed)
    assert not failed.by_peer
    told = pair.other(by).all(AuthenticationFailed)
    assert [event.by_peer for event in told] == [True]
    assert not by.has(ChildSaUp)
    assert not any(side.data_plane.sas for side in pair.sides)
    return failed


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_key(kind: str) -> None:
    ours, theirs = up(signers(kind, kind))
    expected = BY.get(kind, kind)
    assert (ours.local_auth, ours.remote_auth) == (expected, expected)
    assert (theirs.local_auth, theirs.remote_auth) == (expected, expected)
    assert f"'left.example' by {expected}" in str(ours)


@pytest.mark.parametrize(("left_kind", "right_kind"), [("RSA", "Ed25519"), ("P-384", "ML-DSA-65")])
def test_each_side_has_its_own_kind(left_kind: str, right_kind: str) -> None:
    ours, theirs = up(signers(left_kind, right_kind))
    assert (ours.local_auth, ours.remote_auth) == (theirs.remote_auth, theirs.local_auth)
    assert ours.local_auth != ours.remote_auth


def test_a_secret_one_way_and_a_key_the_other() -> None:
    key = key_pair("P-256")
    pair = pair_of(SharedKey(), KnownKeys((key.public,)), OwnKey(key), SharedKey())
    ours, _ = up(pair)
    assert (ours.local_auth, ours.remote_auth) == ("PSK", "ECDSA with SHA-256")
    pair = pair_of(OwnKey(key), SharedKey(), SharedKey(), KnownKeys((key.public,)))
    ours, _ = up(pair)
    assert (ours.local_auth, ours.remote_auth) == ("ECDSA with SHA-256", "PSK")


def test_secret_of_a_peer_that_is_wrong_is_found_out_beside_a_key() -> None:
    key = key_pair("P-256")
    pair = Pair(
        left_entry=left(local_proof=OwnKey(key), remote_proof=SharedKey()),
        right_entry=right(local_proof=SharedKey(), remote_proof=KnownKeys((key.public,))),
        right_secret=secret("another secret"),
    )
    assert refused(pair, pair.left).hint == "secrets.ike*.secret"


def test_any_of_several_known_keys_will_do() -> None:
    ours, theirs = key_pair("P-256"), key_pair("RSA", 1)
    known = KnownKeys((key_pair("P-256", 2).public, key_pair("Ed25519").public, ours.public))
    up(pair_of(OwnKey(ours), KnownKeys((theirs.public,)), OwnKey(theirs), known))


@pytest.mark.parametrize("kind", ["RSA", "P-256", "Ed25519", "ML-DSA-44"])
def test_wrong_key_of_the_initiator(kind: str) -> None:
    ours, theirs = key_pair(kind), key_pair(kind, 1)
    other = key_pair(kind, 2)
    failed = refused(
        pair_of(OwnKey(other), KnownKeys((theirs.public,)), OwnKey(theirs), KnownKeys((ours.public,)))
    )
    assert "the signature is not that of" in failed.reason
    assert failed.hint == "connections.gw.remote.pubkeys"


def test_wrong_key_of_the_responder() -> None:
    ours, theirs, other = key_pair("P-256"), key_pair("P-256", 1), key_pair("P-256", 2)
    pair = pair_of(OwnKey(ours), KnownKeys((theirs.public,)), OwnKey(other), KnownKeys((ours.public,)))
    assert refused(pair, pair.left).hint == "connections.gw.remote.pubkeys"
    assert not pair.left.has(IkeSaUp)


def test_right_key_with_another_identity() -> None:
    ours, theirs = key_pair("P-256"), key_pair("P-256", 1)
    pair = pair_of(
        OwnKey(ours),
        KnownKeys((theirs.public,)),
        OwnKey(theirs),
        KnownKeys((ours.public,)),
        local_id=Identity.parse("stranger.example"),
    )
    assert refused(pair).hint == "connections.gw.remote.id"


@pytest.mark.parametrize("proof", [SharedKey(), NoProof()])
def test_peer_that_should_sign_and_does_not(proof: LocalProof) -> None:
    ours, theirs = key_pair("P-256"), key_pair("P-256", 1)
    pair = pair_of(proof, KnownKeys((theirs.public,)), OwnKey(theirs), KnownKeys((ours.public,)))
    assert refused(pair).hint == "connections.gw.remote.auth"


def test_peer_that_signs_and_should_have_a_secret() -> None:
    pair = pair_of(OwnKey(key_pair("P-256")), SharedKey(), SharedKey(), SharedKey())
    failed = refused(pair)
    assert failed.hint == "connections.gw.remote.auth"
    assert "'psk' is asked for" in failed.reason


def _rules(*hashes: HashId, padding: RsaPadding = RsaPadding.PSS) -> tuple[SchemeRule, ...]:
    return (SchemeRule(frozenset({KeyKind.RSA}), (padding,), 0, hashes),)


def test_hash_that_the_peer_knows_is_used_though_another_is_better_liked() -> None:
    ours, theirs = key_pair("RSA"), key_pair("Ed25519")
    signs = OwnKey(ours, _rules(HashId.SHA2_512, HashId.SHA2_256))
    takes = KnownKeys((ours.public,), _rules(HashId.SHA2_256))
    event, _ = up(pair_of(signs, KnownKeys((theirs.public,)), OwnKey(theirs), takes))
    assert event.local_auth == "RSASSA-PSS with SHA-256"


def test_no_hash_in_common() -> None:
    ours, theirs = key_pair("RSA"), key_pair("P-256")
    signs = OwnKey(ours, _rules(HashId.SHA2_512))
    takes = KnownKeys((ours.public,), _rules(HashId.SHA2_384))
    pair = pair_of(signs, KnownKeys((theirs.public,), ()), OwnKey(theirs, ()), takes)
    pair.initiate()
    pair.run(Duration.seconds(1))
    failed = pair.left.take(AuthenticationFailed)
    assert "none of the hashes" in failed.reason
    assert failed.hint == "connections.gw.local.auth"


def test_padding_that_is_not_allowed() -> None:
    ours, theirs = key_pair("RSA"), key_pair("P-256")
    signs = OwnKey(ours, _rules(padding=RsaPadding.PKCS1))
    takes = KnownKeys((ours.public,), _rules())
    failed = refused(pair_of(signs, KnownKeys((theirs.public,)), OwnKey(theirs), takes))
    assert "RSASSA-PKCS1-v1_5 with SHA-256 is not allowed" in failed.reason


@pytest.mark.parametrize("signer", ["left", "right"])
def test_scheme_that_the_peer_announces_is_used_though_another_is_better_liked(signer: str) -> None:
    """RFC 9593 tells what no hash tells: that the peer takes no RSASSA-PSS."""
    key, other = key_pair("RSA"), key_pair("Ed25519")
    takes = KnownKeys((key.public,), _rules(padding=RsaPadding.PKCS1))
    plain = KnownKeys((other.public,))
    if signer == "left":
        event, _ = up(pair_of(OwnKey(key), plain, OwnKey(other), takes))
    else:
        _, event = up(pair_of(OwnKey(other), takes, OwnKey(key), plain))
    assert event.local_auth == "RSASSA-PKCS1-v1_5 with SHA-256"


def test_methods_are_announced_where_a_signature_is_wanted_and_nowhere_else() -> None:
    pair = signers("P-256", "Ed25519")
    up(pair)
    request, response = (Message.decode(datagram.data).payloads for datagram in pair.link.sent[:2])
    assert find_notify(request, NotifyType.SUPPORTED_AUTH_METHODS) is None
    notify = find_notify(response, NotifyType.SUPPORTED_AUTH_METHODS)
    assert notify is not None
    # 15 octets each: method 14, any authority, ecdsa-with-SHA256, -SHA384, -SHA512
    assert notify.data.hex() == "".join(f"0f0e00300a06082a8648ce3d0403{last:02x}" for last in (2, 3, 4))
    pair = Pair()
    pair.establish()
    response = Message.decode(pair.link.sent[1].data).payloads
    assert find_notify(response, NotifyType.SUPPORTED_AUTH_METHODS) is None


def _announcements(data: bytes) -> list[NotifyPayload]:
    return [
        payload
        for payload in Message.decode(data).payloads
        if isinstance(payload, NotifyPayload) and payload.type == NotifyType.SIGNATURE_HASH_ALGORITHMS
    ]


# covers R7427-3-1
def test_both_sides_announce_the_hashes_that_they_take() -> None:
    pair = signers("P-256", "Ed25519")
    up(pair)
    request, response = (_announcements(datagram.data) for datagram in pair.link.sent[:2])
    # SHA2-256, SHA2-384, SHA2-512 and Identity, each of 16 bits
    assert [notify.data.hex() for notify in (*request, *response)] == ["0002000300040005"] * 2


def test_identity_is_not_announced_where_no_algorithm_takes_it() -> None:
    pair = signers("P-256", "RSA")
    up(pair)
    assert [notify.data.hex() for notify in _announcements(pair.link.sent[0].data)] == ["000200030004"]


def test_nothing_is_announced_where_nobody_signs() -> None:
    pair = Pair()
    pair.establish()
    assert not any(_announcements(datagram.data) for datagram in pair.link.sent[:2])


Alter = Callable[[NotifyPayload], Sequence[NotifyPayload]]


def _in_init(pair: Pair, number: int, alter: Alter) -> None:
    """Let somebody on the way alter the announcement in the n-th message."""

    def fault(datagram: Datagram) -> list[tuple[Duration, Datagram]]:
        if datagram.number != number:
            return [(Duration(0), datagram)]
        message = Message.decode(datagram.data)
        found = _announcements(datagram.data)
        payloads = [
            one
            for payload in message.payloads
            for one in (alter(payload) if payload in found else (payload,))
        ]
        return [(Duration(0), replace(datagram, data=encode_message(message.header, payloads)))]

    pair.link.add_fault(fault)


@pytest.mark.parametrize("number", [1, 2])
def test_announcement_that_is_taken_away_makes_the_signature_wrong(number: int) -> None:
    """Who takes it away would have both sides use an older method: but it is signed."""
    pair = signers("P-256", "P-256")
    _in_init(pair, number, lambda _notify: ())
    pair.initiate()
    pair.run(Duration.seconds(1))
    assert not any(side.has(ChildSaUp) for side in pair.sides)
    assert pair.right.has(AuthenticationFailed)


def test_weaker_hash_that_is_put_in_on_the_way_makes_the_signature_wrong() -> None:
    pair = signers("RSA", "RSA")
    _in_init(pair, 1, lambda notify: (replace(notify, data=bytes.fromhex("0001")),))
    pair.initiate()
    pair.run(Duration.seconds(1))
    assert not any(side.has(ChildSaUp) for side in pair.sides)


def test_half_an_identifier_is_no_announcement() -> None:
    pair = signers("P-256", "P-256")
    _in_init(pair, 1, lambda notify: (replace(notify, data=notify.data + b"\0"),))
    pair.initiate()
    pair.run(Duration.seconds(1))
    assert not pair.right.ike_sas
    assert len(pair.link.sent) == 1


# covers R7427-3-1
def test_older_method_for_a_peer_that_announces_nothing() -> None:
    """SHA-1 is announced by nobody, so that sides that take nothing else know no RFC 7427."""
    key, rules = key_pair("RSA"), _rules(HashId.SHA1, padding=RsaPadding.PKCS1)
    pair = pair_of(OwnKey(key, rules), SharedKey(), SharedKey(), KnownKeys((key.public,), rules))
    ours, _ = up(pair)
    assert ours.local_auth == "RSASSA-PKCS1-v1_5 with SHA-1"
    assert not any(_announcements(datagram.data) for datagram in pair.link.sent[:2])


def test_older_method_is_not_for_keys_that_it_does_not_know() -> None:
    ours, taken = key_pair("Ed25519"), key_pair("RSA")
    rules = _rules(HashId.SHA1, padding=RsaPadding.PKCS1)
    pair = pair_of(OwnKey(ours), SharedKey(), SharedKey(), KnownKeys((taken.public,), rules))
    pair.initiate()
    pair.run(Duration.seconds(1))
    assert "does not know RFC 7427" in pair.left.take(AuthenticationFailed).reason


def test_nobody_on_both_sides() -> None:
    pair = pair_of(NoProof(), NoProof(), NoProof(), NoProof(), local_id=None, remote_id=None)
    pair.right.endpoint.load(
        [right(local_proof=NoProof(), remote_proof=NoProof(), local_id=None)], [], pair.now
    )
    ours, theirs = up(pair)
    assert (ours.local_id, ours.remote_id, ours.remote_auth) == (NOBODY, NOBODY, "nothing")
    assert "the peer 'nobody' by nothing" in str(theirs)


# covers R7619-2-1
def test_peer_that_proves_nothing_has_no_name_whatever_it_says() -> None:
    key = key_pair("P-256")
    pair = pair_of(NoProof(), KnownKeys((key.public,)), OwnKey(key), NoProof())
    _, theirs = up(pair)
    assert theirs.remote_id == NOBODY
    assert theirs.remote_auth == "nothing"


def test_nobody_is_not_taken_for_a_peer_that_has_to_prove_itself() -> None:
    pair = Pair(left_entry=left(local_proof=NoProof(), local_id=None), right_entry=right(remote_id=None))
    failed = refused(pair)
    assert failed.hint == "connections.gw.remote.auth"


def test_who_proves_something_is_not_taken_for_nobody() -> None:
    """Its connection would give it less than it asks for, and nobody else's policy is its own."""
    pair = Pair(right_entry=right(remote_proof=NoProof()))
    assert "no connection for 'left.example'" in refused(pair).reason


def test_nobody_does_not_end_the_ike_sas_of_those_it_names() -> None:
    """It says that it is somebody who is here already, and that this is its first contact."""
    key = key_pair("P-256")
    pair = Pair(right_entry=right(local_proof=SharedKey()))
    anonymous = right(name="open", local_proof=OwnKey(key), remote_proof=NoProof(), remote_id=None)
    pair.right.endpoint.load([pair.right_entry, anonymous], [pair.right_secret], pair.now)
    pair.establish()
    entry = left(local_proof=NoProof(), remote_proof=KnownKeys((key.public,)))
    pair.restart(pair.left, entry)
    pair.initiate()
    pair.settle()
    assert {str(sa.remote_id) for sa in pair.right.ike_sas} == {"left.example", "nobody"}
