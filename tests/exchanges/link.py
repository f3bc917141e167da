"""A network in virtual time: delay, loss, duplicates, corruption by name, and a NAT."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from perilune.model.address import Endpoint, IpAddress, Path
from perilune.model.time import Duration, Instant
from perilune.wire.header import Header


@dataclass(frozen=True, slots=True)
class Datagram:
    """What travels: addresses as they are at this place of the way."""

    source: Endpoint
    destination: Endpoint
    data: bytes
    encapsulated: bool
    number: int = 0
    """Counted from 1 over both directions, in the order of sending."""

    @property
    def header(self) -> Header:
        return Header.decode(self.data)


Fault = Callable[[Datagram], list[tuple[Duration, Datagram]] | None]
"""What becomes of a datagram: copies with extra delays; None leaves it alone."""


class Nat:
    """Hides one host behind another address, and gives each of its ports a mapping."""

    def __init__(self, inside: IpAddress, outside: IpAddress, first_port: int = 40000) -> None:
        self.inside = inside
        self.outside = outside
        self._next_port = first_port
        self._ports: dict[int, int] = {}

    def rebind(self) -> None:
        """Forget all mappings; the next datagrams get new ports."""
        self._ports.clear()

    def outward(self, datagram: Datagram) -> Datagram:
        if datagram.source.address != self.inside:
            return datagram
        port = self._ports.get(datagram.source.port)
        if port is None:
            port = self._ports[datagram.source.port] = self._next_port
            self._next_port += 1
        return replace(datagram, source=Endpoint(self.outside, port))

    def inward(self, datagram: Datagram) -> Datagram | None:
        if datagram.destination.address != self.outside:
            return datagram
        for inside_port, outside_port in self._ports.items():
            if outside_port == datagram.destination.port:
                return replace(datagram, destination=Endpoint(self.inside, inside_port))
        return None


class Link:
    """Carries datagrams between any number of hosts."""

    def __init__(self, delay: Duration = Duration.milliseconds(10)) -> None:
        self.delay = delay
        self.nat: Nat | None = None
        self.sent: Final[list[Datagram]] = []
        """Every datagram as its sender sent it."""

        self._faults: list[Fault] = []
        self._in_flight: list[tuple[int, int, Datagram]] = []
        self._order = 0

    def send(self, path: Path, data: bytes, now: Instant, *, encapsulated: bool) -> None:
        datagram = Datagram(path.local, path.remote, data, encapsulated, len(self.sent) + 1)
        self.sent.append(datagram)
        for extra, copy in self._copies(datagram):
            self.inject(copy, now + self.delay + extra)

    def inject(self, datagram: Datagram, at: Instant) -> None:
        """Let a datagram arrive at some time."""
        self._order += 1
        heapq.heappush(self._in_flight, (at.ns, self._order, datagram))

    def next_arrival(self) -> Instant | None:
        return Instant(self._in_flight[0][0]) if self._in_flight else None

    def take_arrived(self, now: Instant) -> list[Datagram]:
        """Return what arrives now, with the addresses that its receiver sees."""
        arrived: list[Datagram] = []
        while self._in_flight and self._in_flight[0][0] <= now.ns:
            datagram: Datagram | None = heapq.heappop(self._in_flight)[2]
            if self.nat and datagram:
                datagram = self.nat.inward(self.nat.outward(datagram))
            if datagram is not None:
                arrived.append(datagram)
        return arrived

    def add_fault(self, fault: Fault) -> None:
        self._faults.append(fault)

    def drop(self, nth: int) -> None:
        """Lose the nth datagram from now on."""
        self._on_nth(nth, lambda _datagram: [])

    def duplicate(self, nth: int) -> None:
        """Let the nth datagram from now on arrive twice."""
        self._on_nth(nth, lambda d: [(Duration(0), d), (Duration.milliseconds(1), d)])

    def hold(self, nth: int, extra: Duration) -> None:
        """Let the nth datagram from now on arrive later, behind others."""
        self._on_nth(nth, lambda d: [(extra, d)])

    def corrupt(self, nth: int, octet: int = -1) -> None:
        """Flip a bit of the nth datagram from now on."""
        self._on_nth(nth, lambda d: [(Duration(0), flipped(d, octet))])

    def replay(self, number: int, at: Instant) -> None:
        """Let a datagram that was sent before arrive once more."""
        self.inject(self.sent[number - 1], at)

    def drop_where(self, condition: Callable[[Datagram], bool], times: int = 1) -> None:
        """Lose the first datagrams that something is true of."""
        left = [times]

        def fault(datagram: Datagram) -> list[tuple[Duration, Datagram]] | None:
            if left[0] and condition(datagram):
                left[0] -= 1
                return []
            return None

        self._faults.append(fault)

    def cut(self) -> None:
        """Lose everything from now on."""
        self._faults.insert(0, lambda _datagram: [])

    def mend(self) -> None:
        """Have no faults any more."""
        self._faults.clear()

    def _on_nth(self, nth: int, effect: Callable[[Datagram], list[tuple[Duration, Datagram]]]) -> None:
        number = len(self.sent) + nth
        self._faults.append(lambda datagram: effect(datagram) if datagram.number == number else None)

    def _copies(self, datagram: Datagram) -> list[tuple[Duration, Datagram]]:
        for fault in self._faults:
            copies = fault(datagram)
            if copies is not None:
                return copies
        return [(Duration(0), datagram)]


def flipped(datagram: Datagram, octet: int, bit: int = 0x10) -> Datagram:
    """Return a datagram with one bit changed."""
    data = bytearray(datagram.data)
    data[octet] ^= bit
    return replace(datagram, data=bytes(data))
