"""How long things last in IKE."""

from __future__ import annotations

from dataclasses import dataclass

from perilune.model.random import Rng
from perilune.model.time import ZERO, Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class IkeTimers:
    """Timers of every IKE SA of an endpoint; what differs by peer is in its `PadEntry`."""

    retransmit_first: Duration = Duration.seconds(4)
    """Wait before the first retransmission (RFC 7296, section 2.4)."""

    retransmit_base: float = 1.8
    """Each wait is so many times the one before."""

    retransmit_tries: int = 5
    """Retransmissions of a request before its peer counts as lost."""

    retransmit_limit: Duration = ZERO
    """Longest wait between two retransmissions; zero is no such limit."""

    half_open: Duration = Duration.seconds(30)
    """How long a responder waits for IKE_AUTH."""

    keepalive: Duration = Duration.seconds(20)
    """Silence after which a NAT's mapping is refreshed (RFC 3948, section 4); zero never refreshes."""

    child_linger: Duration = Duration.seconds(5)
    """How long packets are still received on a Child SA that was rekeyed and deleted."""

    followup: Duration = Duration.seconds(20)
    """How long the next IKE_FOLLOWUP_KE is waited for (RFC 9370, section 2.2.4)."""

    ike_linger: Duration = Duration.seconds(30)
    """How long a closed IKE SA repeats its last answer, and a rekeyed one waits to be closed."""

    refusal: Duration = Duration.seconds(2)
    """After an unprotected refusal, how long a better answer is waited for (RFC 7296, section 2.21.1)."""

    retry: Duration = Duration.seconds(10)
    """Wait after TEMPORARY_FAILURE or a failed rekeying (RFC 7296, section 2.25); up to half is added."""

    reassembly: Duration = Duration.seconds(15)
    """Age at which the fragments of an incomplete message are forgotten (RFC 7383, section 2.6)."""

    reconnect_first: Duration = Duration.seconds(1)
    """Wait before a lost or refused child that is to be up is tried for the first time; it doubles."""

    reconnect_longest: Duration = Duration.seconds(60)
    """Longest wait between two such tries."""

    cookie_secret: Duration = Duration.seconds(60)
    """Age at which the secret behind cookies is replaced; its cookies are good for one period more."""

    def retransmit_wait(self, attempt: int) -> Duration:
        """Return the wait behind the transmission with a number, counted from 0."""
        wait = self.retransmit_first * self.retransmit_base**attempt
        return min(wait, self.retransmit_limit) if self.retransmit_limit else wait


def random_below(limit: Duration, rng: Rng) -> Duration:
    """Return a random duration from nothing to `limit`; nothing of the generator is used where that is 0."""
    return Duration(random_number(limit.ns, rng))


def random_number(limit: int, rng: Rng) -> int:
    """Return a random number from 0 to `limit`, for jitter."""
    if limit <= 0:
        return 0
    return int.from_bytes(rng.octets(8)) * (limit + 1) >> 64
