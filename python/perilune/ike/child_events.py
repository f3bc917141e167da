"""Telling that a Child SA came or went, and what its configuration wants then."""

from __future__ import annotations

from typing import Final

from perilune.databases.pad import LossAction, StartAction
from perilune.ike.authenticated import Authenticated
from perilune.ike.child_sa import ChildSa
from perilune.ike.context import Context
from perilune.ike.events import ChildKeysDerived, ChildSaDown, ChildSaRekeyed, ChildSaUp, DownReason
from perilune.ike.names import IkeName
from perilune.ike.narrowing import resolve
from perilune.ike.policies import PolicyWish
from perilune.model.iana import ProtocolId
from perilune.model.time import Instant

_COMES_BACK: Final = frozenset(
    {DownReason.EXPIRED, DownReason.REDUNDANT, DownReason.REPLACED, DownReason.UNREACHABLE}
)
"""Ends that nobody wanted, after which a child with `start_action = start` is started again."""


def tell_up(context: Context, ike: IkeName, child: ChildSa, old: ChildSa | None) -> None:
    """Tell that a child was installed, in place of another or not."""
    agreement = child.agreement
    if context.settings.export_keys and child.protocol is ProtocolId.ESP:
        context.outbox.tell(ChildKeysDerived(ike, child.name, agreement.suite, child.path, *child.keys))
    if old is not None:
        selectors = (agreement.local, agreement.remote)
        context.outbox.tell(ChildSaRekeyed(ike, old.name, child.name, agreement.suite, *selectors))
        return
    context.outbox.tell(
        ChildSaUp(
            ike=ike,
            child=child.name,
            suite=agreement.suite,
            protocol=child.protocol,
            mode=agreement.form.mode,
            is_compressed=agreement.form.cpi_out is not None,
            encapsulation=child.encapsulation,
            path=child.path,
            local=agreement.local,
            remote=agreement.remote,
        )
    )


def tell_down(context: Context, ike: IkeName, child: ChildSa, reason: DownReason) -> None:
    """Tell that a child ended and has no successor."""
    context.outbox.tell(ChildSaDown(ike, child.name, reason))


def bring_back(
    context: Context, peer: Authenticated, child: ChildSa, reason: DownReason, now: Instant
) -> None:
    """Do what the child's configuration wants behind its end.

    A child with `start_action = start` comes back from every end that nobody wanted. What follows the peer's
    Delete is up to `close_action`, and nothing follows our own. What is trapped is the child as it is
    configured, else each of its narrowings would leave a policy behind.
    """
    name, policy = peer.entry.name, child.policy
    key = (name, policy.name)
    if reason is DownReason.LOCAL:
        context.wishes.fulfilled(key)
        return
    action = {DownReason.PEER: policy.close_action, DownReason.UNREACHABLE: policy.dpd_action}.get(reason)
    started = policy.start_action in {StartAction.START, StartAction.TRAP_START}
    if action is LossAction.START or (started and reason in _COMES_BACK):
        context.wishes.want_again(key, now)
    if action is LossAction.TRAP:
        local = resolve(policy.local_ts, peer.init_path.local.address)
        remote = resolve(policy.remote_ts, peer.init_path.remote.address)
        context.policies.trap(PolicyWish.of_child(name, policy, local, remote, acquires=True))
