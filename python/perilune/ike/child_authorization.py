"""Which children a peer may have, and for which addresses it may speak (RFC 4301, section 4.4.3.3).

The PAD is asked before the SPD, so that a peer that has proved who it is cannot take the traffic of another.
"""

from __future__ import annotations

from collections.abc import Iterable

from perilune.databases.pad import AddressRange, ChildPolicy, PadEntry
from perilune.ike.authenticated import Authenticated
from perilune.ike.narrowing import Selectors, narrow, text
from perilune.ike.refusal import Refusal
from perilune.model.iana import NotifyType
from perilune.model.identity import Identity
from perilune.model.identity_pattern import matches
from perilune.model.selector import TrafficSelector


def may_have(child: ChildPolicy, peer: Identity) -> bool:
    """Whether a peer is among those that a child names."""
    return not child.peers or any(matches(wanted, peer) for wanted in child.peers)


def claimed(entry: PadEntry, remote: Selectors) -> Selectors:
    """Return of a peer's selectors what the entry lets it speak for."""
    return narrow(_selectors(entry.remote_claims), remote) if entry.remote_claims else remote


def require_authorized(peer: Authenticated, child: ChildPolicy, remote: Selectors) -> None:
    """Check a child that the peer agreed to.

    Raises:
        Refusal: The peer may not have it, or not with these selectors; the notify is TS_UNACCEPTABLE.
    """
    key = f"connections.{peer.entry.name}"
    if not may_have(child, peer.remote_id):
        raise Refusal(
            f"'{peer.remote_id}' may not have child {child.name}",
            NotifyType.TS_UNACCEPTABLE,
            ours=" ".join(map(str, child.peers)),
            hint=f"{key}.children.{child.name}.peers",
        )
    if set(claimed(peer.entry, remote)) != set(remote):
        raise not_authorized(peer.entry, peer.remote_id, remote)


def not_authorized(entry: PadEntry, peer: Identity, remote: Selectors) -> Refusal:
    """Return the refusal for a peer that claims addresses which are not its own."""
    return Refusal(
        f"'{peer}' may not speak for these addresses",
        NotifyType.TS_UNACCEPTABLE,
        ours=" ".join(map(str, entry.remote_claims)),
        theirs=text(remote),
        hint=f"connections.{entry.name}.remote.claims",
    )


def _selectors(ranges: Iterable[AddressRange]) -> Selectors:
    return tuple(TrafficSelector(one.first, one.last) for one in ranges)
