"""Tables of an endpoint: policies, SPIs, timeouts, wishes, half-open IKE SAs and the PAD."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.settings import child, host, left, secret, selectors
from perilune.databases.changes import AddPolicy, RemovePolicy
from perilune.databases.pad import HostName, SharedSecret
from perilune.databases.spd import IcmpErrors, PolicyId
from perilune.ike.events import PathWanted
from perilune.ike.half_open import HalfOpenTable
from perilune.ike.names import IkeName
from perilune.ike.outbox import Outbox
from perilune.ike.peer_lookup import Pad
from perilune.ike.policies import PolicyTable, PolicyWish
from perilune.ike.reconnection import Wishes
from perilune.ike.registry import Registry
from perilune.ike.settings import EndpointSettings
from perilune.ike.spis import SpiRegistry
from perilune.ike.timers import IkeTimers
from perilune.model.address import Endpoint, Path
from perilune.model.errors import PeerError
from perilune.model.iana import AuthMethod
from perilune.model.identity import Identity
from perilune.model.spi import IkeSpi, Spi
from perilune.model.time import Duration, Instant
from support.rng import ScriptedRng, SeededRng

NOW = Instant(10**9)
REMOTE = ip_address("198.51.100.1")


def wish(name: str = "net", remote: str = "10.2.0.0/16", *, acquires: bool = False) -> PolicyWish:
    policy = child(name)
    return PolicyWish.of_child("gw", policy, selectors("10.1.0.0/16"), selectors(remote), acquires=acquires)


def test_policy_stays_for_as_long_as_somebody_holds_it() -> None:
    outbox = Outbox(4500)
    table = PolicyTable(outbox)
    one, two = table.hold(wish()), table.hold(wish())
    assert one == two
    table.release(one)
    assert [type(change) for change in outbox.take_changes()] == [AddPolicy]
    table.release(two)
    assert outbox.take_changes() == [RemovePolicy(one)]
    assert table.find(one) is None


@pytest.mark.parametrize("carried", IcmpErrors)
def test_the_entry_of_a_child_carries_its_icmp_errors(carried: IcmpErrors) -> None:
    policy = child("net", icmp_errors=carried)
    net = selectors("10.1.0.0/16")
    assert (
        PolicyWish.of_child("gw", policy, net, net, acquires=False).entry(PolicyId(1)).icmp_errors is carried
    )


def test_child_serves_the_trap_that_covers_it() -> None:
    table = PolicyTable(Outbox(4500))
    table.configure([wish(acquires=True)])
    trap = table.hold(wish(remote="10.2.3.0/24"))
    assert table.find(trap) == wish(acquires=True)
    assert table.hold(wish(remote="10.3.0.0/16")) != trap
    assert table.hold(wish("other", "10.2.3.0/24")) != trap


def test_priority_puts_narrow_before_wide() -> None:
    assert wish(remote="10.2.3.0/24").priority < wish().priority < wish(remote="0.0.0.0/0").priority


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=40))
def test_policies_installed_are_those_held(steps: list[tuple[bool, int]]) -> None:
    outbox = Outbox(4500)
    table = PolicyTable(outbox)
    held: list[tuple[int, object]] = []
    for hold, which in steps:
        if hold:
            held.append((which, table.hold(wish(remote=f"10.{which}.0.0/16"))))
        elif held:
            table.release(held.pop(which % len(held))[1])  # type: ignore[arg-type] # it came from hold
    installed: set[object] = set()
    for change in outbox.take_changes():
        if isinstance(change, AddPolicy):
            installed.add(change.entry.id)
        elif isinstance(change, RemovePolicy):
            installed.remove(change.id)
    assert installed == {id_ for _, id_ in held}


# covers R4303-2.1-2
def test_spis_are_not_reserved_ones_and_not_in_use() -> None:
    rng = ScriptedRng(
        b"\0\0\0\xff", b"\0\0\1\0", b"\0\0\1\0", b"\1\2\3\4", b"\0\0\1\0", bytes(8), b"\0" * 7 + b"\1"
    )
    spis = SpiRegistry(rng)
    assert spis.take_inbound() == 256
    assert spis.take_inbound() == 0x01020304
    spis.give_back_inbound(Spi(256))
    assert spis.take_inbound() == 256
    assert spis.new_ike_spi() == 1


def test_spis_of_manual_sas_are_left_alone() -> None:
    spis = SpiRegistry(ScriptedRng(b"\0\0\1\0", b"\0\0\1\1", b"\0\0\1\0"))
    spis.leave_alone(frozenset({Spi(256)}))
    assert spis.take_inbound() == 257
    spis.leave_alone(frozenset())
    assert spis.take_inbound() == 256


def test_outbound_spi_is_unique_with_the_address() -> None:
    spis, other = SpiRegistry(SeededRng()), ip_address("198.51.100.2")
    spis.take_outbound(Spi(1000), REMOTE)
    spis.take_outbound(Spi(1000), other)
    for spi in (1000, 255):
        with pytest.raises(PeerError):
            spis.take_outbound(Spi(spi), REMOTE)
    assert not spis.move_outbound(Spi(1000), REMOTE, other)
    assert spis.move_outbound(Spi(1000), REMOTE, REMOTE)
    spis.give_back_outbound(Spi(1000), other)
    assert spis.move_outbound(Spi(1000), REMOTE, other)
    spis.take_outbound(Spi(1000), REMOTE)


@dataclass
class Alarm:
    """A conversation that only has a time."""

    local_spi: IkeSpi
    at: Instant | None

    @property
    def name(self) -> IkeName:
        return IkeName("", 0, self.local_spi, self.local_spi)

    def next_timeout(self) -> Instant | None:
        return self.at

    def status(self) -> None:
        return None


@given(st.lists(st.tuples(st.integers(1, 4), st.none() | st.integers(0, 20)), max_size=30))
def test_next_timeout_is_the_earliest_of_all(steps: list[tuple[int, int | None]]) -> None:
    registry, alarms = Registry(), {}
    for spi, ns in steps:
        alarm = alarms.setdefault(spi, Alarm(IkeSpi(spi), None))
        alarm.at = None if ns is None else Instant(ns)
        registry.put(alarm)
        times = [alarm.at for alarm in alarms.values() if alarm.at is not None]
        assert registry.next_timeout() == min(times, default=None)
    due = list(registry.take_due(Instant(10)))
    assert {alarm.local_spi for alarm in due} == {
        alarm.local_spi for alarm in alarms.values() if alarm.at is not None and alarm.at <= Instant(10)
    }
    assert len(due) == len({alarm.local_spi for alarm in due})
    # What was not moved on is due again.
    assert {alarm.local_spi for alarm in registry.take_due(Instant(10))} == {a.local_spi for a in due}


def test_timeouts_that_were_put_off_take_no_room() -> None:
    """One that comes near and goes far again, as with each request, leaves its far time in the queue."""
    registry, alarms = Registry(), [Alarm(IkeSpi(spi), Instant(10**15)) for spi in range(1, 11)]
    for alarm in alarms:
        registry.put(alarm)
    tracemalloc.start()
    for ns in range(20_000):
        alarm = alarms[ns % 10]
        for at in (Instant(ns), Instant(10**15)):
            alarm.at = at
            registry.touch(alarm)
            assert registry.next_timeout() == at
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


def test_wish_waits_longer_each_time_and_ends_when_it_is_fulfilled() -> None:
    outbox = Outbox(4500)
    wishes, key, now = Wishes(outbox, IkeTimers()), ("gw", "net"), NOW
    wishes.want(key, now)
    waits: list[float] = []
    for _ in range(9):
        wishes.handle_timeout(now)
        assert outbox.take_events() == [PathWanted(*key)]
        wishes.under_way(key)
        assert wishes.next_timeout() is None
        wishes.failed(key, now)
        at = wishes.next_timeout()
        assert at is not None
        waits.append((at - now).in_seconds)
        now = at
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    wishes.fulfilled(key)
    assert wishes.next_timeout() is None
    wishes.failed(key, now)
    assert wishes.next_timeout() is None


def test_cookies_are_good_for_two_periods() -> None:
    table = HalfOpenTable(EndpointSettings(), SeededRng())
    cookie = table.cookie(b"n" * 16, REMOTE, IkeSpi(1), NOW)
    for seconds, good in ((0, True), (59, True), (61, True), (130, False)):
        now = NOW + Duration.seconds(seconds)
        assert table.accepts(cookie, b"n" * 16, REMOTE, IkeSpi(1), now) == good
    assert not table.accepts(cookie, b"m" * 16, REMOTE, IkeSpi(1), NOW)


def test_secret_behind_cookies_changes_with_each_period() -> None:
    table = HalfOpenTable(EndpointSettings(), SeededRng())
    cookies = [
        table.cookie(b"n" * 16, REMOTE, IkeSpi(1), NOW + Duration.seconds(seconds))
        for seconds in (0, 59, 61, 119, 123)
    ]
    assert cookies[0] == cookies[1]
    assert cookies[2] == cookies[3]
    assert len(set(cookies)) == 3


def pad() -> Pad:
    return Pad(
        (
            left(name="any", remote_addrs=(HostName("peer.example"),), remote_id=None),
            left(name="one", remote_addrs=host("198.51.100.1")),
            left(name="elsewhere", remote_addrs=host("203.0.113.1")),
        ),
        (
            secret("for all"),
            SharedSecret(secret("right's").secret, (Identity.parse("right.example"),)),
            SharedSecret(
                secret("theirs").secret, (Identity.parse("right.example"), Identity.parse("left.example"))
            ),
        ),
    )


def path() -> Path:
    return Path(Endpoint(ip_address("192.0.2.1"), 500), Endpoint(REMOTE, 500))


def test_entries_that_name_the_address_most_exactly_come_first() -> None:
    assert [entry.name for entry in pad().candidates(path())] == ["one", "any"]


def test_entry_that_names_the_identity_comes_before_one_that_takes_any() -> None:
    candidates = pad().candidates(path())
    right, stranger = Identity.parse("right.example"), Identity.parse("stranger.example")
    assert pad().entry_of(candidates, right, None, path(), AuthMethod.SHARED_KEY_MIC).name == "one"
    assert pad().entry_of(candidates, stranger, None, path(), AuthMethod.SHARED_KEY_MIC).name == "any"
    assert (
        pad()
        .entry_of(candidates, right, Identity.parse("left.example"), path(), AuthMethod.SHARED_KEY_MIC)
        .name
        == "one"
    )
    with pytest.raises(PeerError, match="asks for"):
        pad().entry_of(candidates, right, stranger, path(), AuthMethod.SHARED_KEY_MIC)


def test_secret_of_both_identities_fits_better_than_that_of_one_or_of_all() -> None:
    left_id, right_id = Identity.parse("left.example"), Identity.parse("right.example")
    assert pad().secret(left_id, right_id).secret == secret("theirs").secret
    assert pad().secret(Identity.parse("x.example"), right_id).secret == secret("right's").secret
    assert pad().secret(left_id, Identity.parse("x.example")).secret == secret("for all").secret
    with pytest.raises(PeerError, match="no secret"):
        Pad().secret(left_id, right_id)
