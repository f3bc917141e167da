"""The driver between real IKE endpoints and data planes that record: what goes where, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest

from perilune.config.load import load_text
from perilune.databases.changes import AddPolicy, AddSa, Change, RemovePolicy
from perilune.databases.sad import Direction
from perilune.databases.spd import PolicyId
from perilune.dataplane.events import (
    Acquire,
    Audit,
    DeviceLost,
    Flow,
    HardExpire,
    IkeDatagram,
    Limit,
    SequenceExhausted,
    SoftExpire,
    UnknownSpi,
)
from perilune.dataplane.recorder import Recorder
from perilune.ike.endpoint import IkeEndpoint
from perilune.ike.events import ChildSaDown, ChildSaRekeyed, ChildSaUp, DownReason, IkeEvent, IkeSaDown
from perilune.ike.settings import EndpointSettings
from perilune.ike.timers import IkeTimers
from perilune.model.address import Endpoint, Path
from perilune.model.errors import LocalError, ResourceError
from perilune.model.spi import Spi
from perilune.model.time import Duration, Instant
from perilune.shell.clock import MonotonicClock
from perilune.shell.driver import Driver, Observer, audit_text
from support.nodes import CONFIG as CONFIG_OF_ONE_END
from support.rng import SeededRng

CONFIG = CONFIG_OF_ONE_END.replace("    id = sun\n    secret", "    secret")
MIRRORED = (
    CONFIG.replace("local {", "mine {")
    .replace("remote {", "local {")
    .replace("mine {", "remote {")
    .replace("local_", "mine_")
    .replace("remote_", "local_")
    .replace("mine_", "remote_")
    .replace("start_action = trap", "start_action = none")
)
PATH = Path(Endpoint(ip_address("192.0.2.1"), 500), Endpoint(ip_address("192.0.2.2"), 500))
PATIENCE = Duration.seconds(60)


class Side(Observer):
    """An endpoint, its driver, its data plane, and everything in the order in which it happened."""

    def __init__(self, config: str, seed: int, first_wait: Duration) -> None:
        self.order: list[str] = []
        self.told: list[IkeEvent] = []
        self.acquired: list[Acquire] = []
        self.lost: list[DeviceLost] = []
        # Real time passes here: nothing is repeated soon, and nobody is given up on a busy machine.
        timers = IkeTimers(retransmit_first=first_wait, retransmit_tries=10)
        self.endpoint = IkeEndpoint(EndpointSettings(timers=timers), SeededRng(seed))
        self.plane = NotingRecorder(self.order)
        self.driver = Driver(self.endpoint, self.plane, self, MonotonicClock())
        settings = load_text(config)
        self.endpoint.load(settings.connections[:1], settings.secrets, MonotonicClock().now())

    def on_ike_event(self, event: IkeEvent) -> None:
        self.order.append(type(event).__name__)
        self.told.append(event)

    def on_acquire(self, event: Acquire) -> None:
        self.acquired.append(event)

    def on_device_lost(self, event: DeviceLost) -> None:
        self.lost.append(event)

    def on_changes(self, changes: Sequence[Change]) -> None:
        self.order += [f"routes for {type(change).__name__}" for change in changes]


class NotingRecorder(Recorder):
    """A recorder that can be made to refuse."""

    def __init__(self, order: list[str]) -> None:
        super().__init__()
        self._order = order
        self.refuses: Callable[[Change], bool] = lambda _change: False
        self.is_deaf = False
        self.has_sent = asyncio.Event()

    def apply(self, changes: Sequence[Change], now: Instant) -> None:
        if any(map(self.refuses, changes)):
            raise LocalError("not this one")
        super().apply(changes, now)
        self._order += [type(change).__name__ for change in changes]

    def send_ike(self, message: bytes, path: Path, *, encapsulated: bool) -> None:
        if self.is_deaf:
            raise ResourceError("the network is down")
        self._order.append("datagram")
        self.has_sent.set()
        super().send_ike(message, path, encapsulated=encapsulated)


class Pair:
    """Two sides; `settle` carries datagrams until none is left."""

    def __init__(self, first_wait: Duration = PATIENCE) -> None:
        self.a, self.b = Side(CONFIG, 1, first_wait), Side(MIRRORED, 2, first_wait)
        self.a.driver.start()
        self.b.driver.start()

    async def settle(self) -> None:
        idle = 0
        for _ in range(100):
            moved = [self._carry(one, other) for one, other in ((self.a, self.b), (self.b, self.a))]
            idle = 0 if any(moved) else idle + 1
            if idle > 2:
                return
            await asyncio.sleep(0)  # for the readers of both data planes
            await asyncio.sleep(0)
        raise AssertionError("they never come to rest")

    @staticmethod
    def _carry(one: Side, other: Side) -> bool:
        sent, one.plane.sent = one.plane.sent, []
        for datagram in sent:
            if datagram.message is not None:
                path = Path(datagram.path.remote, datagram.path.local)
                other.plane.tell(IkeDatagram(path, datagram.message, datagram.encapsulated))
        return bool(sent)

    async def establish(self) -> None:
        self.a.endpoint.initiate("gw", "net", PATH, MonotonicClock().now())
        self.a.driver.drain()
        await self.settle()

    def close(self) -> None:
        for side in (self.a, self.b):
            side.driver.stop()
            side.plane.close()


def run(scenario: Callable[[Pair], Awaitable[None]], first_wait: Duration = PATIENCE) -> None:
    async def inside() -> None:
        pair = Pair(first_wait)
        try:
            await scenario(pair)
        finally:
            pair.close()

    asyncio.run(inside())


def test_responder_can_receive_and_route_before_it_answers() -> None:
    async def scenario(pair: Pair) -> None:
        await pair.establish()
        # a slow machine may have sent the first response twice; events are told behind what was sent
        told = pair.b.order.index("MessageReceived", pair.b.order.index("MessageReceived") + 1)
        answer = max(place for place, what in enumerate(pair.b.order[:told]) if what == "datagram")
        assert pair.b.order.index("AddSa") < pair.b.order.index("routes for AddSa") < answer
        assert pair.b.order.index("ChildSaUp") > answer
        assert len(pair.a.plane.sas) == len(pair.b.plane.sas) == 2

    run(scenario)


@pytest.mark.parametrize("name", ["a", "b"])
def test_routes_are_there_before_an_sa_receives(name: str) -> None:
    """What the SA lets in is answered, and the answer must not find the way into the clear."""

    async def scenario(pair: Pair) -> None:
        await pair.establish()
        order = {"a": pair.a, "b": pair.b}[name].order
        steps = [order.index(step) for step in ("AddPolicy", "routes for AddPolicy", "AddSa")]
        assert steps == sorted(steps)

    run(scenario)


def test_policies_and_lifetimes_follow_the_data_plane() -> None:
    async def scenario(pair: Pair) -> None:
        await pair.establish()
        assert [entry.name for entry in pair.a.driver.policies.values()] == ["gw/net", "gw/voice"]
        (spi,) = pair.a.driver.lifetimes
        assert pair.a.driver.lifetimes[spi].soft.time is not None

        pair.a.endpoint.terminate_ike("gw", MonotonicClock().now())
        pair.a.driver.drain()
        await pair.settle()
        assert len(pair.a.plane.sas) == len(pair.b.plane.sas) == 0
        assert pair.a.driver.lifetimes == pair.b.driver.lifetimes == {}
        assert not any(entry.acquires for entry in pair.b.driver.policies.values())
        assert any(isinstance(event, IkeSaDown) for event in pair.b.told)

    run(scenario)


def test_soft_and_hard_limits_reach_the_endpoint() -> None:
    async def scenario(pair: Pair) -> None:
        await pair.establish()
        up = next(event for event in pair.a.told if isinstance(event, ChildSaUp))
        policy = next(iter(pair.a.driver.policies))
        spis = (up.child.spi_in, up.child.spi_out)
        pair.a.plane.tell(SoftExpire(Direction.INBOUND, *spis, policy, Limit.PACKETS))
        await pair.settle()
        rekeyed = next(event for event in pair.a.told if isinstance(event, ChildSaRekeyed))

        spis = (rekeyed.new.spi_out, rekeyed.new.spi_in)
        pair.a.plane.tell(HardExpire(Direction.OUTBOUND, *spis, policy, Limit.OCTETS))
        await pair.settle()
        down = next(event for event in pair.a.told if isinstance(event, ChildSaDown))
        assert (down.child.id, down.reason) == (rekeyed.new.id, DownReason.EXPIRED)

    run(scenario)


def test_end_of_an_outbound_sa_is_not_that_of_another_with_the_same_spi() -> None:
    """Outbound SPIs are the peers' choices, and one peer can see another's on the wire."""

    async def scenario(pair: Pair) -> None:
        await pair.establish()
        up = next(event for event in pair.a.told if isinstance(event, ChildSaUp))
        policy = next(iter(pair.a.driver.policies))
        others = Spi(up.child.spi_in ^ 1)
        pair.a.plane.tell(HardExpire(Direction.OUTBOUND, up.child.spi_out, others, policy, Limit.TIME))
        pair.a.plane.tell(SequenceExhausted(up.child.spi_out, others, policy))
        await pair.settle()
        assert not any(isinstance(event, ChildSaDown) for event in pair.a.told)

    run(scenario)


def test_change_that_is_refused_does_not_keep_the_others_out() -> None:
    async def scenario(pair: Pair) -> None:
        def is_outbound(change: Change) -> bool:
            return isinstance(change, AddSa) and change.entry.direction is Direction.OUTBOUND

        pair.a.plane.refuses = is_outbound
        await pair.establish()
        assert {entry.direction for entry in pair.a.plane.sas.values()} == {Direction.INBOUND}
        assert pair.a.driver.failures["change refused"] == 1

    run(scenario)


def test_datagram_that_cannot_be_sent_is_counted_and_sent_again() -> None:
    async def scenario(pair: Pair) -> None:
        pair.a.plane.is_deaf = True
        await pair.establish()
        assert pair.a.driver.failures["datagram not sent"] >= 1

        pair.a.plane.is_deaf = False
        async with asyncio.timeout(PATIENCE.in_seconds):
            await pair.a.plane.has_sent.wait()
        await pair.settle()
        assert any(isinstance(event, ChildSaUp) for event in pair.a.told)

    run(scenario, Duration.milliseconds(20))


def test_what_packets_tell_is_handed_on() -> None:
    async def scenario(pair: Pair) -> None:
        flow = Flow(ip_address("10.1.0.1"), ip_address("10.2.0.1"), 1, None)
        audit = Audit(
            "replay", Instant(0), Spi(1), ip_address("192.0.2.2"), ip_address("192.0.2.1"), 7, 0xABC
        )
        for event in (
            Acquire(PolicyId(1), flow),
            UnknownSpi(Spi(0xBAD), PATH.remote, encapsulated=False),
            audit,
            DeviceLost("perilune0", "it was deleted"),
            IkeDatagram(PATH, b"noise", encapsulated=False),
        ):
            pair.a.plane.tell(event)
        await pair.settle()
        assert pair.a.acquired == [Acquire(PolicyId(1), flow)]
        assert pair.a.lost == [DeviceLost("perilune0", "it was deleted")]
        assert audit_text(audit) == (
            "audit: replay, from 192.0.2.2 to 192.0.2.1, SPI 0x00000001, sequence number 7, flow label 0xabc"
        )
        assert audit_text(replace(audit, spi=None, sequence=None, flow_label=None)) == (
            "audit: replay, from 192.0.2.2 to 192.0.2.1"
        )

    run(scenario)


def test_trap_is_a_policy_without_sas() -> None:
    async def scenario(pair: Pair) -> None:
        entries = [
            change.entry for change in pair.a.plane.transactions[0][1] if isinstance(change, AddPolicy)
        ]
        assert [entry.name for entry in entries if entry.acquires] == ["gw/net"]
        settings = load_text(CONFIG)
        pair.a.endpoint.load((), settings.secrets, MonotonicClock().now())
        pair.a.driver.drain()
        assert pair.a.plane.transactions[-1][1] == tuple(RemovePolicy(entry.id) for entry in entries)
        assert pair.a.driver.policies == {}
        await asyncio.sleep(0)

    run(scenario)
