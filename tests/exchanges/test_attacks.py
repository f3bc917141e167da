"""What somebody may try who holds no secret, or one that is good for less than is wanted."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from typing import Final

import pytest

from exchanges.insider import Insider, keyed_sa
from exchanges.link import Datagram
from exchanges.pair import Pair
from exchanges.settings import (
    LEFT,
    LEFT_NET,
    RIGHT,
    RIGHT_NET,
    child,
    esp_proposal,
    ike_proposal,
    left,
    right,
    secret,
    selectors,
)
from perilune.crypto.auth import psk_auth, signed_octets
from perilune.crypto.ike_keys import derive_rekeyed_ike_keys
from perilune.crypto.key_exchange import KeyExchange, share_octets
from perilune.databases.pad import ANY_IPV4, DynamicSelector, LossAction, SharedSecret
from perilune.databases.sad import Direction
from perilune.ike.events import AuthenticationFailed, CookieDemanded, IkeKeysDerived, IkeSaUp, Refused
from perilune.ike.keyed import KeyedSa
from perilune.ike.settings import EndpointSettings
from perilune.model.address import Endpoint
from perilune.model.iana import (
    AuthMethod,
    ExchangeType,
    KeId,
    NotifyType,
    PayloadType,
    ProtocolId,
    TransformType,
)
from perilune.model.identity import Identity
from perilune.model.proposal import Proposal, Transform
from perilune.model.secret import Secret
from perilune.model.spi import IkeSpi
from perilune.model.time import Duration
from perilune.wire.header import Flags, Header
from perilune.wire.message import Message, encode_message
from perilune.wire.payloads import (
    AuthPayload,
    DeletePayload,
    IdPayload,
    KePayload,
    NoncePayload,
    NotifyPayload,
    Payload,
    SaPayload,
    TsPayload,
)
from support.rng import SeededRng

VICTIM: Final = "203.0.113.7"
ELSEWHERE: Final = Endpoint(ip_address(VICTIM), 500)
TS: Final = (
    TsPayload(PayloadType.TS_I, selectors(LEFT_NET)),
    TsPayload(PayloadType.TS_R, selectors(RIGHT_NET)),
)
MOMENT: Final = Duration.milliseconds(1)


def owned(text: str, *owners: str) -> SharedSecret:
    return SharedSecret(Secret(text.encode()), tuple(map(Identity.parse, owners)))


def sent_to(pair: Pair, address: str) -> list[Datagram]:
    return [d for d in pair.link.sent if d.destination.address == ip_address(address)]


def fresh_request(request: Datagram, number: int, *changed: Payload) -> Datagram:
    """Return a first request with another SPI and some payloads changed."""
    message = Message.decode(request.data)
    kept = [p for p in message.payloads if type(p) not in {type(c) for c in changed}]
    header = replace(message.header, spi_i=type(message.header.spi_i)(number))
    return replace(request, data=encode_message(header, [*kept, *changed]))


def test_response_to_a_first_request_does_not_go_where_the_request_is_repeated_from() -> None:
    """Else whoever forges a source learns what only that source may: the address would prove nothing."""
    pair = Pair(right_entry=right(remote_addrs=(ANY_IPV4,)))
    pair.initiate()
    pair.link.inject(replace(pair.link.sent[0], source=ELSEWHERE), pair.now + Duration.milliseconds(11))
    pair.run(Duration.milliseconds(12))
    victims = [d.header.spi_r for d in sent_to(pair, LEFT)]
    assert not {d.header.spi_r for d in sent_to(pair, VICTIM)} & set(victims)


def test_address_that_was_only_claimed_gives_no_dynamic_selector() -> None:
    """IKE_AUTH comes with a forged source, and asks for what is sent to that source."""
    pair = Pair(
        left_entry=left(children=(child(local=f"{VICTIM}/32"),)),
        right_entry=right(
            remote_addrs=(ANY_IPV4,), children=(child(local=RIGHT_NET, remote_ts=(DynamicSelector(),)),)
        ),
    )
    pair.link.add_fault(lambda d: [(Duration(0), replace(d, source=ELSEWHERE))] if d.number == 3 else None)
    pair.initiate()
    pair.settle()
    assert pair.right.has(IkeSaUp)
    assert not pair.right.data_plane.sas


def test_moved_peer_does_not_take_the_selectors_of_its_new_address() -> None:
    pair = Pair(
        left_settings=EndpointSettings(export_keys=True),
        left_entry=left(encap=True, children=(child(local=f"{LEFT}/32"),)),
        right_entry=right(
            remote_addrs=(ANY_IPV4,), children=(child(local=RIGHT_NET, remote_ts=(DynamicSelector(),)),)
        ),
    )
    insider = Insider(pair)
    insider.source = Endpoint(ip_address(VICTIM), insider.source.port)
    wanted = (
        TsPayload(PayloadType.TS_I, selectors(f"{VICTIM}/32")),
        TsPayload(PayloadType.TS_R, selectors(RIGHT_NET)),
    )
    sa = SaPayload((esp_proposal().with_spi(b"\1\2\3\4"),))
    insider.create_child_sa(sa, NoncePayload(bytes(32)), *wanted)
    assert pair.right.ike_sa.path.remote == insider.source
    assert len(pair.right.children) == 1


def test_responder_proves_itself_with_the_secret_that_we_proved_ourselves_with() -> None:
    """Else everyone who shares a secret of his own with us could stand in for the responder."""
    pair = Pair(left_entry=left(remote_id=None), left_settings=EndpointSettings(export_keys=True))
    secrets = [owned("the gateway's", RIGHT), owned("another peer's", "other.example")]
    pair.left.endpoint.load([left(remote_id=None)], secrets, pair.now)
    pair.link.drop_where(lambda d: d.number == 3)
    pair.initiate()
    pair.settle()
    keyed = keyed_sa(pair.left.take(IkeKeysDerived))
    request, response, ours = pair.link.sent[:3]
    nonce_i = next(p.nonce for p in Message.decode(request.data).payloads if isinstance(p, NoncePayload))
    id_r = IdPayload(PayloadType.ID_R, Identity.parse("other.example"))
    octets = signed_octets(keyed.suite.prf, response.data, nonce_i, keyed.keys.sk_pr, id_r.encode(), b"")
    auth = psk_auth(keyed.suite.prf, secrets[1].secret, octets)
    header = replace(ours.header, flags=Flags(initiator=False, response=True))
    impostor = replace(keyed, original_initiator=False).protection(SeededRng(7))
    (octets,) = impostor.seal(header, (id_r, AuthPayload(AuthMethod.SHARED_KEY_MIC, auth)))
    pair.link.inject(Datagram(ours.destination, ours.source, octets, encapsulated=False), pair.now)
    pair.settle()
    assert not pair.left.has(IkeSaUp)
    assert not pair.left.take(AuthenticationFailed).by_peer


def test_request_of_our_own_that_comes_back_is_not_answered() -> None:
    """Else we would authenticate ourselves to ourselves, where a connection accepts any identity."""
    entry = left(remote_id=None)
    pair = Pair(left_entry=entry)
    pair.link.add_fault(lambda d: [(Duration(0), replace(d, source=d.destination, destination=d.source))])
    pair.initiate()
    pair.settle()
    assert not pair.left.has(IkeSaUp)
    assert pair.left.endpoint.status().half_open == 0


@pytest.mark.parametrize("method", [KeId.MODP_2048, KeId.ECP_256, KeId.CURVE25519])
def test_flood_of_bad_public_values_meets_cookies(method: KeId) -> None:
    """A request that fails only behind a costly step counts like one that does not fail."""
    proposals = (ike_proposal(method),)
    pair = Pair(
        left_entry=left(proposals=proposals),
        right_entry=right(proposals=proposals),
        right_settings=EndpointSettings(cookie_threshold=3),
    )
    pair.link.cut()
    pair.initiate()
    bad = KePayload(method, bytes(share_octets(method)))
    for number in range(1, 7):
        forged = fresh_request(pair.link.sent[0], number, bad)
        pair.link.inject(forged, pair.now)
        pair.run(MOMENT)
    assert len(pair.right.all(CookieDemanded)) == 3
    pair.run(pair.right.settings.timers.half_open)
    assert pair.right.endpoint.status().half_open == 0


def test_failed_authentication_does_not_make_room_for_more() -> None:
    """What is left of each is kept for a while, so it counts as long."""
    pair = Pair(left_secret=secret("a guess"), right_settings=EndpointSettings(half_open_limit_per_address=5))
    for _ in range(9):
        pair.initiate()
        pair.run(Duration.milliseconds(100))
        pair.left.endpoint.terminate_ike("gw", pair.now)
    assert len(pair.right.all(AuthenticationFailed)) == 5
    pair.run(pair.right.settings.timers.half_open * 2)
    assert pair.right.endpoint.status().half_open == 0


def test_flood_of_costly_offers_meets_cookies() -> None:
    """To say what is wrong with a long offer takes longer than to accept a good one."""
    pair = Pair(right_settings=EndpointSettings(cookie_threshold=3))
    pair.link.cut()
    pair.initiate()
    strange = SaPayload((Proposal(ProtocolId.IKE, (Transform(TransformType.ENCR, 9999),)).with_spi(b"", 1),))
    for number in range(1, 7):
        pair.link.inject(fresh_request(pair.link.sent[0], number, strange), pair.now)
        pair.run(MOMENT)
    assert len(pair.right.all(Refused)) == 3
    assert len(pair.right.all(CookieDemanded)) == 3


def test_rival_that_the_peer_closed_does_not_inherit_the_children() -> None:
    """Both sides rekey; the peer sees to it that its IKE SA is the one to stay, and closes it first."""
    insider = Insider()
    pair = insider.pair
    pair.do(lambda now: pair.right.endpoint.rekey_ike("gw", now))
    _, asked = insider.asked()
    rival = _rekeyed_by_insider(insider)
    delete = Header(rival.spi_i, rival.spi_r, ExchangeType.INFORMATIONAL, Flags(True, False), 0)
    (octets,) = rival.protection(SeededRng(3)).seal(delete, (DeletePayload(ProtocolId.IKE),))
    pair.link.inject(Datagram(insider.source, insider.destination, octets, encapsulated=False), pair.now)
    pair.run(MOMENT)
    offered, ke = (next(p for p in asked if isinstance(p, kind)) for kind in (SaPayload, KePayload))
    ours = KeyExchange.begin(ke.method, SeededRng(4))
    choice = offered.proposals[0].with_spi(bytes(7) + b"\2", 1)
    insider.answer(SaPayload((choice,)), NoncePayload(bytes(32)), KePayload(ke.method, ours.share))
    assert len(pair.right.children) == 1
    assert len(pair.right.data_plane.sas) == 2


def test_rival_inherits_the_children_where_our_own_rekeying_is_answered_by_another_choice() -> None:
    insider = Insider()
    pair = insider.pair
    pair.do(lambda now: pair.right.endpoint.rekey_ike("gw", now))
    rival = _rekeyed_by_insider(insider)
    not_offered = ike_proposal(bits=192).with_spi(bytes(7) + b"\2", 1)
    insider.answer(SaPayload((not_offered,)), NoncePayload(bytes(32)))
    assert "no common ENCR" in pair.right.take(Refused).why
    insider.answer()
    (left_over,) = pair.right.ike_sas
    assert left_over.name.spi_i == rival.spi_i
    assert len(left_over.children) == 1


def _rekeyed_by_insider(insider: Insider) -> KeyedSa:
    """Rekey the IKE SA with a nonce that is never the lowest."""
    ours, nonce = KeyExchange.begin(KeId.CURVE25519, SeededRng(5)), b"\xff" * 32
    spi = IkeSpi(1)
    offer = SaPayload((ike_proposal().with_spi(spi.to_bytes(8), 1),))
    answer = insider.create_child_sa(offer, NoncePayload(nonce), KePayload(ours.method, ours.share))
    assert answer is not None
    sa, theirs, ke = (
        next(p for p in answer if isinstance(p, kind)) for kind in (SaPayload, NoncePayload, KePayload)
    )
    old, spi_r = insider.keyed, IkeSpi(int.from_bytes(sa.proposals[0].spi))
    keys = derive_rekeyed_ike_keys(
        old.suite, old.suite.prf, old.keys.sk_d, nonce, theirs.nonce, (ours.finish(ke.data),), spi, spi_r
    )
    return replace(old, spi_i=spi, spi_r=spi_r, keys=keys)


def test_sas_that_only_still_receive_count_as_well() -> None:
    """A peer that rekeys and deletes without pause does not get more of them than one that only asks."""
    pair = Pair(
        left_settings=EndpointSettings(export_keys=True), right_settings=EndpointSettings(child_limit=4)
    )
    insider = Insider(pair)
    old = pair.right.child.name.spi_out
    for number in range(0x1000, 0x1010):
        spi = number.to_bytes(4)
        rekey = NotifyPayload(NotifyType.REKEY_SA, b"", ProtocolId.ESP, old.to_bytes(4))
        sa = SaPayload((esp_proposal().with_spi(spi),))
        insider.create_child_sa(rekey, sa, NoncePayload(bytes(32)), *TS)
        insider.informational(DeletePayload(ProtocolId.ESP, (old.to_bytes(4),)))
        old = type(old)(number)
    assert len(pair.right.sas(Direction.INBOUND)) <= 4


def test_peer_that_narrows_and_deletes_without_end_does_not_fill_the_spd() -> None:
    """`close_action = trap` waits for packets of the child as it is configured, however it was narrowed."""
    policy = child(local=RIGHT_NET, remote=LEFT_NET, close_action=LossAction.TRAP)
    pair = Pair(
        left_settings=EndpointSettings(export_keys=True),
        left_entry=left(children=(child(local="10.1.0.9/32"),)),
        right_entry=right(children=(policy,)),
    )
    insider = Insider(pair)
    insider.informational(DeletePayload(ProtocolId.ESP, (pair.right.child.name.spi_out.to_bytes(4),)))
    for number in (2, 1, 3, 4):
        spi = (0x1000 + number).to_bytes(4)
        one = TsPayload(PayloadType.TS_I, selectors(f"10.1.0.{number}/32"))
        sa = SaPayload((esp_proposal().with_spi(spi),))
        assert insider.create_child_sa(sa, NoncePayload(bytes(32)), one, TS[1])
        insider.informational(DeletePayload(ProtocolId.ESP, (spi,)))
    assert not pair.right.children
    (trap,) = pair.right.data_plane.policies.values()
    assert (trap.local, trap.remote) == (selectors(RIGHT_NET), selectors(LEFT_NET))


def test_peer_that_begins_one_ike_sa_after_the_other_keeps_only_the_newest() -> None:
    pair = Pair(right_settings=EndpointSettings(ike_limit_per_peer=3))
    names = [f"gw{number}" for number in range(6)]
    pair.left.endpoint.load([left(name=name) for name in names], [secret()], pair.now)
    for name in names:
        pair.do(partial(pair.left.endpoint.initiate, name, None, pair.left.path()))
        pair.run(Duration.seconds(1))
    assert len(pair.right.all(IkeSaUp)) == 6
    newest = sorted(up.ike.id for up in pair.right.all(IkeSaUp))[3:]
    assert [ike.name.id for ike in pair.right.ike_sas] == newest
    assert len(pair.right.data_plane.sas) == 6


@pytest.mark.parametrize("what", ["child", "IKE SA"])
def test_peer_that_always_wants_the_other_key_exchange_is_asked_seldom(what: str) -> None:
    methods = (KeId.CURVE25519, KeId.ECP_256)
    esp, ike = (esp_proposal(*methods),), (ike_proposal(*methods),)
    pair = Pair(
        left_settings=EndpointSettings(export_keys=True),
        left_entry=left(proposals=ike, children=(child(proposals=esp),)),
        right_entry=right(proposals=ike, children=(child(local=RIGHT_NET, remote=LEFT_NET, proposals=esp),)),
    )
    insider = Insider(pair)
    endpoint = pair.right.endpoint
    pair.do(partial(endpoint.rekey_child, "net") if what == "child" else partial(endpoint.rekey_ike, "gw"))
    numbers = set()
    for _ in range(10):
        header, asked = insider.asked()
        numbers.add(header.message_id)
        ke = next(p for p in asked if isinstance(p, KePayload))
        other = next(method for method in methods if method != ke.method)
        insider.answer(NotifyPayload(NotifyType.INVALID_KE_PAYLOAD, other.to_bytes(2)))
    assert len(numbers) == 2
