"""The SPD entries of an endpoint: who needs which, under which number (RFC 4301, section 4.4.1).

An entry stays for as long as somebody holds it: the configuration, so that nothing leaks while a child has no
SA, and each Child SA that serves it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from perilune.databases.changes import AddPolicy, RemovePolicy
from perilune.databases.conditions import NOT_POPULATED, UNCONDITIONAL, Conditions, Populate
from perilune.databases.pad import ChildPolicy
from perilune.databases.spd import Action, IcmpErrors, PolicyId, SpdEntry, SpdTemplate, Way
from perilune.dataplane.events import Flow
from perilune.ike.outbox import Outbox
from perilune.model.address import IpAddress
from perilune.model.selector import ANY_PROTOCOL, LAST_PORT, TrafficSelector

_BASE: Final = {Action.BYPASS: 100_000, Action.PROTECT: 200_000, Action.DISCARD: 300_000}
"""Exceptions from protection come first, and what shall be dropped last."""

LAST_OWN_POLICY: Final = 0xBFFF_FFFF
"""Numbers of SPD entries above are for SAs that are not IKE's."""


@dataclass(frozen=True, slots=True)
class PolicyWish:
    """An SPD entry without a number."""

    connection: str
    child: str
    action: Action
    priority: int
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    acquires: bool
    spd_entry: str = ""
    """Name of the entry in the configuration's `policies`; empty where the child is its own entry."""

    way: Way = Way.BOTH
    conditions: Conditions = UNCONDITIONAL
    populate: Populate = NOT_POPULATED
    icmp_errors: IcmpErrors = IcmpErrors.RELATED

    @classmethod
    def of_template(cls, template: SpdTemplate) -> PolicyWish:
        """Return the entry that the configuration has in so many words."""
        return cls(
            connection=template.connection,
            child=template.child,
            action=template.action,
            priority=template.order,
            local=template.local,
            remote=template.remote,
            acquires=template.action is Action.PROTECT,
            spd_entry=template.name,
            way=template.way,
            conditions=template.conditions,
            populate=template.populate,
            icmp_errors=template.icmp_errors,
        )

    @classmethod
    def of_child(
        cls,
        connection: str,
        child: ChildPolicy,
        local: tuple[TrafficSelector, ...],
        remote: tuple[TrafficSelector, ...],
        *,
        acquires: bool,
    ) -> PolicyWish:
        """Return the entry for a child with these selectors."""
        priority = child.priority if child.priority is not None else priority_of(child.action, local, remote)
        return cls(
            connection,
            child.name,
            child.action,
            priority,
            local,
            remote,
            acquires,
            child.spd_entry,
            icmp_errors=child.icmp_errors,
        )

    def serves(self, other: PolicyWish) -> bool:
        """Whether an SA for `other` may serve this entry: it is the same child's and selects as much."""
        same_child = (self.connection, self.child, self.action) == (
            other.connection,
            other.child,
            other.action,
        )
        same_entry = other.spd_entry in {"", self.spd_entry}
        return (
            same_child
            and same_entry
            and _covers(self.local, other.local)
            and _covers(self.remote, other.remote)
        )

    def entry(self, id_: PolicyId) -> SpdEntry:
        """Return the SPD entry with a number."""
        return SpdEntry(
            id=id_,
            name=self.spd_entry or f"{self.connection}/{self.child}",
            priority=self.priority,
            action=self.action,
            local=self.local,
            remote=self.remote,
            acquires=self.acquires,
            way=self.way,
            conditions=self.conditions,
            populate=self.populate,
            icmp_errors=self.icmp_errors,
        )


class PolicyTable:
    """The entries that are installed.

    Args:
        outbox: Where changes go.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._wishes: dict[PolicyId, PolicyWish] = {}
        self._holders: dict[PolicyId, int] = {}
        self._installed: dict[PolicyWish, PolicyId] = {}
        self._configured: dict[PolicyWish, PolicyId] = {}
        self._configured_by_child: dict[tuple[str, str], list[PolicyWish]] = {}
        self._to_arm: set[PolicyId] = set()
        self._last_id = 0

    def configure(self, wishes: list[PolicyWish]) -> None:
        """Have the configuration hold these entries, and none that it held before."""
        old = self._configured
        self._configured = {wish: old.get(wish) or self._add(wish) for wish in wishes}
        self._index_configured()
        for wish, id_ in old.items():
            if wish not in self._configured:
                self.release(id_)

    def trap(self, wish: PolicyWish) -> None:
        """Have the configuration hold one more entry, or let the one that it has ask for SAs.

        An entry that SAs serve is left alone until the last of them is gone, as it cannot be changed, and
        removing it would remove them.
        """
        id_ = self._configured_for(wish)
        if id_ is None:
            self._configured[wish] = self._add(wish)
            self._index_configured()
        elif not self._wishes[id_].acquires:
            self._to_arm.add(id_)
            self._arm_if_unused(id_)

    def hold(self, wish: PolicyWish) -> PolicyId:
        """Hold the entry that an SA serves, and install it if none fits; `release` gives it back."""
        id_ = self._installed.get(wish) or self._configured_for(wish)
        return self.hold_same(id_) if id_ else self._add(wish)

    def hold_same(self, id_: PolicyId) -> PolicyId:
        """Hold an entry once more."""
        self._holders[id_] += 1
        return id_

    def release(self, id_: PolicyId) -> None:
        """Give an entry back; behind its last holder it is removed."""
        self._holders[id_] -= 1
        if not self._holders[id_]:
            wish = self._wishes.pop(id_)
            del self._holders[id_]
            self._to_arm.discard(id_)
            if self._installed.get(wish) == id_:
                del self._installed[wish]
            self._outbox.change(RemovePolicy(id_))
        else:
            self._arm_if_unused(id_)

    def configured_for_flow(self, connection: str, child: str, flow: Flow) -> PolicyWish | None:
        """Return the entry of `policies` for a child that selects a packet, or None where none does."""
        candidates = self._configured_by_child.get((connection, child), [])
        return next((one for one in candidates if one.spd_entry and selects(one, flow)), None)

    def configured_for_request(
        self,
        connection: str,
        child: str,
        local: tuple[TrafficSelector, ...],
        remote: tuple[TrafficSelector, ...],
    ) -> PolicyWish | None:
        """Return the first entry of `policies` for a child that a peer's selectors overlap, or None."""
        candidates = [one for one in self._configured_by_child.get((connection, child), []) if one.spd_entry]
        return min(
            (one for one in candidates if _meet(one.local, local) and _meet(one.remote, remote)),
            key=lambda one: one.priority,
            default=None,
        )

    def find(self, id_: PolicyId) -> PolicyWish | None:
        """Return the entry with a number."""
        return self._wishes.get(id_)

    def _arm_if_unused(self, id_: PolicyId) -> None:
        """Replace an entry that only the configuration holds by one that asks for SAs, if that is wanted."""
        wish = self._wishes[id_]
        if id_ in self._to_arm and self._holders[id_] == 1 and self._configured.get(wish) == id_:
            del self._configured[wish]
            self.release(id_)
            armed = replace(wish, acquires=True)
            self._configured[armed] = self._add(armed)
            self._index_configured()

    def _configured_for(self, wish: PolicyWish) -> PolicyId | None:
        """Return the number of the configuration's entry that an SA may serve.

        An SA that no entry of `policies` asked for serves its child's own before one of those, whose
        conditions, a user's for instance, other packets of the child do not meet.
        """
        candidates = self._configured_by_child.get((wish.connection, wish.child), [])
        fitting = [one for one in candidates if one.serves(wish)]
        found = min(fitting, key=lambda one: one.spd_entry != wish.spd_entry, default=None)
        return self._configured[found] if found is not None else None

    def _index_configured(self) -> None:
        self._configured_by_child = {}
        for wish in self._configured:
            self._configured_by_child.setdefault((wish.connection, wish.child), []).append(wish)

    def _add(self, wish: PolicyWish) -> PolicyId:
        id_ = self._new_id()
        self._wishes[id_] = wish
        self._installed[wish] = id_
        self._holders[id_] = 1
        self._outbox.change(AddPolicy(wish.entry(id_)))
        return id_

    def _new_id(self) -> PolicyId:
        while True:
            self._last_id = self._last_id % LAST_OWN_POLICY + 1
            if self._last_id not in self._wishes:
                return PolicyId(self._last_id)


def selects(wish: PolicyWish, flow: Flow) -> bool:
    """Whether an entry's selectors, its conditions aside, select a packet that leaves."""
    local, remote = packet_selectors(flow)
    return _covers(wish.local, (local,)) and _covers(wish.remote, (remote,))


def packet_selectors(flow: Flow) -> tuple[TrafficSelector, TrafficSelector]:
    """Return the selectors of both ends that stand for one packet which leaves."""
    source_port, destination_port = flow.ports or (None, None)
    return (
        _of_packet(flow.source, flow.protocol, source_port),
        _of_packet(flow.destination, flow.protocol, destination_port),
    )


def _of_packet(address: IpAddress, protocol: int, port: int | None) -> TrafficSelector:
    first, last = (LAST_PORT, 0) if port is None else (port, port)
    return TrafficSelector(address, address, protocol, first, last)


def priority_of(
    action: Action, local: tuple[TrafficSelector, ...], remote: tuple[TrafficSelector, ...]
) -> int:
    """Return a place by the widest selectors: narrower ones are asked first."""
    return _BASE[action] + max(map(_width, local), default=0) + max(map(_width, remote), default=0)


def _width(selector: TrafficSelector) -> int:
    addresses = int(selector.last_address) - int(selector.first_address)
    any_protocol = selector.protocol == ANY_PROTOCOL
    any_port = (selector.first_port, selector.last_port) == (0, LAST_PORT)
    return 4 * addresses.bit_length() + 2 * any_protocol + any_port


def _meet(ours: tuple[TrafficSelector, ...], theirs: tuple[TrafficSelector, ...]) -> bool:
    return any(our.intersection(their) for our in ours for their in theirs)


def _covers(outer: tuple[TrafficSelector, ...], inner: tuple[TrafficSelector, ...]) -> bool:
    return all(any(one.contains(other) for one in outer) for other in inner)
