"""What a configuration wants before any peer is there: policies, and children to start."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from perilune.databases.pad import (
    AddressRange,
    ChildPolicy,
    ChildSelector,
    DynamicSelector,
    Host,
    PadEntry,
    StartAction,
)
from perilune.databases.spd import Action
from perilune.ike.events import NotTrapped
from perilune.ike.narrowing import Selectors, resolve
from perilune.ike.outbox import Outbox
from perilune.ike.policies import PolicyWish
from perilune.ike.reconnection import ChildKey
from perilune.model.address import IpAddress, Path
from perilune.model.errors import LocalError

_TRAPPED = frozenset({StartAction.TRAP, StartAction.TRAP_START})
_STARTED = frozenset({StartAction.START, StartAction.TRAP_START})


def configured_policies(
    pad: Sequence[PadEntry],
    paths: Mapping[str, Path],
    outbox: Outbox,
    written: Collection[ChildKey],
    *,
    stand: bool,
) -> list[PolicyWish]:
    """Return the policies that are there before any SA is.

    Those of children that are trapped, passed or dropped always are, as far as their addresses are known.

    Args:
        pad: The connections.
        paths: Ways to peers as far as they are known, by connection.
        outbox: Where it is told that such a policy is not possible.
        written: Children whose policies the configuration has in so many words.
        stand: Whether those of all others are there too, so that nothing of theirs leaks without an SA.
    """
    wishes: list[PolicyWish] = []
    for entry in pad:
        for child in entry.children:
            is_wanted = is_wanted_at_once(child)
            if not is_wanted and (not stand or (entry.name, child.name) in written):
                continue
            try:
                wishes.append(_wish(entry, child, paths.get(entry.name)))
            except LocalError as error:
                if is_wanted:
                    outbox.tell(NotTrapped(entry.name, child.name, str(error)))
    return wishes


def is_wanted_at_once(child: ChildPolicy) -> bool:
    """Whether a configuration asks for a child's policy before it has an SA: it is a trap, or needs none."""
    return child.action is not Action.PROTECT or child.start_action in _TRAPPED


def started_children(pad: Sequence[PadEntry]) -> Iterator[ChildKey]:
    """Yield the children that are to be up as soon as the configuration is loaded."""
    for entry in pad:
        for child in entry.children:
            if child.action is Action.PROTECT and child.start_action in _STARTED:
                yield entry.name, child.name


def _wish(entry: PadEntry, child: ChildPolicy, path: Path | None) -> PolicyWish:
    local_end, remote_end = (path.local.address, path.remote.address) if path else (None, None)
    local = _resolve(child.local_ts, entry.local_addrs, local_end)
    remote = _resolve(child.remote_ts, entry.remote_addrs, remote_end)
    acquires = child.action is Action.PROTECT and child.start_action in _TRAPPED
    return PolicyWish.of_child(entry.name, child, local, remote, acquires=acquires)


def _resolve(selectors: Sequence[ChildSelector], hosts: Sequence[Host], known: IpAddress | None) -> Selectors:
    if not any(isinstance(selector, DynamicSelector) for selector in selectors):
        return tuple(selector for selector in selectors if not isinstance(selector, DynamicSelector))
    end = known or _definite(hosts)
    if end is None:
        raise LocalError("'dynamic' has no address before a peer is there")
    return resolve(selectors, end)


def _definite(hosts: Sequence[Host]) -> IpAddress | None:
    """Return the one address that some hosts are, if they are only one."""
    if len(hosts) == 1 and isinstance(hosts[0], AddressRange) and hosts[0].first == hosts[0].last:
        return hosts[0].first
    return None
