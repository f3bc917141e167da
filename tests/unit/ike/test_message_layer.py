"""Message IDs, retransmission, fragments and rate limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perilune.ike.message_window import MessageWindow, Place
from perilune.ike.rate_limit import RateLimit
from perilune.ike.reassembly import MAX_FRAGMENTS, MAX_OCTETS, Reassembly, Whole
from perilune.ike.retransmission import Retransmission
from perilune.ike.timers import IkeTimers, random_below
from perilune.model.iana import ExchangeType
from perilune.model.time import Duration, Instant
from perilune.wire.payloads import EncryptedFragment
from support.rng import SeededRng

NOW = Instant(10**9)


def test_window_accepts_the_next_request_and_remembers_one_answer() -> None:
    window = MessageWindow(next_expected=1)
    assert window.place_of_request(1) is Place.NEXT
    window.answered(1, (b"answer",))
    assert [window.place_of_request(number) for number in (0, 1, 2, 3)] == [
        Place.OUTSIDE,
        Place.ANSWERED,
        Place.NEXT,
        Place.OUTSIDE,
    ]


def test_window_knows_the_one_response_it_waits_for() -> None:
    window = MessageWindow(next_request=1)
    assert window.begin(ExchangeType.IKE_AUTH) == 1
    assert window.awaits(1, ExchangeType.IKE_AUTH)
    assert not window.awaits(1, ExchangeType.INFORMATIONAL)
    assert not window.awaits(0, ExchangeType.IKE_AUTH)
    window.close_pending()
    assert not window.awaits(1, ExchangeType.IKE_AUTH)
    assert window.begin(ExchangeType.INFORMATIONAL) == 2


def test_window_is_spent_long_before_the_counter_wraps() -> None:
    assert not MessageWindow(next_request=2**31 - 1).is_spent
    assert MessageWindow(next_request=2**31).is_spent
    assert MessageWindow(next_expected=2**31).is_spent


def test_waits_grow_and_end() -> None:
    timers = IkeTimers(retransmit_limit=Duration.seconds(30))
    state: Retransmission | None = Retransmission.begin((b"request",), Instant(0), timers)
    waits: list[float] = []
    now = Instant(0)
    while state is not None:
        waits.append((state.at - now).in_seconds)
        now = state.at
        assert state.datagrams == (b"request",)
        state = state.again(now, timers)
    assert waits == pytest.approx([4, 7.2, 12.96, 23.328, 30, 30])


def fragment(number: int, total: int) -> EncryptedFragment:
    return EncryptedFragment(33 if number == 1 else 0, number, total, b"")


def add(reassembly: Reassembly, piece: EncryptedFragment, octets: bytes, now: Instant) -> Whole | None:
    prefix = f"prefix {piece.number}".encode()
    return reassembly.add(7, piece, Whole(prefix, piece.inner_type, octets), now)


@given(st.permutations(range(1, 6)))
def test_fragments_in_any_order_make_the_message(order: list[int]) -> None:
    reassembly = Reassembly(Duration.seconds(15))
    results = []
    for number in order:
        assert reassembly.wants(7, fragment(number, 5), NOW)
        results.append(add(reassembly, fragment(number, 5), bytes((number,)), NOW))
    assert results[:-1] == [None] * 4
    assert results[-1] == Whole(b"prefix 1", 33, b"\1\2\3\4\5")


def test_fragment_that_is_here_or_of_fewer_is_not_wanted() -> None:
    reassembly = Reassembly(Duration.seconds(15))
    add(reassembly, fragment(2, 3), b"two", NOW)
    assert not reassembly.wants(7, fragment(2, 3), NOW)
    assert not reassembly.wants(7, fragment(1, 2), NOW)
    assert reassembly.wants(7, fragment(1, 3), NOW)
    assert reassembly.wants(7, fragment(2, 4), NOW)


def test_more_fragments_begin_reassembly_anew() -> None:
    reassembly = Reassembly(Duration.seconds(15))
    add(reassembly, fragment(1, 2), b"old", NOW)
    assert add(reassembly, fragment(1, 3), b"a", NOW) is None
    assert add(reassembly, fragment(2, 3), b"b", NOW) is None
    assert add(reassembly, fragment(3, 3), b"c", NOW) == Whole(b"prefix 1", 33, b"abc")


def test_old_fragments_are_forgotten() -> None:
    reassembly = Reassembly(Duration.seconds(15))
    add(reassembly, fragment(1, 2), b"a", NOW)
    later = NOW + Duration.seconds(16)
    assert reassembly.wants(7, fragment(1, 2), later)
    assert add(reassembly, fragment(2, 2), b"b", later) is None
    assert add(reassembly, fragment(1, 2), b"a", later) == Whole(b"prefix 1", 33, b"ab")


def test_memory_for_fragments_is_bounded() -> None:
    reassembly = Reassembly(Duration.seconds(15))
    assert not reassembly.wants(7, fragment(1, MAX_FRAGMENTS + 1), NOW)
    half = bytes(MAX_OCTETS // 2 + 1)
    assert add(reassembly, fragment(1, 3), half, NOW) is None
    assert add(reassembly, fragment(2, 3), half, NOW) is None
    assert reassembly.wants(7, fragment(1, 3), NOW)


def test_rate_limit_allows_a_burst_and_then_one_in_a_period() -> None:
    limit = RateLimit(burst=3, period=Duration.seconds(1))
    assert [limit.allow(NOW) for _ in range(4)] == [True, True, True, False]
    assert not limit.allow(NOW + Duration.milliseconds(900))
    assert limit.allow(NOW + Duration.seconds(1))
    assert not limit.allow(NOW + Duration.seconds(1))
    assert [limit.allow(NOW + Duration.seconds(100)) for _ in range(4)] == [True, True, True, False]


@given(st.integers(0, 10**12), st.integers(0, 1000))
def test_jitter_stays_within_its_limit(limit: int, seed: int) -> None:
    assert 0 <= random_below(Duration(limit), SeededRng(seed)).ns <= limit
