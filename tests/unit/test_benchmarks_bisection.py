"""The highest rate without loss: found by halving, and never one that was not truly sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bisection import LOSS, Trial, highest_rate


@given(capacity=st.floats(100, 9_000), steps=st.integers(3, 12))
def test_the_rate_of_an_ideal_link_is_found_to_one_step(capacity: float, steps: int) -> None:
    def link(rate: float) -> Trial:
        sent = round(rate * 100)
        return Trial(sent, round(min(rate, capacity) * 100), 100.0)

    found = highest_rate(link, 10_000.0, steps)
    assert capacity - 10_000.0 / 2**steps - 1 <= found <= capacity / (1 - LOSS) + 1


@given(limit=st.floats(100, 4_000))
def test_a_sender_that_cannot_keep_up_shows_no_more_than_it_sent(limit: float) -> None:
    def link(rate: float) -> Trial:
        sent = round(min(rate, limit) * 10)
        return Trial(sent, sent, 10.0)

    found = highest_rate(link, 10_000.0)
    assert 0.85 * limit <= found <= limit + 1


def test_a_link_that_loses_everything_carries_nothing() -> None:
    assert highest_rate(lambda rate: Trial(round(rate), 0, 1.0), 10_000.0) == 0.0
