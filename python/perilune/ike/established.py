"""A message's way through an established IKE SA."""

from __future__ import annotations

from perilune.ike.afterglow import Afterglow
from perilune.ike.channel import Malformed, Request, Response
from perilune.ike.events import DownReason, Dropped
from perilune.ike.exchanges import create_child_sa, informational
from perilune.ike.exchanges.informational import DeleteIke
from perilune.ike.exchanges.outcome import Outcome
from perilune.ike.ike_sa import IkeSa
from perilune.ike.received import find_notify
from perilune.model.address import Path
from perilune.model.errors import PeerError
from perilune.model.iana import ExchangeType, NotifyType
from perilune.model.time import Instant
from perilune.wire.message import Message


def receive(sa: IkeSa, message: Message, path: Path, now: Instant) -> None:
    """Act on a message."""
    incoming = sa.channel.receive(message, path, now)
    if incoming is None:
        return
    sa.heard_at = now
    match incoming:
        case Request():
            follow(sa, incoming.path)
            _answer(sa, incoming, message, now)
        case Response():
            follow(sa, incoming.path)
            _finish(sa, incoming, now)
        case Malformed():
            if incoming.is_fatal:
                sa.end(DownReason.REFUSED, now)
    if not sa.has_ended:
        sa.pump(now)


def follow(sa: IkeSa, path: Path) -> None:
    """Go where an authentic message came from, if a NAT may have moved the peer."""
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.23
    ##% When such a
    ##% validated packet is found, a host that does not support other
    ##% methods of recovery such as IKEv2 Mobility and Multihoming
    ##% (MOBIKE) [MOBIKE], and that is not behind a NAT, SHOULD send all
    ##% packets (including retransmission packets) to the IP address and
    ##% port in the validated packet
    nat = sa.peer.nat
    if nat.remote_behind and not nat.local_behind:
        sa.move(path)


def _answer(sa: IkeSa, request: Request, message: Message, now: Instant) -> None:
    outcome = _outcome(sa, request, now)
    sa.channel.respond(request, outcome.payloads)
    if outcome.ends is None:
        return
    until = now + sa.context.settings.timers.ike_linger
    answer = sa.channel.last_answer
    sa.end(outcome.ends, now)
    sa.context.registry.put(Afterglow(sa.context, sa.name, sa.local_spi, message.octets, answer, until))


def _outcome(sa: IkeSa, request: Request, now: Instant) -> Outcome:
    match request.exchange:
        case ExchangeType.CREATE_CHILD_SA:
            return create_child_sa.answer(sa, request.payloads, now)
        case ExchangeType.IKE_FOLLOWUP_KE:
            return create_child_sa.answer_followup(sa, request.payloads, now)
        case ExchangeType.INFORMATIONAL:
            return informational.answer(sa, request.payloads, now)
    error = PeerError(f"exchange {request.exchange} has no place here", notify=NotifyType.INVALID_SYNTAX)
    sa.context.outbox.tell(Dropped(request.path, str(error)))
    return Outcome.of_error(error)


def _finish(sa: IkeSa, response: Response, now: Instant) -> None:
    task, sa.tasks.active = sa.tasks.active, None
    if task is None:
        return
    if find_notify(response.payloads, NotifyType.INVALID_SYNTAX):
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.21.3
        ##% this error notification is considered fatal in both
        ##% peers, meaning that the IKE SA is deleted without needing an explicit
        ##% Delete payload.
        task.abandon(sa, now)
        sa.end(DownReason.REFUSED, now)
        return
    try:
        task.finish(sa, response.payloads, now)
    except PeerError as error:
        sa.context.outbox.tell(Dropped(response.path, str(error)))
        task.abandon(sa, now)
        sa.enqueue_end(DeleteIke(DownReason.REFUSED), now)
