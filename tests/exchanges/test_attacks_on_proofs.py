"""What somebody may try who can prove less than is wanted, or something else."""

from __future__ import annotations

from typing import Final

import pytest

from exchanges.pair import Pair, Side
from exchanges.settings import left, right
from perilune.crypto.keys import KeyKind, PublicKey
from perilune.crypto.signature_rules import SchemeRule
from perilune.crypto.signature_schemes import SignatureScheme
from perilune.databases.pad import ANY_IPV4, PadEntry, SharedSecret
from perilune.databases.proof import KnownKeys, NoProof, OwnKey, RemoteProof, SharedKey
from perilune.ike.events import AuthenticationFailed, IkeSaUp
from perilune.ike.received import find_notify
from perilune.model.address import IKE_PORT, Endpoint
from perilune.model.iana import NotifyType
from perilune.model.identity import Identity
from perilune.model.secret import Secret
from perilune.wire.message import Message
from support.keys import key_pair

ELSEWHERE: Final = "203.0.113.7"
ALICE, MALLORY, GATEWAY = (key_pair("Ed25519", which) for which in range(3))


def come_from_elsewhere(pair: Pair, entry: PadEntry) -> None:
    """Let the left side be somebody else, at another address."""
    pair.left = Side(ELSEWHERE, pair.left.settings, 99)
    pair.left.peer, pair.right.peer = pair.right, pair.left
    pair.left.remote = Endpoint(pair.right.address, IKE_PORT)
    pair.right.remote = Endpoint(pair.left.address, IKE_PORT)
    pair.left.load(entry, pair.left_secret, pair.now)


@pytest.mark.parametrize(
    ("asked", "stays"), [(KnownKeys((MALLORY.public,)), True), (KnownKeys((ALICE.public,)), False)]
)
def test_name_proved_by_less_does_not_end_the_ike_sa_of_whom_it_is(
    asked: RemoteProof, *, stays: bool
) -> None:
    """A connection for other addresses takes any name, and there this is the first contact of that name."""
    of_alice = right(local_proof=OwnKey(GATEWAY), remote_proof=KnownKeys((ALICE.public,)))
    of_all = right(
        name="all", remote_addrs=(ANY_IPV4,), remote_id=None, local_proof=OwnKey(GATEWAY), remote_proof=asked
    )
    known = KnownKeys((GATEWAY.public,))
    pair = Pair(left_entry=left(local_proof=OwnKey(ALICE), remote_proof=known), right_entry=of_alice)
    pair.right.endpoint.load([of_alice, of_all], [], pair.now)
    pair.establish()
    come_from_elsewhere(pair, left(local_proof=OwnKey(MALLORY if stays else ALICE), remote_proof=known))
    pair.initiate()
    pair.settle()
    assert str(pair.right.take(IkeSaUp).remote_id) == "left.example"
    assert [sa.name.connection for sa in pair.right.ike_sas] == (["gw", "all"] if stays else ["all"])


def test_nobody_learns_nothing_of_the_secret_of_somebody() -> None:
    """It says that it is somebody, by whose secret we would prove ourselves, to be guessed at leisure."""
    guessable = SharedSecret(Secret(b"sesame"), (Identity.parse("left.example"),))
    of_nobody = right(remote_proof=NoProof(), remote_id=None)
    pair = Pair(left_entry=left(local_proof=NoProof(), remote_proof=SharedKey()), right_entry=of_nobody)
    pair.right.endpoint.load([of_nobody], [guessable], pair.now)
    pair.initiate()
    pair.settle()
    failed = pair.right.take(AuthenticationFailed)
    assert "no secret for 'right.example' and 'nobody'" in failed.reason
    assert not pair.right.ike_sas


def test_secret_for_all_is_for_nobody_too() -> None:
    pair = Pair(
        left_entry=left(local_proof=NoProof(), remote_proof=SharedKey()),
        right_entry=right(remote_proof=NoProof(), remote_id=None),
    )
    pair.establish()


def test_first_request_is_answered_without_a_look_at_every_key() -> None:
    """Anybody may send one, and there may be a connection for each of very many peers."""
    asked: list[KeyKind] = []

    class Watched(SchemeRule):
        def schemes(self, key: PublicKey) -> list[SignatureScheme]:
            asked.append(key.kind)
            return super().schemes(key)

    keys = [key_pair(kind).public for kind in ("P-256", "P-384", "Ed448")]
    entries = [
        right(
            name=f"of-{key.kind}-{key.bits}",
            remote_addrs=(ANY_IPV4,),
            remote_proof=KnownKeys((key,), (Watched(),)),
        )
        for key in keys
    ]
    pair = Pair()
    pair.right.endpoint.load(entries, [pair.right_secret], pair.now)
    pair.initiate()
    pair.settle()
    assert asked
    asked.clear()
    come_from_elsewhere(pair, left())
    pair.initiate()
    pair.settle()
    first = next(d for d in pair.link.sent if str(d.destination.address) == ELSEWHERE)
    assert find_notify(Message.decode(first.data).payloads, NotifyType.SUPPORTED_AUTH_METHODS)
    assert not asked
