"""IKE_INTERMEDIATE with additional key exchanges (RFC 9242; RFC 9370, section 2.2.2)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from exchanges.insider import open_message
from exchanges.link import Datagram, Nat
from exchanges.pair import Pair
from exchanges.settings import LEFT, LEFT_NET, RIGHT_NET, child, ike_proposal, left, right
from exchanges.stranger import Stranger
from exchanges.weather import RandomFault, Weather
from perilune.crypto.key_exchange import METHODS, KeyExchange
from perilune.databases.pad import ANY_IPV4, StartAction
from perilune.databases.proof import KnownKeys, OwnKey
from perilune.databases.sad import Lifetime, Limits
from perilune.ike.events import (
    AuthenticationFailed,
    DownReason,
    IkeKeysDerived,
    IkeSaDown,
    IkeSaRekeyed,
    IkeSaUp,
    Refused,
)
from perilune.ike.reassembly import MAX_OCTETS
from perilune.ike.settings import EndpointSettings
from perilune.ike.status import IkeSaState
from perilune.model.iana import AuthMethod, ExchangeType, KeId, NotifyType
from perilune.model.proposal import Proposal
from perilune.model.time import Duration
from perilune.wire.message import Message, encode_message
from perilune.wire.payloads import AuthPayload, KePayload, NotifyPayload
from support.keys import key_pair
from support.rng import SeededRng

KEM, LARGE_KEM = KeId.ML_KEM_768, KeId.ML_KEM_1024
HYBRID = ike_proposal(additional=((KEM,),))
TWICE = ike_proposal(additional=((KEM,), (LARGE_KEM,)))
PLAIN = ike_proposal(bits=128)
INIT, INTERMEDIATE, AUTH = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_INTERMEDIATE, ExchangeType.IKE_AUTH
SMALL = EndpointSettings(fragment_octets=576)


def pair_of(
    *proposals: Proposal,
    theirs: tuple[Proposal, ...] | None = None,
    settings: EndpointSettings | None = None,
    seed: int = 0,
) -> Pair:
    return Pair(
        left_entry=left(proposals=proposals),
        right_entry=right(proposals=proposals if theirs is None else theirs),
        left_settings=settings,
        right_settings=settings,
        seed=seed,
    )


def exchanges(pair: Pair) -> list[tuple[int, int]]:
    return [(d.header.exchange_type, d.header.message_id) for d in pair.link.sent]


##= https://www.rfc-editor.org/rfc/rfc9242#section-3.2
##= type=test
##% it is set to 1 for the first IKE_INTERMEDIATE
##% exchange, 2 for the next (if any), and so on.
def test_hybrid_keys() -> None:
    pair = pair_of(TWICE)
    pair.establish()
    assert exchanges(pair) == [
        *[(INIT, 0)] * 2,
        *[(INTERMEDIATE, 1)] * 2,
        *[(INTERMEDIATE, 2)] * 4,  # ML-KEM-1024 takes more than a datagram
        *[(AUTH, 3)] * 2,
    ]
    for side in pair.sides:
        assert side.ike_sa.suite
        assert side.ike_sa.suite.additional_key_exchanges == (KEM, LARGE_KEM)
        assert pair.send_packet(side)


def test_all_seven() -> None:
    methods = sorted(METHODS - {KeId.MODP_8192, KeId.MODP_6144, KeId.MODP_4096})[-7:]
    pair = pair_of(ike_proposal(additional=[(method,) for method in methods]), settings=SMALL)
    pair.establish()
    assert pair.left.ike_sa.suite
    assert pair.left.ike_sa.suite.additional_key_exchanges == tuple(methods)
    assert exchanges(pair)[-1] == (AUTH, 8)
    assert max(len(d.data) for d in pair.link.sent) <= 576 - 20 - 8


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((HYBRID, PLAIN), (PLAIN,)),
        ((PLAIN,), (HYBRID, PLAIN)),
        ((TWICE, PLAIN), (HYBRID, PLAIN)),
        ((ike_proposal(bits=128, additional=((KEM, KeId.NONE),)),), (PLAIN,)),
        ((PLAIN,), (ike_proposal(bits=128, additional=((KEM, KeId.NONE),)),)),
    ],
)
def test_falls_back_cleanly(ours: tuple[Proposal, ...], theirs: tuple[Proposal, ...]) -> None:
    pair = pair_of(*ours, theirs=theirs)
    pair.establish()
    assert [number for number, _ in exchanges(pair)] == [INIT, INIT, AUTH, AUTH]
    assert pair.left.ike_sa.suite
    assert pair.left.ike_sa.suite.encryption.key_bits == 128


def test_hybrid_alone_is_never_less() -> None:
    for ours, theirs in ((HYBRID, ike_proposal()), (ike_proposal(), HYBRID)):
        pair = pair_of(ours, theirs=(theirs,))
        pair.initiate()
        pair.run(Duration.seconds(10))
        refused = pair.right.take(Refused)
        assert refused.notify == NotifyType.NO_PROPOSAL_CHOSEN.name
        assert refused.why
        assert "ML_KEM_768" in refused.ours + refused.theirs
        assert not pair.left.ike_sas


def test_peer_that_does_not_announce_the_exchange_gets_none() -> None:
    """Somebody on the way takes the announcement out: AUTH finds that out, and there is nothing before it."""
    pair = pair_of(HYBRID, PLAIN)

    def without_announcement(datagram: Datagram) -> list[tuple[Duration, Datagram]] | None:
        if datagram.header.exchange_type != INIT:
            return None
        message = Message.decode(datagram.data)
        kept = [
            payload
            for payload in message.payloads
            if not (
                isinstance(payload, NotifyPayload)
                and payload.type == NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED
            )
        ]
        return [(Duration(0), replace(datagram, data=encode_message(message.header, kept)))]

    pair.link.add_fault(without_announcement)
    pair.initiate()
    pair.settle()
    assert INTERMEDIATE not in {number for number, _ in exchanges(pair)}
    assert pair.right.has(AuthenticationFailed)
    assert not pair.left.has(IkeSaUp)
    assert not pair.right.has(IkeSaUp)


@pytest.mark.parametrize(
    ("nth", "fault"),
    # Who damages IKE_SA_INIT, which nothing protects, may have it refused.
    [
        *[(nth, fault) for nth in range(1, 11) for fault in ("drop", "duplicate")],
        *[(nth, "corrupt") for nth in range(3, 11)],
    ],
)
def test_any_datagram_may_be_lost_or_come_twice(nth: int, fault: str) -> None:
    pair = pair_of(TWICE)
    getattr(pair.link, fault)(nth)
    pair.initiate()
    pair.run_until(lambda: bool(pair.left.children and pair.right.children), Duration.seconds(60))
    pair.settle()
    pair.check_agreement()
    assert len(pair.right.all(IkeSaUp)) == 1


@pytest.mark.parametrize("number", range(3, 11))
def test_old_datagrams_change_nothing(number: int) -> None:
    pair = pair_of(TWICE)
    pair.establish()
    before = [side.endpoint.status() for side in pair.sides]
    pair.link.replay(number, pair.now)
    pair.settle()
    assert [side.endpoint.status() for side in pair.sides] == before
    pair.do(lambda now: pair.left.endpoint.rekey_child("net", now))
    pair.settle()
    pair.check_agreement()


##= https://www.rfc-editor.org/rfc/rfc9242#section-3.2
##= type=test
##% then the peers switch to port 4500 in the first
##% IKE_INTERMEDIATE exchange
def test_nat() -> None:
    pair = Pair(
        left_entry=left(proposals=(HYBRID,)), right_entry=right(proposals=(HYBRID,), remote_addrs=(ANY_IPV4,))
    )
    pair.link.nat = Nat(ip_address(LEFT), ip_address("203.0.113.9"))
    pair.establish()
    ports = [d.destination.port for d in pair.link.sent if d.source.address == ip_address(LEFT)]
    assert ports == [500, 4500, 4500, 4500]
    assert exchanges(pair)[2] == (INTERMEDIATE, 1)


def test_final_keys_are_the_ones_to_export() -> None:
    pair = pair_of(TWICE, settings=EndpointSettings(export_keys=True))
    pair.initiate()
    pair.settle()
    ours, theirs = pair.left.take(IkeKeysDerived), pair.right.take(IkeKeysDerived)
    assert ours.keys == theirs.keys
    for datagram in pair.link.sent[-2:]:
        assert any(isinstance(payload, AuthPayload) for payload in open_message(ours, datagram))


def test_peer_that_falls_silent_is_given_up() -> None:
    pair = pair_of(HYBRID)
    pair.link.drop_where(lambda d: d.header.exchange_type == INTERMEDIATE, times=1000)
    pair.initiate()
    pair.run_until(lambda: pair.left.has(IkeSaDown))
    assert pair.left.take(IkeSaDown).reason is DownReason.UNREACHABLE
    pair.run(Duration.seconds(60))
    assert pair.right.endpoint.status().half_open == 0


def test_connection_may_be_closed_meanwhile() -> None:
    pair = pair_of(HYBRID)
    pair.initiate()
    pair.run_until(lambda: (INTERMEDIATE, 1) in exchanges(pair))
    assert pair.left.ike_sa.state.value == "connecting"
    pair.do(lambda now: pair.left.endpoint.terminate_ike("gw", now))
    pair.settle()
    assert not pair.left.ike_sas
    assert not pair.left.has(IkeSaUp)


def test_stranger_gets_nowhere_without_the_key_exchanges() -> None:
    pair = pair_of(HYBRID)
    stranger = Stranger(pair, (HYBRID,))
    answer = stranger.request(AUTH, 1, (AuthPayload(AuthMethod.SHARED_KEY_MIC, bytes(32)),))
    assert answer == (NotifyPayload(NotifyType.INVALID_SYNTAX),)
    assert pair.right.endpoint.status().half_open == 0
    assert not pair.right.ike_sas


@pytest.mark.parametrize(
    ("method", "share"),
    [
        (KEM, b""),
        (KEM, bytes(1183)),
        (KEM, b"\xff" * 1184),
        (LARGE_KEM, bytes(1568)),
        (KeId.CURVE25519, bytes(32)),
        (0x1234, b"?"),
    ],
)
def test_bad_share_is_refused_and_ends_the_ike_sa(method: int, share: bytes) -> None:
    pair = pair_of(HYBRID)
    stranger = Stranger(pair, (HYBRID,))
    assert stranger.intermediate(1, method, share) == (NotifyPayload(NotifyType.INVALID_SYNTAX),)
    assert "IKE_INTERMEDIATE" in pair.right.take(Refused).what
    assert pair.right.endpoint.status().half_open == 0
    # The answer is repeated, and nothing else is done.
    assert stranger.intermediate(2, KEM, KeyExchange.begin(KEM, SeededRng()).share) is None


##= https://www.rfc-editor.org/rfc/rfc9242#section-5
##= type=test
##% Specifications utilizing the Intermediate Exchange MUST
##% NOT allow an unlimited number of these exchanges to take place at the
##% initiator's discretion.
def test_no_more_exchanges_than_were_agreed_on() -> None:
    pair = pair_of(HYBRID)
    stranger = Stranger(pair, (HYBRID,))
    stranger.run(1, KEM)
    share = KeyExchange.begin(KEM, SeededRng()).share
    assert stranger.intermediate(2, KEM, share) == (NotifyPayload(NotifyType.INVALID_SYNTAX),)
    assert pair.right.endpoint.status().half_open == 0


##= https://www.rfc-editor.org/rfc/rfc9242#section-3.3.2
##= type=test
##% InitiatorSignedOctets = RealMsg1 | NonceRData | MACedIDForI | IntAuth
def test_what_the_exchanges_said_is_signed() -> None:
    proposal = ike_proposal(additional=((KEM,), (KeId.CURVE448,)))
    for signs_all in (True, False):
        pair = pair_of(proposal)
        stranger = Stranger(pair, (proposal,))
        stranger.run(1, KEM)
        before = stranger.int_auth
        stranger.run(2, KeId.CURVE448)
        int_auth = stranger.int_auth if signs_all else replace(before, exchanges=2)
        answer = stranger.authenticate(3, int_auth.octets)
        assert answer is not None
        assert pair.right.has(IkeSaUp) == signs_all
        assert pair.right.has(AuthenticationFailed) != signs_all
        assert any(isinstance(payload, AuthPayload) for payload in answer) == signs_all


@pytest.mark.parametrize("kind", ["Ed25519", "ML-DSA-65"])
def test_signatures_cover_the_exchanges_too(kind: str) -> None:
    ours, theirs = key_pair(kind), key_pair(kind, 1)
    pair = Pair(
        left_entry=left(
            proposals=(TWICE,), local_proof=OwnKey(ours), remote_proof=KnownKeys((theirs.public,))
        ),
        right_entry=right(
            proposals=(TWICE,), local_proof=OwnKey(theirs), remote_proof=KnownKeys((ours.public,))
        ),
    )
    pair.establish()
    assert len(pair.left.children) == 1


def test_half_open_ike_sa_is_forgotten_in_the_middle() -> None:
    pair = pair_of(TWICE)
    stranger = Stranger(pair, (TWICE,))
    pair.run(Duration.seconds(20))
    stranger.run(1, KEM)
    assert pair.right.endpoint.status().half_open == 1
    pair.run(Duration.seconds(31))
    assert pair.right.endpoint.status().half_open == 0


def test_fragments_of_a_stranger_are_bounded() -> None:
    pair = pair_of(HYBRID)
    stranger = Stranger(pair, (HYBRID,))
    flood = KePayload(KEM, bytes(MAX_OCTETS - 100)), KePayload(KEM, bytes(200))
    for octets in stranger.sealed(INTERMEDIATE, 1, flood, longest=1300):
        stranger.send(octets)
    assert not pair.right.has(Refused)
    # Nothing came of them, and the key exchange goes on with the same Message ID.
    stranger.run(1, KEM)


WEATHERS = [Weather(loss=20), Weather(loss=10, duplicates=20, reordering=30, damage=5)]


@pytest.mark.parametrize("weather", WEATHERS, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_weather(weather: Weather, seed: int) -> None:
    lifetime = Lifetime(soft=Limits(time=Duration.seconds(90)), hard=Limits(time=Duration.seconds(150)))
    ages = {
        "proposals": (TWICE,),
        "keyingtries": 0,
        "dpd_delay": Duration.seconds(30),
        "rekey_time": Duration.seconds(120),
        "over_time": Duration.seconds(100),
        "rand_time": Duration.seconds(3),
    }
    ours = child(start_action=StartAction.START, lifetime=lifetime)
    theirs = child(local=RIGHT_NET, remote=LEFT_NET, start_action=StartAction.START, lifetime=lifetime)
    pair = Pair(
        left_entry=left(children=(ours,), **ages), right_entry=right(children=(theirs,), **ages), seed=seed
    )
    pair.link.add_fault(RandomFault(weather, seed))
    pair.run(Duration.seconds(300))
    pair.link.mend()
    pair.run(Duration.seconds(400))
    pair.run_until(
        lambda: (
            bool(pair.left.children)
            and all(len(side.data_plane.sas) == 2 * len(side.children) for side in pair.sides)
            and all(ike.state is IkeSaState.ESTABLISHED for side in pair.sides for ike in side.ike_sas)
            and len(pair.left.ike_sas) == len(pair.right.ike_sas)
            and pair.link.next_arrival() is None
        )
    )
    pair.check_agreement()
    assert pair.left.has(IkeSaRekeyed) or pair.right.has(IkeSaRekeyed)
