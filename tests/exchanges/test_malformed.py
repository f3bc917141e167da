"""Messages of an authenticated peer that break the rules (RFC 7296, sections 2.3, 2.5, 2.21.3 and 2.25)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchanges.insider import Insider
from exchanges.settings import LEFT_NET, RIGHT_NET, esp_proposal, ike_proposal, selectors
from perilune.ike.events import DownReason, IkeSaDown, Refused, UnknownEspSpi
from perilune.model.iana import ExchangeType, KeId, NotifyType, PayloadType, ProtocolId
from perilune.model.spi import IkeSpi
from perilune.model.time import Duration
from perilune.wire.header import Flags, Header
from perilune.wire.payloads import (
    DeletePayload,
    KePayload,
    NoncePayload,
    NotifyPayload,
    Payload,
    SaPayload,
    TsPayload,
    UnknownPayload,
)

TS = (
    TsPayload(PayloadType.TS_I, selectors(LEFT_NET)),
    TsPayload(PayloadType.TS_R, selectors(RIGHT_NET)),
)
NONCE = NoncePayload(bytes(32))
SA = SaPayload((esp_proposal().with_spi(b"\1\2\3\4"),))


def notify_of(payloads: tuple[Payload, ...] | None) -> NotifyPayload:
    assert payloads is not None
    (notify,) = payloads
    assert isinstance(notify, NotifyPayload)
    return notify


def test_empty_request_gets_an_empty_response() -> None:
    assert Insider().informational() == ()


def test_child_can_be_asked_for() -> None:
    insider = Insider()
    answer = insider.create_child_sa(SA, NONCE, *TS)
    assert answer is not None
    assert [p.payload_type for p in answer] == [
        PayloadType.SA,
        PayloadType.NONCE,
        PayloadType.TS_I,
        PayloadType.TS_R,
    ]


@pytest.mark.parametrize("missing", range(4))
def test_missing_payload_is_invalid_syntax_and_ends_the_ike_sa(missing: int) -> None:
    insider = Insider()
    payloads = [SA, NONCE, *TS]
    del payloads[missing]
    assert notify_of(insider.create_child_sa(*payloads)).type is NotifyType.INVALID_SYNTAX
    assert insider.pair.right.take(IkeSaDown).reason is DownReason.REFUSED
    assert not insider.pair.right.data_plane.sas


def test_unknown_critical_payload_is_refused_and_the_ike_sa_goes_on() -> None:
    insider = Insider()
    notify = notify_of(insider.informational(UnknownPayload(201, critical=True, body=b"")))
    assert notify == NotifyPayload(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, bytes((201,)))
    assert insider.informational() == ()


def test_unknown_payload_that_is_not_critical_is_skipped() -> None:
    assert Insider().informational(UnknownPayload(201, critical=False, body=b"")) == ()


def test_request_beyond_the_window_is_not_answered() -> None:
    insider = Insider()
    assert insider.request(ExchangeType.INFORMATIONAL, (), message_id=4) is None
    assert insider.request(ExchangeType.INFORMATIONAL, (), message_id=0) is None
    assert insider.request(ExchangeType.INFORMATIONAL, (), message_id=2) == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"flags": Flags(initiator=False, response=False)},
        {"spi_i": IkeSpi(0x7777)},
        {"flags": Flags(initiator=True, response=True)},
    ],
)
def test_header_of_another_conversation_is_not_answered(wrong: dict[str, object]) -> None:
    insider = Insider()
    keyed = insider.keyed
    right_one = Header(
        keyed.spi_i, keyed.spi_r, ExchangeType.INFORMATIONAL, Flags(initiator=True, response=False), 2
    )
    (octets,) = insider.protection.seal(replace(right_one, **wrong), ())
    assert insider.send(octets, 2) is None
    assert insider.request(ExchangeType.INFORMATIONAL, (), message_id=2) == ()


def test_exchange_that_has_no_place_is_invalid_syntax() -> None:
    assert notify_of(Insider().request(ExchangeType.IKE_AUTH, ())).type is NotifyType.INVALID_SYNTAX


def test_rekeying_of_an_unknown_child() -> None:
    rekey = NotifyPayload(NotifyType.REKEY_SA, b"", ProtocolId.ESP, b"\7\7\7\7")
    notify = notify_of(Insider().create_child_sa(rekey, SA, NONCE, *TS))
    assert notify.type is NotifyType.CHILD_SA_NOT_FOUND
    assert (notify.protocol, notify.spi) == (ProtocolId.ESP, b"\7\7\7\7")


def test_delete_of_an_unknown_child_is_answered_without_delete() -> None:
    insider = Insider()
    assert insider.informational(DeletePayload(ProtocolId.ESP, (b"\7\7\7\7",))) == ()
    assert len(insider.pair.right.children) == 1


def test_delete_for_ah_touches_nothing() -> None:
    insider = Insider()
    spi = insider.pair.right.child.name.spi_out.to_bytes(4)
    assert insider.informational(DeletePayload(ProtocolId.AH, (spi,))) == ()
    assert len(insider.pair.right.children) == 1


# covers R4303-2.1-2
def test_spi_in_use_or_reserved_is_refused() -> None:
    insider = Insider()
    used = insider.pair.right.child.name.spi_out.to_bytes(4)
    for spi in (used, b"\0\0\0\1"):
        sa = SaPayload((esp_proposal().with_spi(spi),))
        notify = notify_of(insider.create_child_sa(sa, NONCE, *TS))
        assert notify.type is NotifyType.NO_PROPOSAL_CHOSEN
    assert len(insider.pair.right.data_plane.sas) == 2


def test_spi_of_a_wrong_length_is_invalid_syntax() -> None:
    sa = SaPayload((esp_proposal().with_spi(b"\1\2\3\4\5\6\7\x08"),))
    assert notify_of(Insider().create_child_sa(sa, NONCE, *TS)).type is NotifyType.INVALID_SYNTAX


def test_rekeying_of_the_ike_sa_without_key_exchange_is_refused() -> None:
    sa = SaPayload((ike_proposal().with_spi(b"\1" * 8),))
    notify = notify_of(Insider().create_child_sa(sa, NONCE))
    assert notify == NotifyPayload(NotifyType.INVALID_KE_PAYLOAD, KeId.CURVE25519.to_bytes(2))


def test_bad_public_value_is_invalid_syntax() -> None:
    sa = SaPayload((ike_proposal().with_spi(b"\1" * 8),))
    notify = notify_of(Insider().create_child_sa(sa, NONCE, KePayload(KeId.CURVE25519, bytes(32))))
    assert notify.type is NotifyType.INVALID_SYNTAX


def test_key_exchange_that_the_child_does_not_have_is_no_proposal_chosen() -> None:
    insider = Insider()
    sa = SaPayload((esp_proposal(KeId.CURVE25519).with_spi(b"\1\2\3\4"),))
    notify = notify_of(insider.create_child_sa(sa, NONCE, KePayload(KeId.CURVE25519, b"\t" + bytes(31)), *TS))
    assert notify.type is NotifyType.NO_PROPOSAL_CHOSEN
    assert "no common KE" in insider.pair.right.take(Refused).why


def test_transport_mode_is_not_granted_and_window_size_is_accepted() -> None:
    insider = Insider()
    transport = NotifyPayload(NotifyType.USE_TRANSPORT_MODE)
    answer = insider.create_child_sa(transport, SA, NONCE, *TS)
    assert answer is not None
    assert not [p for p in answer if isinstance(p, NotifyPayload)]
    window = NotifyPayload(NotifyType.SET_WINDOW_SIZE, (5).to_bytes(4))
    assert insider.informational(window) == ()


def test_unknown_error_in_a_request_is_ignored() -> None:
    assert Insider().informational(NotifyPayload(8191)) == ()


def test_protected_invalid_spi_is_told() -> None:
    insider = Insider()
    insider.informational(NotifyPayload(NotifyType.INVALID_SPI, b"\1\2\3\4"))
    assert insider.pair.right.take(UnknownEspSpi).spi == 0x01020304


def test_authentication_failed_ends_the_ike_sa() -> None:
    insider = Insider()
    assert insider.informational(NotifyPayload(NotifyType.AUTHENTICATION_FAILED)) == ()
    assert not insider.pair.right.ike_sas


def test_rekeying_twice_what_was_rekeyed_is_a_temporary_failure() -> None:
    insider = Insider()
    spi = insider.pair.right.child.name.spi_out.to_bytes(4)
    rekey = NotifyPayload(NotifyType.REKEY_SA, b"", ProtocolId.ESP, spi)
    assert insider.create_child_sa(rekey, SA, NONCE, *TS) is not None
    other = SaPayload((esp_proposal().with_spi(b"\5\6\7\x08"),))
    assert notify_of(insider.create_child_sa(rekey, other, NONCE, *TS)).type is NotifyType.TEMPORARY_FAILURE


def test_rekeying_an_ike_sa_that_was_rekeyed_is_a_temporary_failure() -> None:
    insider = Insider()
    ke = KePayload(KeId.CURVE25519, b"\t" + bytes(31))
    for number, expected in ((1, None), (2, NotifyType.TEMPORARY_FAILURE)):
        sa = SaPayload((ike_proposal().with_spi(bytes((number,)) * 8),))
        answer = insider.create_child_sa(sa, NONCE, ke)
        assert answer is not None
        notifies = [p.type for p in answer if isinstance(p, NotifyPayload)]
        assert notifies == ([expected] if expected else [])
    insider.pair.run(Duration.seconds(31))
    assert len(insider.pair.right.ike_sas) == 1
