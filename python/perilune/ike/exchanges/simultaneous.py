"""Two peers that begin an IKE SA with each other at the same time.

RFC 7296 leaves both in place. Where they serve the same children, the rule of its section 2.8.1 for
simultaneous rekeyings tells which one is superfluous; only a side that made it closes it.
"""

from __future__ import annotations

from perilune.ike.events import DownReason
from perilune.ike.exchanges.informational import DeleteIke
from perilune.ike.ike_sa import IkeSa
from perilune.model.time import Instant


def close_redundant(sa: IkeSa, now: Instant) -> None:
    """Close a new IKE SA, or another one with the same peer, if it is superfluous and we made it."""
    for other in sa.with_same_peer():
        if other is not sa and _is_twin(sa, other):
            lesser = min(sa, other, key=lambda one: one.keyed.lowest_nonce)
            kept = other if lesser is sa else sa
            if lesser.keyed.original_initiator and _serves_all_of(kept, lesser):
                lesser.enqueue_end(DeleteIke(DownReason.REDUNDANT), now)
            return


def _is_twin(new: IkeSa, other: IkeSa) -> bool:
    """Whether each side made one of two IKE SAs, and neither knew of the other's when it began."""
    same_connection = new.peer.entry.name == other.peer.entry.name
    crossed = new.keyed.original_initiator != other.keyed.original_initiator
    return same_connection and crossed and other.is_current and other.established_at >= new.peer.began_at


def _serves_all_of(kept: IkeSa, lesser: IkeSa) -> bool:
    return all(kept.children.current(child.policy.name) for child in lesser.children)
