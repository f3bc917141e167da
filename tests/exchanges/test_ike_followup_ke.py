"""IKE_FOLLOWUP_KE: additional key exchanges of a rekeyed IKE SA (RFC 9370, section 2.2.4)."""

from __future__ import annotations

import pytest

from exchanges.insider import Insider
from exchanges.pair import Pair, Side
from exchanges.settings import ike_proposal, left, right
from perilune.crypto.key_exchange import KeyExchange
from perilune.databases.sad import Direction
from perilune.ike.events import DownReason, IkeSaDown, IkeSaRekeyed, Refused
from perilune.ike.settings import EndpointSettings
from perilune.model.iana import ExchangeType, KeId, NotifyType
from perilune.model.proposal import Proposal
from perilune.model.spi import IkeSpi
from perilune.model.time import Duration
from perilune.wire.payloads import KePayload, NoncePayload, NotifyPayload, Payload, SaPayload
from support.rng import SeededRng

SEEDS = range(4)
KEM, CURVE = KeId.ML_KEM_768, KeId.CURVE448
TWICE = ike_proposal(additional=((KEM,), (CURVE,)))
CREATE, FOLLOWUP = ExchangeType.CREATE_CHILD_SA, ExchangeType.IKE_FOLLOWUP_KE


def hybrid(*proposals: Proposal, seed: int = 0, settings: EndpointSettings | None = None) -> Pair:
    return Pair(
        left_entry=left(proposals=proposals or (TWICE,)),
        right_entry=right(proposals=proposals or (TWICE,)),
        left_settings=settings,
        right_settings=settings,
        seed=seed,
    )


def rekey(side: Side, pair: Pair) -> None:
    pair.do(lambda now: side.endpoint.rekey_ike("gw", now))


def assert_one_ike_sa_remains(pair: Pair, old: IkeSpi) -> None:
    pair.run(Duration.seconds(150))
    for side in pair.sides:
        assert len(side.ike_sas) == 1, side.ike_sas
        assert side.ike_sa.name.spi_i != old
        assert side.ike_sa.suite
        assert side.ike_sa.suite.additional_key_exchanges == (KEM, CURVE)
        assert len(side.children) == 1
        assert len(side.sas(Direction.INBOUND)) == 1
    pair.check_agreement()
    # The keys are the same on both sides, for a child made with them too.
    pair.do(lambda now: pair.left.endpoint.rekey_child("net", now))
    pair.settle()
    pair.check_agreement()
    assert pair.send_packet(pair.left)
    assert pair.send_packet(pair.right)


@pytest.mark.parametrize("who", ["left", "right"])
def test_rekeyed_with_all_key_exchanges(who: str) -> None:
    pair = hybrid()
    pair.establish()
    old, sent = pair.left.ike_sa.name.spi_i, len(pair.link.sent)
    rekey(getattr(pair, who), pair)
    pair.settle()
    kinds = [d.header.exchange_type for d in pair.link.sent[sent:]]
    # ML-KEM may take more than one datagram.
    assert list(dict.fromkeys(kinds)) == [CREATE, FOLLOWUP, ExchangeType.INFORMATIONAL]
    numbers = {d.header.message_id for d in pair.link.sent[sent:] if d.header.exchange_type == FOLLOWUP}
    assert len(numbers) == 2
    for side in pair.sides:
        assert len(side.all(IkeSaRekeyed)) == 1
        assert not side.has(Refused)
    assert_one_ike_sa_remains(pair, old)


@pytest.mark.parametrize("fault", ["drop", "duplicate", "corrupt"])
@pytest.mark.parametrize("nth", range(1, 9))
def test_any_message_may_be_lost_or_come_twice(nth: int, fault: str) -> None:
    pair = hybrid()
    pair.establish()
    old = pair.left.ike_sa.name.spi_i
    getattr(pair.link, fault)(nth)
    rekey(pair.left, pair)
    assert_one_ike_sa_remains(pair, old)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ms", [0, 1, 9, 10, 11, 15, 19, 21, 29, 31, 39, 41, 45, 55, 59, 61])
def test_both_sides_rekey(seed: int, ms: int) -> None:
    pair = hybrid(seed=seed)
    pair.establish()
    old = pair.left.ike_sa.name.spi_i
    rekey(pair.left, pair)
    pair.run(Duration.milliseconds(ms))
    rekey(pair.right, pair)
    assert_one_ike_sa_remains(pair, old)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("nth", range(2, 12))
def test_any_message_of_a_collision_may_be_lost(seed: int, nth: int) -> None:
    pair = hybrid(seed=seed)
    pair.establish()
    old = pair.left.ike_sa.name.spi_i
    pair.link.drop(nth)
    rekey(pair.left, pair)
    rekey(pair.right, pair)
    assert_one_ike_sa_remains(pair, old)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("nth", range(1, 9))
def test_reordered_messages_of_a_collision(seed: int, nth: int) -> None:
    pair = hybrid(seed=seed)
    pair.establish()
    old = pair.left.ike_sa.name.spi_i
    pair.link.hold(nth, Duration.milliseconds(35))
    rekey(pair.left, pair)
    rekey(pair.right, pair)
    assert_one_ike_sa_remains(pair, old)


@pytest.mark.parametrize("ms", [0, 5, 15, 25, 35, 45])
@pytest.mark.parametrize("who", ["left", "right"])
def test_child_is_rekeyed_meanwhile(who: str, ms: int) -> None:
    pair = hybrid()
    pair.establish()
    old = pair.left.ike_sa.name.spi_i
    rekey(pair.left, pair)
    pair.run(Duration.milliseconds(ms))
    pair.do(lambda now: getattr(pair, who).endpoint.rekey_child("net", now))
    assert_one_ike_sa_remains(pair, old)


@pytest.mark.parametrize("ms", [15, 25, 35])
@pytest.mark.parametrize("who", ["left", "right"])
def test_close_in_the_middle(who: str, ms: int) -> None:
    pair = hybrid()
    pair.establish()
    rekey(pair.left, pair)
    pair.run(Duration.milliseconds(ms))
    pair.do(lambda now: getattr(pair, who).endpoint.terminate_ike("gw", now))
    pair.run(Duration.seconds(60))
    for side in pair.sides:
        assert not side.ike_sas
        assert not side.data_plane.sas
        assert side.take(IkeSaDown).reason in {DownReason.LOCAL, DownReason.PEER}


def test_peer_without_additional_key_exchanges() -> None:
    plain = ike_proposal(bits=128)
    pair = Pair(left_entry=left(proposals=(TWICE, plain)), right_entry=right(proposals=(plain,)))
    pair.establish()
    for side in pair.sides:
        old = side.ike_sa.name.spi_i
        rekey(side, pair)
        pair.run(Duration.seconds(1))
        assert side.ike_sa.name.spi_i != old
    pair.check_agreement()


class Rekeyer(Insider):
    """An insider that begins to rekey the IKE SA."""

    def __init__(self) -> None:
        super().__init__(hybrid(settings=EndpointSettings(export_keys=True)))
        self.next_id = 4

    def begin(self) -> bytes:
        """Send CREATE_CHILD_SA and return the link to what follows."""
        begun = KeyExchange.begin(KeId.CURVE25519, SeededRng(5))
        offer = SaPayload((TWICE.with_spi(bytes(7) + b"\1", 1),))
        answer = self.create_child_sa(offer, NoncePayload(bytes(32)), KePayload(begun.method, begun.share))
        assert answer is not None
        return next(p.data for p in answer if isinstance(p, NotifyPayload))

    def follow(self, link: bytes, method: KeId) -> tuple[Payload, ...] | None:
        share = KeyExchange.begin(method, SeededRng(6)).share
        notify = NotifyPayload(NotifyType.ADDITIONAL_KEY_EXCHANGE, link)
        return self.request(FOLLOWUP, (KePayload(method, share), notify))


STATE_NOT_FOUND = (NotifyPayload(NotifyType.STATE_NOT_FOUND),)


def test_unknown_link() -> None:
    insider = Rekeyer()
    assert insider.follow(b"what is this", KEM) == STATE_NOT_FOUND
    link = insider.begin()
    assert insider.follow(link[:-1], KEM) == STATE_NOT_FOUND
    answer = insider.follow(link, KEM)
    assert answer is not None
    assert isinstance(answer[0], KePayload)
    # Each link serves once.
    assert insider.follow(link, CURVE) == STATE_NOT_FOUND
    assert len(insider.pair.right.ike_sas) == 1


def test_state_is_dropped_in_time() -> None:
    insider = Rekeyer()
    link = insider.begin()
    insider.pair.run(Duration.seconds(21))
    assert insider.follow(link, KEM) == STATE_NOT_FOUND
    assert len(insider.pair.right.children) == 1


def test_we_wait_for_a_peer_that_does_not_go_on() -> None:
    insider = Rekeyer()
    insider.begin()
    sent = len(insider.pair.link.sent)
    insider.pair.do(lambda now: insider.pair.right.endpoint.rekey_child("net", now))
    insider.pair.run(Duration.seconds(19))
    assert len(insider.pair.link.sent) == sent
    insider.pair.run(Duration.seconds(2))
    assert insider.asked()[0].exchange_type == CREATE


def test_another_method_than_was_chosen_is_fatal() -> None:
    insider = Rekeyer()
    link = insider.begin()
    assert insider.follow(link, KeId.ML_KEM_1024) == (NotifyPayload(NotifyType.INVALID_SYNTAX),)
    assert not insider.pair.right.ike_sas
