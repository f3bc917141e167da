"""IKE_SA_INIT: what is asked for before keys exist, and what nobody vouches for (RFC 7296, 2.6, 2.7)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchanges.link import Datagram
from exchanges.pair import Pair
from exchanges.settings import host, ike_proposal, left, right
from perilune.crypto.key_exchange import METHODS
from perilune.ike.events import (
    ChildSaUp,
    CookieDemanded,
    DownReason,
    Dropped,
    IkeSaDown,
    IkeSaUp,
    PeerUnreachable,
    Refused,
    Retransmitted,
)
from perilune.ike.settings import EndpointSettings
from perilune.model.algorithms import ENCRYPTION
from perilune.model.iana import EncrId, ExchangeType, KeId, NotifyType, PrfId
from perilune.model.time import Duration
from perilune.wire.header import Flags, Header
from perilune.wire.message import Message, encode_message
from perilune.wire.payloads import KePayload, NotifyPayload, SaPayload, UnknownPayload

ALWAYS = EndpointSettings(cookie_threshold=0)


def payload(datagram: Datagram, kind: type[SaPayload] | type[KePayload]) -> SaPayload | KePayload:
    return next(p for p in Message.decode(datagram.data).payloads if isinstance(p, kind))


def answer_to(request: Datagram, *notifies: NotifyPayload) -> Datagram:
    """Return what anyone could send in answer to a first request."""
    header = Header(
        request.header.spi_i,
        request.header.spi_r,
        request.header.exchange_type,
        Flags(initiator=False, response=True),
        request.header.message_id,
    )
    return Datagram(request.destination, request.source, encode_message(header, notifies), False)


def test_responder_under_load_demands_a_cookie() -> None:
    pair = Pair(right_settings=ALWAYS)
    pair.initiate()
    pair.settle()
    assert len(pair.link.sent) == 6
    assert pair.left.take(CookieDemanded).by_peer
    first, _, second = (Message.decode(d.data) for d in pair.link.sent[:3])
    assert second.payloads[1:] == first.payloads
    assert isinstance(second.payloads[0], NotifyPayload)
    assert second.payloads[0].type is NotifyType.COOKIE
    assert pair.left.has(IkeSaUp)
    assert pair.right.endpoint.status().half_open == 0
    pair.check_agreement()


def test_wrong_cookie_is_as_good_as_none() -> None:
    pair = Pair(right_settings=ALWAYS)
    pair.initiate()
    forged = answer_to(pair.link.sent[0], NotifyPayload(NotifyType.COOKIE, b"not yours"))
    pair.link.inject(forged, pair.now + Duration.milliseconds(1))
    pair.settle()
    assert pair.left.has(IkeSaUp)
    pair.check_agreement()


def test_cookie_and_other_key_exchange_take_the_shorter_way() -> None:
    pair = Pair(
        left_entry=left(proposals=(ike_proposal(KeId.CURVE25519, KeId.ECP_256),)),
        right_entry=right(proposals=(ike_proposal(KeId.ECP_256),)),
        right_settings=ALWAYS,
    )
    pair.initiate()
    pair.settle()
    # request, cookie, request + cookie, INVALID_KE_PAYLOAD, request + cookie + other KE, response, IKE_AUTH
    assert len(pair.link.sent) == 8
    pair.check_agreement()


@pytest.mark.parametrize("method", sorted(METHODS - {KeId.MODP_8192}))
def test_every_key_exchange_method(method: KeId) -> None:
    proposals = (ike_proposal(method),)
    pair = Pair(left_entry=left(proposals=proposals), right_entry=right(proposals=proposals))
    pair.establish()
    assert pair.left.ike_sa.suite
    assert pair.left.ike_sa.suite.key_exchange is method


@pytest.mark.parametrize("prf", list(PrfId))
@pytest.mark.parametrize("encr", [encr for encr, known in ENCRYPTION.items() if known.in_ike])
@pytest.mark.parametrize("bits", [128, 256])
def test_every_suite(prf: PrfId, encr: EncrId, bits: int) -> None:
    proposals = (ike_proposal(encr=encr, bits=bits, prf=prf),)
    pair = Pair(left_entry=left(proposals=proposals), right_entry=right(proposals=proposals))
    pair.establish()
    pair.do(lambda now: pair.right.endpoint.rekey_ike("gw", now))
    pair.run(Duration.seconds(1))
    pair.check_agreement()


def test_initiator_tries_the_key_exchange_that_the_responder_wants() -> None:
    pair = Pair(
        left_entry=left(proposals=(ike_proposal(KeId.CURVE25519, KeId.ECP_384),)),
        right_entry=right(proposals=(ike_proposal(KeId.ECP_384),)),
    )
    pair.initiate()
    pair.settle()
    assert len(pair.link.sent) == 6
    first, second = pair.link.sent[0], pair.link.sent[2]
    kes = [payload(d, KePayload) for d in (first, second)]
    assert [ke.method for ke in kes if isinstance(ke, KePayload)] == [KeId.CURVE25519, KeId.ECP_384]
    # The full set of methods is offered again, against a downgrade.
    offers = [payload(d, SaPayload) for d in (first, second)]
    assert len({len(o.proposals[0].transforms) for o in offers if isinstance(o, SaPayload)}) == 1
    pair.check_agreement()


def test_duplicated_invalid_ke_payload_changes_nothing() -> None:
    pair = Pair(
        left_entry=left(proposals=(ike_proposal(KeId.CURVE25519, KeId.ECP_384),)),
        right_entry=right(proposals=(ike_proposal(KeId.ECP_384),)),
    )
    pair.link.delay = Duration.seconds(3)
    pair.link.duplicate(nth=2)
    pair.initiate()
    pair.settle()
    assert pair.left.has(IkeSaUp)


def test_key_exchange_that_was_not_offered_is_not_used() -> None:
    pair = Pair()
    pair.link.cut()
    pair.initiate()
    pair.link.mend()
    wanted = NotifyPayload(NotifyType.INVALID_KE_PAYLOAD, KeId.MODP_2048.to_bytes(2))
    pair.link.inject(answer_to(pair.link.sent[0], wanted), pair.now)
    pair.settle()
    assert "CURVE25519" in pair.left.take(Refused).ours


def test_no_common_proposal_is_told_to_both_logs() -> None:
    pair = Pair(right_entry=right(proposals=(ike_proposal(KeId.CURVE25519, bits=128),)))
    pair.initiate()
    pair.run(Duration.seconds(3))
    theirs = pair.right.take(Refused)
    assert not theirs.by_peer
    assert "no common ENCR (ours ENCR_AES_GCM_16(128), theirs ENCR_AES_GCM_16(256))" in theirs.why
    assert theirs.hint == "connections.gw.proposals"
    ours = pair.left.take(Refused)
    assert ours.by_peer
    assert ours.notify == "NO_PROPOSAL_CHOSEN"
    assert ours.hint == "connections.gw.proposals"
    assert pair.left.take(IkeSaDown).reason is DownReason.REFUSED
    assert pair.left.endpoint.is_quiet


def test_forged_refusal_does_not_end_the_exchange() -> None:
    pair = Pair()
    pair.initiate()
    forged = answer_to(pair.link.sent[0], NotifyPayload(NotifyType.NO_PROPOSAL_CHOSEN))
    pair.link.inject(forged, pair.now + Duration.milliseconds(1))
    pair.settle()
    assert pair.left.has(Refused)
    assert pair.left.has(IkeSaUp)
    pair.check_agreement()


def test_unknown_address_is_refused() -> None:
    pair = Pair(right_entry=right(remote_addrs=host("203.0.113.77")))
    pair.initiate()
    pair.run(Duration.seconds(3))
    assert "no connection is from" in pair.right.take(Refused).why


def test_retransmitted_request_is_answered_by_the_same_octets() -> None:
    pair = Pair()
    pair.link.drop(nth=2)
    pair.initiate()
    pair.run(Duration.seconds(5))
    assert pair.left.take(Retransmitted).exchange is ExchangeType.IKE_SA_INIT
    requests = [d.data for d in pair.link.sent if d.header.exchange_type == ExchangeType.IKE_SA_INIT]
    assert len(requests) == 4
    assert len(set(requests)) == 2
    pair.check_agreement()


def test_silent_peer_counts_as_unreachable_after_so_many_tries() -> None:
    pair = Pair(left_entry=left(keyingtries=2))
    pair.link.cut()
    pair.initiate()
    pair.run(Duration.seconds(400))
    assert len(pair.left.all(PeerUnreachable)) == 2
    assert pair.left.take(IkeSaDown).reason is DownReason.UNREACHABLE
    assert len(pair.link.sent) == 12
    assert len({d.data for d in pair.link.sent}) == 2


def test_peer_that_is_tried_for_ever_is_reached_at_last() -> None:
    pair = Pair(left_entry=left(keyingtries=0))
    pair.link.cut()
    pair.initiate()
    pair.run(Duration.seconds(2000))
    pair.link.mend()
    pair.run(Duration.seconds(100))
    assert pair.left.has(ChildSaUp)


def test_half_open_ike_sa_is_forgotten() -> None:
    pair = Pair()
    pair.link.drop(nth=3)
    pair.link.drop_where(lambda d: d.header.exchange_type == ExchangeType.IKE_AUTH, times=100)
    pair.initiate()
    pair.settle()
    assert pair.right.endpoint.status().half_open == 1
    pair.run(Duration.seconds(31))
    assert pair.right.endpoint.status().half_open == 0


def test_half_open_ike_sas_are_limited() -> None:
    pair = Pair(right_settings=EndpointSettings(half_open_limit_per_address=3, cookie_threshold=1000))
    pair.initiate()
    first = pair.link.sent[0]
    pair.link.cut()
    for number in range(10):
        spi = (number + 1).to_bytes(8)
        datagram = replace(first, data=spi + first.data[8:])
        pair.link.inject(datagram, pair.now)
    pair.settle()
    assert pair.right.endpoint.status().half_open == 3
    assert pair.right.has(Dropped)


def test_many_half_open_ike_sas_switch_cookies_on() -> None:
    pair = Pair(right_settings=EndpointSettings(cookie_threshold=2))
    pair.link.cut()
    pair.initiate()
    first = pair.link.sent[0]
    for number in range(4):
        pair.link.inject(replace(first, data=(number + 1).to_bytes(8) + first.data[8:]), pair.now)
    pair.settle()
    assert len(pair.right.all(CookieDemanded)) == 2
    assert pair.right.endpoint.status().half_open == 2


def test_higher_major_version_is_told_ours() -> None:
    pair = Pair()
    pair.initiate()
    first = pair.link.sent[0]
    data = bytearray(first.data)
    data[17] = 0x30
    pair.link.cut()
    number = len(pair.link.sent)
    pair.link.inject(replace(first, data=bytes(data)), pair.now)
    pair.run(Duration.milliseconds(1))
    (answer,) = pair.link.sent[number:]
    message = Message.decode(answer.data)
    assert message.header.flags == Flags(initiator=False, response=True)
    assert [p.type for p in message.payloads if isinstance(p, NotifyPayload)] == [
        NotifyType.INVALID_MAJOR_VERSION
    ]


def test_unknown_critical_payload_is_refused_and_named() -> None:
    pair = Pair()
    pair.link.cut()
    pair.initiate()
    first = pair.link.sent[0]
    message = Message.decode(first.data)
    data = encode_message(message.header, [*message.payloads, UnknownPayload(200, critical=True, body=b"?")])
    number = len(pair.link.sent)
    pair.link.inject(replace(first, data=data), pair.now)
    pair.settle()
    (answer,) = pair.link.sent[number:]
    (notify,) = Message.decode(answer.data).payloads
    assert notify == NotifyPayload(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes((200,)))


def test_unknown_payload_that_is_not_critical_is_skipped() -> None:
    pair = Pair()
    pair.link.cut()
    pair.initiate()
    first = pair.link.sent[0]
    message = Message.decode(first.data)
    data = encode_message(message.header, [UnknownPayload(200, critical=False, body=b"?"), *message.payloads])
    pair.link.inject(replace(first, data=data), pair.now)
    pair.settle()
    assert pair.right.endpoint.status().half_open == 1


def test_request_of_an_unknown_ike_sa_is_answered_in_moderation() -> None:
    pair = Pair()
    pair.establish()
    pair.do(lambda now: pair.left.endpoint.rekey_child("net", now))
    request = pair.link.sent[-1]
    stray = replace(request, data=request.data[:8] + b"\1" * 8 + request.data[16:])
    pair.settle()
    number = len(pair.link.sent)
    pair.link.inject(stray, pair.now)
    pair.settle()
    answer, *liveness = pair.link.sent[number:]
    message = Message.decode(answer.data)
    assert message.payloads == (NotifyPayload(NotifyType.INVALID_IKE_SPI),)
    assert message.header.flags.response
    # The left side takes it as a hint and asks whether the peer lives; nothing else changes.
    assert [d.header.exchange_type for d in liveness] == [ExchangeType.INFORMATIONAL] * 2
    for _ in range(200):
        pair.link.inject(stray, pair.now)
    pair.settle()
    assert len(pair.link.sent) - number <= 40
    pair.check_agreement()


def test_response_of_an_unknown_ike_sa_is_never_answered() -> None:
    pair = Pair()
    pair.initiate()
    stray = answer_to(pair.link.sent[0], NotifyPayload(NotifyType.INVALID_IKE_SPI))
    pair.link.cut()
    number = len(pair.link.sent)
    pair.link.inject(replace(stray, data=b"\1" * 16 + stray.data[16:]), pair.now)
    pair.run(Duration.milliseconds(1))
    assert len(pair.link.sent) == number
