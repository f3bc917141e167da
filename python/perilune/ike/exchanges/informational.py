"""INFORMATIONAL: Delete, liveness and notifications (RFC 7296, section 1.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from perilune.ike.child_offer import SPI_OCTETS
from perilune.ike.child_sa import ChildSa
from perilune.ike.events import AuthenticationFailed, DownReason, UnknownEspSpi
from perilune.ike.exchanges.outcome import Outcome
from perilune.ike.ike_sa import IkeSa
from perilune.ike.peer_lookup import hint_for_us
from perilune.ike.received import find_notify
from perilune.ike.status import ChildSaState, IkeSaState
from perilune.model.iana import ExchangeType, NotifyType, ProtocolId
from perilune.model.spi import Spi
from perilune.model.time import Instant
from perilune.wire.payloads import DeletePayload, NotifyPayload, Payload


@dataclass(frozen=True, slots=True)
class Liveness:
    """An empty request: whoever answers it lives (section 2.4)."""

    exchange: ExchangeType = field(default=ExchangeType.INFORMATIONAL, init=False)

    def begin(self, sa: IkeSa, now: Instant) -> Sequence[Payload] | None:
        """Return the request."""
        return ()

    def finish(self, sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> None:
        """Do nothing: that there is a response is enough."""

    def abandon(self, sa: IkeSa, now: Instant) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """Close a Child SA (section 1.4.1)."""

    child: ChildSa
    reason: DownReason
    exchange: ExchangeType = field(default=ExchangeType.INFORMATIONAL, init=False)

    def begin(self, sa: IkeSa, now: Instant) -> Sequence[Payload] | None:
        """Return the request, unless the child is gone."""
        if self.child not in sa.children or self.child.state is ChildSaState.DELETING:
            return None
        if self.reason is not DownReason.REKEYED:
            self.child.state = ChildSaState.DELETING
        sa.children.close_outbound(self.child)
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-1.4.1
        ##% To delete an
        ##% SA, an INFORMATIONAL exchange with one or more Delete payloads is
        ##% sent listing the SPIs (as they would be expected in the headers of
        ##% inbound packets) of the SAs to be deleted.
        return (DeletePayload(self.child.protocol, (self.child.spi_in.to_bytes(SPI_OCTETS),)),)

    def finish(self, sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> None:
        """Remove the child, whatever the response says."""
        sa.remove_child(self.child, self.reason, now)

    def abandon(self, sa: IkeSa, now: Instant) -> None:
        """Do nothing: the child ends with its IKE SA."""


@dataclass(frozen=True, slots=True)
class DeleteIke:
    """Close the IKE SA and, with it, all its children (section 1.4.1)."""

    reason: DownReason
    exchange: ExchangeType = field(default=ExchangeType.INFORMATIONAL, init=False)

    def begin(self, sa: IkeSa, now: Instant) -> Sequence[Payload] | None:
        """Return the request."""
        if self.reason is not DownReason.REKEYED:
            sa.state = IkeSaState.DELETING
        sa.rekey_at = None
        return (DeletePayload(ProtocolId.IKE),)

    def finish(self, sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> None:
        """End the IKE SA, whatever the response says."""
        sa.end(self.reason, now)

    def abandon(self, sa: IkeSa, now: Instant) -> None:
        """Do nothing: the IKE SA has ended."""


def answer(sa: IkeSa, payloads: Sequence[Payload], now: Instant) -> Outcome:
    """Carry out the peer's INFORMATIONAL request."""
    deletes = [payload for payload in payloads if isinstance(payload, DeletePayload)]
    if any(delete.protocol == ProtocolId.IKE for delete in deletes):
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-1.4.1
        ##% The response to a request that deletes the IKE SA is an empty
        ##% INFORMATIONAL response.
        return Outcome((), DownReason.PEER)
    if find_notify(payloads, NotifyType.AUTHENTICATION_FAILED):
        hint = hint_for_us(sa.peer.entry, sa.context.pad.find_secret(sa.peer.local_id, sa.peer.remote_id))
        failed = AuthenticationFailed(sa.name, True, "its log tells why", sa.path, hint)
        sa.context.outbox.tell(failed)
        return Outcome((), DownReason.REFUSED)
    _tell_unknown_spis(sa, payloads)
    answered = [answer for delete in deletes if (answer := _delete_children(sa, delete, now)).spis]
    return Outcome(tuple(answered))


def _delete_children(sa: IkeSa, delete: DeletePayload, now: Instant) -> DeletePayload:
    """Remove the children of a Delete payload, and return the one that answers it."""
    ours = (_delete_child(sa, delete.protocol, Spi(int.from_bytes(spi)), now) for spi in delete.spis)
    return DeletePayload(delete.protocol, tuple(spi for spi in ours if spi))


def _delete_child(sa: IkeSa, protocol: int, spi_out: Spi, now: Instant) -> bytes | None:
    """Remove the child whose packets the peer receives with an SPI, and return our SPI to answer with."""
    child = sa.children.with_outbound(spi_out)
    if child is None or child.protocol != protocol:
        return None
    if isinstance(sa.tasks.active, DeleteChild) and sa.tasks.active.child is child:
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-1.4.1
        ##% it MUST delete the outgoing SAs while processing the request
        ##% and the incoming SAs while processing the response.  In that case,
        ##% the responses MUST NOT include Delete payloads for the deleted SAs
        sa.children.close_outbound(child)
        return None
    rekeyed = child.state is ChildSaState.REKEYED
    sa.remove_child(child, DownReason.REKEYED if rekeyed else DownReason.PEER, now)
    return child.spi_in.to_bytes(SPI_OCTETS)


def _tell_unknown_spis(sa: IkeSa, payloads: Sequence[Payload]) -> None:
    for payload in payloads:
        if isinstance(payload, NotifyPayload) and payload.type == NotifyType.INVALID_SPI:
            sa.context.outbox.tell(UnknownEspSpi(sa.name, Spi(int.from_bytes(payload.data[:SPI_OCTETS]))))
