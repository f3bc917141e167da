"""A peer that answers our requests with errors, or with what was not offered (RFC 7296, 2.21.3 and 2.25)."""

from __future__ import annotations

import pytest

from exchanges.insider import Insider
from exchanges.pair import Pair
from exchanges.settings import LEFT_NET, RIGHT_NET, child, esp_proposal, right, selectors
from perilune.ike.events import ChildSaDown, ChildSaUp, DownReason, IkeSaDown, Refused
from perilune.ike.settings import EndpointSettings
from perilune.model.iana import ExchangeType, KeId, NotifyType, PayloadType, ProtocolId
from perilune.model.time import Duration
from perilune.wire.payloads import (
    DeletePayload,
    NoncePayload,
    NotifyPayload,
    Payload,
    SaPayload,
    TsPayload,
    UnknownPayload,
)

NONCE = NoncePayload(bytes(32))
SA = SaPayload((esp_proposal().with_spi(b"\1\2\3\4"),))


def rekeying(*, with_key_exchange: bool = False) -> Insider:
    """Return a peer that was just asked to rekey the child."""
    proposals = (esp_proposal(KeId.CURVE25519) if with_key_exchange else esp_proposal(),)
    mirrored = child(local=RIGHT_NET, remote=LEFT_NET, proposals=proposals)
    insider = Insider(
        Pair(right_entry=right(children=(mirrored,)), left_settings=EndpointSettings(export_keys=True))
    )
    pair = insider.pair
    pair.do(lambda now: pair.right.endpoint.rekey_child("net", now))
    assert insider.asked()[0].exchange_type == ExchangeType.CREATE_CHILD_SA
    return insider


def ts(ts_i: str = RIGHT_NET, ts_r: str = LEFT_NET) -> tuple[Payload, Payload]:
    return TsPayload(PayloadType.TS_I, selectors(ts_i)), TsPayload(PayloadType.TS_R, selectors(ts_r))


def test_temporary_failure_is_tried_again_after_a_wait() -> None:
    insider = rekeying()
    first, _ = insider.asked()
    insider.answer(NotifyPayload(NotifyType.TEMPORARY_FAILURE))
    insider.pair.run(Duration.seconds(9))
    assert insider.asked()[0] == first
    insider.pair.run(Duration.seconds(7))
    assert insider.asked()[0].message_id == first.message_id + 1
    assert insider.asked()[0].exchange_type == ExchangeType.CREATE_CHILD_SA


@pytest.mark.parametrize("type_", [NotifyType.NO_PROPOSAL_CHOSEN, NotifyType.TS_UNACCEPTABLE, 8190])
def test_refused_rekeying_keeps_the_child_and_is_tried_again(type_: int) -> None:
    insider = rekeying()
    first, _ = insider.asked()
    insider.answer(NotifyPayload(type_))
    assert len(insider.pair.right.children) == 1
    assert insider.pair.right.take(Refused).by_peer
    insider.pair.run(Duration.seconds(16))
    assert insider.asked()[0].message_id == first.message_id + 1


def test_child_that_the_peer_does_not_have_is_made_anew() -> None:
    insider = rekeying()
    insider.answer(NotifyPayload(NotifyType.CHILD_SA_NOT_FOUND))
    assert insider.pair.right.take(ChildSaDown).reason is DownReason.PEER
    _, payloads = insider.asked()
    assert not [p for p in payloads if isinstance(p, NotifyPayload)]
    insider.answer(SA, NONCE, *ts())
    assert insider.pair.right.all(ChildSaUp)[-1].child.spi_out == 0x01020304


def test_peer_that_has_room_for_no_more_is_left_and_begun_with_anew() -> None:
    insider = rekeying()
    insider.answer(NotifyPayload(NotifyType.NO_ADDITIONAL_SAS))
    _, payloads = insider.asked()
    assert payloads == (DeletePayload(ProtocolId.IKE),)
    insider.answer()
    pair = insider.pair
    assert pair.right.take(IkeSaDown).reason is DownReason.REFUSED
    pair.run(Duration.seconds(3))
    assert pair.link.sent[-1].header.exchange_type == ExchangeType.IKE_SA_INIT


def test_peer_that_always_wants_the_method_it_has_is_not_asked_without_end() -> None:
    insider = rekeying(with_key_exchange=True)
    first, _ = insider.asked()
    for _ in range(4):
        insider.answer(NotifyPayload(NotifyType.INVALID_KE_PAYLOAD, KeId.CURVE25519.to_bytes(2)))
    assert insider.asked()[0].message_id == first.message_id + 1


def test_method_that_we_do_not_have_is_not_used() -> None:
    insider = rekeying(with_key_exchange=True)
    first, _ = insider.asked()
    insider.answer(NotifyPayload(NotifyType.INVALID_KE_PAYLOAD, KeId.MODP_2048.to_bytes(2)))
    assert insider.asked()[0] == first
    insider.pair.run(Duration.seconds(16))
    assert insider.asked()[0].message_id == first.message_id + 1


@pytest.mark.parametrize(
    "answer",
    [
        (SA, NONCE, *ts("0.0.0.0/0")),
        (SaPayload((esp_proposal(bits=256).with_spi(b"\1\2\3\4"),)), NONCE, *ts()),
        (SaPayload((esp_proposal().with_spi(b"\0\0\0\1"),)), NONCE, *ts()),
        (SA, *ts()),
        (SA, NONCE, *ts()[:1]),
        (),
    ],
)
def test_answer_that_was_not_offered_is_closed_at_the_peer(answer: tuple[Payload, ...]) -> None:
    insider = rekeying()
    _, payloads = insider.asked()
    offered = next(p for p in payloads if isinstance(p, SaPayload)).proposals[0].spi
    insider.answer(*answer)
    assert not insider.pair.right.take(Refused).by_peer
    assert insider.asked()[1] == (DeletePayload(ProtocolId.ESP, (offered,)),)
    assert len(insider.pair.right.data_plane.sas) == 2


def test_invalid_syntax_in_a_response_ends_the_ike_sa_without_delete() -> None:
    insider = rekeying()
    sent = len(insider.pair.link.sent)
    insider.answer(NotifyPayload(NotifyType.INVALID_SYNTAX))
    assert insider.pair.right.take(IkeSaDown).reason is DownReason.REFUSED
    assert len(insider.pair.link.sent) == sent


def test_response_with_an_unknown_critical_payload_ends_the_ike_sa() -> None:
    insider = rekeying()
    insider.answer(UnknownPayload(200, critical=True, body=b""))
    assert insider.pair.right.has(IkeSaDown)


def test_response_that_nobody_waits_for_is_dropped() -> None:
    insider = rekeying()
    insider.answer(NotifyPayload(NotifyType.TEMPORARY_FAILURE))
    insider.answer(NotifyPayload(NotifyType.INVALID_SYNTAX))
    assert not insider.pair.right.has(IkeSaDown)


def test_refused_rekeying_of_the_ike_sa_is_tried_again() -> None:
    insider = Insider()
    pair = insider.pair
    pair.do(lambda now: pair.right.endpoint.rekey_ike("gw", now))
    first, _ = insider.asked()
    insider.answer(NotifyPayload(NotifyType.NO_PROPOSAL_CHOSEN))
    pair.run(Duration.seconds(16))
    assert insider.asked()[0].message_id == first.message_id + 1
    assert len(pair.right.ike_sas) == 1


@pytest.mark.parametrize("spi", [b"", bytes(8), b"\1\2\3\4"])
def test_new_ike_sa_without_an_spi_ends_the_old_one(spi: bytes) -> None:
    insider = Insider()
    pair = insider.pair
    pair.do(lambda now: pair.right.endpoint.rekey_ike("gw", now))
    _, payloads = insider.asked()
    sa = next(p for p in payloads if isinstance(p, SaPayload))
    rest = [p for p in payloads if not isinstance(p, SaPayload)]
    insider.answer(SaPayload((sa.proposals[0].with_spi(spi),)), *rest)
    assert insider.asked()[1] == (DeletePayload(ProtocolId.IKE),)
    assert len(pair.right.children) == 1
