"""What time and the data plane make an established IKE SA do."""

from __future__ import annotations

from perilune.ike.child_sa import ChildSa
from perilune.ike.events import DownReason
from perilune.ike.exchanges.create_child import CreateChild
from perilune.ike.exchanges.informational import DeleteChild, DeleteIke, Liveness
from perilune.ike.exchanges.rekey_ike import RekeyIke
from perilune.ike.ike_sa import IkeSa
from perilune.ike.status import IkeSaState
from perilune.model.time import Instant


def handle_timeout(sa: IkeSa, now: Instant) -> None:
    """Do everything whose time has come."""
    if not sa.channel.handle_timeout(now):
        sa.end(DownReason.UNREACHABLE, now)
        return
    sa.children.handle_timeout(now)
    if sa.followup is not None and sa.followup.until <= now:
        sa.followup = None
    _keep_alive(sa, now)
    _end_in_time(sa, now)
    if sa.has_ended:
        return
    _rekey_in_time(sa, now)
    _check_liveness(sa, now)
    sa.pump(now)


def rekey_child(sa: IkeSa, child: ChildSa, now: Instant) -> None:
    """Ask for a successor of a Child SA, unless it has one."""
    sa.enqueue(CreateChild(child.policy, child), now)


def child_expired(sa: IkeSa, child: ChildSa, now: Instant) -> None:
    """Close a Child SA that carries nothing any more."""
    sa.enqueue(DeleteChild(child, DownReason.EXPIRED), now)


def ask_liveness(sa: IkeSa, now: Instant) -> None:
    """Ask the peer whether it lives, unless that is being asked."""
    sa.enqueue(Liveness(), now)


def _keep_alive(sa: IkeSa, now: Instant) -> None:
    if sa.needs_keepalive and now >= sa.kept_alive_at + sa.context.settings.timers.keepalive:
        sa.kept_alive_at = now
        sa.context.outbox.keep_alive(sa.path)


def _end_in_time(sa: IkeSa, now: Instant) -> None:
    if sa.ends_at is None or now < sa.ends_at:
        return
    sa.ends_at = None
    if sa.state is IkeSaState.REKEYED or not sa.channel.is_idle:
        sa.end(DownReason.EXPIRED, now)
    else:
        sa.enqueue_end(DeleteIke(DownReason.EXPIRED), now)


def _rekey_in_time(sa: IkeSa, now: Instant) -> None:
    due = sa.rekey_at is not None and now >= sa.rekey_at
    if due or (sa.channel.is_spent and sa.is_current):
        sa.rekey_at = None
        sa.enqueue(RekeyIke(sa.id), now)


def _check_liveness(sa: IkeSa, now: Instant) -> None:
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.4
    ##% If no
    ##% cryptographically protected messages have been received on an IKE SA
    ##% or any of its Child SAs recently, the system needs to perform a
    ##% liveness check in order to prevent sending messages to a dead peer.
    delay = sa.peer.entry.dpd_delay
    if delay and sa.is_current and sa.channel.is_idle and now >= sa.heard_at + delay:
        sa.enqueue(Liveness(), now)
