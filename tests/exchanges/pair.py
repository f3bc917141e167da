"""Two endpoints, a link and a clock that jumps to whatever comes next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, TypeVar

from exchanges.link import Datagram, Link
from exchanges.settings import LEFT, RIGHT, left, right, secret
from exchanges.traffic import Verified, inbound_sa, outbound_sa
from perilune.databases.changes import AddSa, Change, RemovePolicy, RemoveSa
from perilune.databases.pad import PadEntry, SharedSecret
from perilune.databases.sad import Direction, SadEntry
from perilune.databases.spd import SpdTemplate
from perilune.dataplane.recorder import Recorder
from perilune.ike.endpoint import IkeEndpoint
from perilune.ike.events import IkeEvent, PathWanted
from perilune.ike.outbox import Transmit
from perilune.ike.settings import EndpointSettings
from perilune.ike.status import ChildSaStatus, IkeSaStatus
from perilune.model.address import IKE_PORT, NAT_T_PORT, Endpoint, Path
from perilune.model.spi import Spi
from perilune.model.time import Duration, Instant, earliest
from support.rng import SeededRng

E_ = TypeVar("E_")
SaKey = tuple[Direction, Spi]


@dataclass(frozen=True)
class _Expiry:
    at: Instant
    key: SaKey
    spi_in: Spi
    hard: bool


class Side:
    """One endpoint with a data plane that keeps what it is told and expires SAs in time."""

    def __init__(self, address: str, settings: EndpointSettings, seed: int) -> None:
        self.address: Final = ip_address(address)
        self.endpoint = IkeEndpoint(settings, SeededRng(seed))
        self.settings: Final = settings
        self.data_plane = Recorder()
        self.verified = Verified()
        self.events: Final[list[IkeEvent]] = []
        self.keepalives = 0
        self.obeys_wishes = True
        """Whether `PathWanted` is answered, as a driver does."""

        self.peer: Side
        self.remote: Endpoint
        self._expiries: list[_Expiry] = []

    def path(self, port: int = IKE_PORT, remote_port: int = IKE_PORT) -> Path:
        return Path(Endpoint(self.address, port), Endpoint(self.remote.address, remote_port))

    def load(
        self,
        entry: PadEntry,
        secrets: SharedSecret,
        now: Instant,
        *,
        paths: Mapping[str, Path] | None = None,
        policies: Sequence[SpdTemplate] = (),
    ) -> None:
        self.endpoint.load([entry], [secrets], now, paths=paths, policies=policies)

    def all(self, kind: type[E_]) -> list[E_]:
        """Return the events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def take(self, kind: type[E_]) -> E_:
        """Return the one event of a kind, and forget it."""
        found = self.all(kind)
        assert len(found) == 1, f"{len(found)} of {kind.__name__}: {list(map(str, self.events))}"
        self.events.remove(found[0])  # type: ignore[arg-type] # it came from there
        return found[0]

    def has(self, kind: type[object]) -> bool:
        return bool(self.all(kind))

    @property
    def ike_sas(self) -> tuple[IkeSaStatus, ...]:
        return self.endpoint.status().ike_sas

    @property
    def ike_sa(self) -> IkeSaStatus:
        assert len(self.ike_sas) == 1, self.ike_sas
        return self.ike_sas[0]

    @property
    def children(self) -> tuple[ChildSaStatus, ...]:
        return tuple(child for ike in self.ike_sas for child in ike.children)

    @property
    def child(self) -> ChildSaStatus:
        assert len(self.children) == 1, self.children
        return self.children[0]

    def sas(self, direction: Direction) -> dict[Spi, SadEntry]:
        return {e.spi: e for e in self.data_plane.sas.values() if e.direction is direction}

    def next_timeout(self) -> Instant | None:
        return earliest(self.endpoint.next_timeout(), *(expiry.at for expiry in self._expiries))

    def handle_timeout(self, now: Instant) -> None:
        due = [expiry for expiry in self._expiries if expiry.at <= now]
        self._expiries = [expiry for expiry in self._expiries if expiry.at > now]
        for expiry in due:
            self.endpoint.expire(expiry.spi_in, now, hard=expiry.hard)
        timeout = self.endpoint.next_timeout()
        if timeout is not None and timeout <= now:
            self.endpoint.handle_timeout(now)

    def apply(self, changes: list[Change], now: Instant) -> None:
        for change in changes:
            self.data_plane.apply([change], now)
            match change:
                case AddSa(entry):
                    self._schedule(entry, now)
                case RemoveSa() | RemovePolicy():
                    alive = {(e.direction, e.spi) for e in self.data_plane.sas.values()}
                    self._expiries = [expiry for expiry in self._expiries if expiry.key in alive]

    def _schedule(self, entry: SadEntry, now: Instant) -> None:
        for limits, hard in ((entry.lifetime.soft, False), (entry.lifetime.hard, True)):
            if limits.time is not None:
                key = (entry.direction, entry.spi)
                spi_in = entry.spi if entry.direction is Direction.INBOUND else entry.peer_spi
                self._expiries.append(_Expiry(now + limits.time, key, spi_in, hard))


class Pair:
    """A left and a right side with a link between them."""

    def __init__(
        self,
        *,
        left_entry: PadEntry | None = None,
        right_entry: PadEntry | None = None,
        left_settings: EndpointSettings | None = None,
        right_settings: EndpointSettings | None = None,
        left_secret: SharedSecret | None = None,
        right_secret: SharedSecret | None = None,
        addresses: tuple[str, str] = (LEFT, RIGHT),
        seed: int = 0,
    ) -> None:
        self.now = Instant(1_000_000_000)
        self.began_at = self.now
        self.link = Link()
        self.left = Side(addresses[0], left_settings or EndpointSettings(), 2 * seed)
        self.right = Side(addresses[1], right_settings or EndpointSettings(), 2 * seed + 1)
        self.left.peer, self.right.peer = self.right, self.left
        self.left.remote = Endpoint(self.right.address, IKE_PORT)
        self.right.remote = Endpoint(self.left.address, IKE_PORT)
        self.left_entry, self.right_entry = left_entry or left(), right_entry or right()
        self.left_secret, self.right_secret = left_secret or secret(), right_secret or secret()
        self.left.load(self.left_entry, self.left_secret, self.now)
        self.right.load(self.right_entry, self.right_secret, self.now)
        self._watchers: list[Callable[[], None]] = []
        self._drain()

    @property
    def elapsed(self) -> Duration:
        return self.now - self.began_at

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.left, self.right

    def other(self, side: Side) -> Side:
        return side.peer

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call something behind every step."""
        self._watchers.append(watcher)

    def initiate(self, side: Side | None = None, child: str | None = None) -> None:
        side = side or self.left
        side.endpoint.initiate("gw", child, side.path(), self.now)
        self._drain()

    def establish(self) -> None:
        """Bring the left side's first child up."""
        self.initiate()
        self.settle()
        self.check_agreement()
        for side in self.sides:
            side.events.clear()

    def do(self, action: Callable[[Instant], object]) -> None:
        """Call something of an endpoint with the time, and send what comes of it."""
        action(self.now)
        self._drain()

    def settle(self) -> None:
        """Deliver until nothing is in flight and nothing is due at once; no time passes beyond that."""
        self._run(lambda: self.link.next_arrival() is not None or self._due_now())

    def run(self, duration: Duration) -> None:
        """Let time pass."""
        end = self.now + duration
        self._run(lambda: (at := self._next()) is not None and at <= end)
        self.now = end

    def run_until(self, condition: Callable[[], bool], limit: Duration = Duration.seconds(3600)) -> None:
        """Let time pass until something is true."""
        end = self.now + limit
        self._run(lambda: not condition() and (at := self._next()) is not None and at <= end)
        assert condition(), f"not within {limit}"

    def restart(self, side: Side, entry: PadEntry | None = None, seed: int = 77) -> None:
        """Let a side lose its memory, as a crash does."""
        side.endpoint = IkeEndpoint(side.settings, SeededRng(seed))
        side.data_plane = Recorder()
        side._expiries.clear()
        mine = self.left_entry if side is self.left else self.right_entry
        shared = self.left_secret if side is self.left else self.right_secret
        side.load(entry or mine, shared, self.now)
        self._drain()

    def send_packet(self, side: Side) -> bool:
        """Let a packet cross at once; False where the other side has no SA for it."""
        entry = outbound_sa(side)
        if entry is None:
            return False
        return self.receive_packet(side.peer, entry.spi)

    def receive_packet(self, side: Side, spi: Spi) -> bool:
        if inbound_sa(side, spi) is None:
            return False
        side.verified.add(spi)
        return True

    def check_agreement(self) -> None:
        """Check that what either side sends the other can open, with the same keys and mirrored selectors."""
        for side in self.sides:
            inbound = side.peer.sas(Direction.INBOUND)
            for spi, out in side.sas(Direction.OUTBOUND).items():
                entry = inbound.get(spi)
                assert entry is not None, f"{side.address} sends on {spi:#x}, which the peer does not have"
                assert entry.keys == out.keys
                assert entry.suite == out.suite
                assert entry.peer_spi == out.peer_spi
                assert (entry.local, entry.remote) == (out.remote, out.local)
                assert entry.encapsulation is out.encapsulation
                assert entry.protocol is out.protocol
                assert entry.processing.mode is out.processing.mode
        ours, theirs = ({frozenset(_ike_spis(ike)) for ike in side.ike_sas} for side in self.sides)
        assert ours == theirs, f"IKE SAs differ: {ours} and {theirs}"

    def _next(self) -> Instant | None:
        return earliest(self.link.next_arrival(), self.left.next_timeout(), self.right.next_timeout())

    def _due_now(self) -> bool:
        at = earliest(self.left.next_timeout(), self.right.next_timeout())
        return at is not None and at <= self.now

    def _run(self, goes_on: Callable[[], bool]) -> None:
        for _ in range(200_000):
            if not goes_on():
                return
            at = self._next()
            if at is None:
                return
            self._step(at)
        raise AssertionError("it never ends")

    def _step(self, at: Instant) -> None:
        self.now = max(self.now, at)
        arrived = self.link.take_arrived(self.now)
        for datagram in arrived:
            self._deliver(datagram)
            self._drain()
        for side in self.sides:
            timeout = side.next_timeout()
            if timeout is not None and timeout <= self.now:
                side.handle_timeout(self.now)
                self._drain()
        for watcher in self._watchers:
            watcher()

    def _deliver(self, datagram: Datagram) -> None:
        for side in self.sides:
            if side.address == datagram.destination.address:
                assert datagram.encapsulated == (datagram.destination.port == NAT_T_PORT)
                path = Path(datagram.destination, datagram.source)
                side.endpoint.receive_datagram(datagram.data, path, self.now)

    def _drain(self) -> None:
        for _ in range(10):
            wishes = [self._drain_side(side) for side in self.sides]
            if not any(wishes):
                return
        raise AssertionError("wishes without end")

    def _drain_side(self, side: Side) -> bool:
        """Do what a driver does; True where a wish led to more."""
        side.apply(side.endpoint.sa_changes(), self.now)
        for transmit in side.endpoint.transmits():
            if isinstance(transmit, Transmit):
                encapsulated = transmit.encapsulated
                self.link.send(transmit.path, transmit.data, self.now, encapsulated=encapsulated)
            else:
                side.keepalives += 1
        events = side.endpoint.events()
        side.events.extend(events)
        wishes = [event for event in events if isinstance(event, PathWanted)]
        if side.obeys_wishes:
            for wish in wishes:
                side.endpoint.initiate(wish.connection, wish.child, side.path(), self.now)
        return bool(wishes) and side.obeys_wishes


def _ike_spis(ike: IkeSaStatus) -> Iterator[int]:
    yield ike.name.spi_i
    yield ike.name.spi_r
