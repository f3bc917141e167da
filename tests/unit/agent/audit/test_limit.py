"""What a flood leaves in the audit log."""

from __future__ import annotations

from perilune.agent.audit.limit import RateLimit
from perilune.model.time import Duration, Instant

START = Instant(5_000_000_000)


def test_ten_of_a_kind_pass_in_a_second_and_the_rest_are_counted() -> None:
    limit = RateLimit()
    passed = [limit.allows("refused", START) for _ in range(25)]
    assert passed == [True] * 10 + [False] * 15
    assert limit.allows("authentication_failed", START)
    assert limit.allows("refused", START + Duration.seconds(1))
    assert limit.take_suppressed() == {"refused": 15}
    assert limit.take_suppressed() == {}
