"""What two sides say of the form of a Child SA's packets, and what follows (RFC 7296, section 1.3.1).

Everything is said by notifies, which stand beside the SA payload in the request and in the response:

```
USE_TRANSPORT_MODE, USE_BEET_MODE  asked for by the initiator, granted by the responder's repeating it
IPCOMP_SUPPORTED                   its sender can decompress; in a response, both shall compress
ESP_TFC_PADDING_NOT_SUPPORTED      its sender takes no padding; each direction by itself
NON_FIRST_FRAGMENTS_ALSO           fragments behind the first may come, if both send it
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from perilune.databases.child_form import ChildForm
from perilune.databases.processing import InnerAddresses, Mode, Processing, SecurityProtocol
from perilune.databases.sad import Direction
from perilune.ike.compression import CompressionOffer, deflate
from perilune.ike.narrowing import Selectors, only_address, text
from perilune.ike.negotiation import Choice
from perilune.ike.received import find_notify
from perilune.ike.refusal import Refusal
from perilune.model.address import Path
from perilune.model.iana import NotifyType, ProtocolId
from perilune.wire.payloads import NotifyPayload, Payload

_MODE_NOTIFIES: Final = {
    Mode.TRANSPORT: NotifyType.USE_TRANSPORT_MODE,
    Mode.BEET: NotifyType.USE_BEET_MODE,
}
"""Tunnel mode is what there is without a notify."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormNotifies:
    """What one side says."""

    mode: Mode = Mode.TUNNEL
    takes_padding: bool = True
    """Whether it accepts traffic flow confidentiality padding."""

    compressions: tuple[CompressionOffer, ...] = ()
    """What it can decompress."""

    fragments: bool = False
    """Whether it sends and accepts fragments behind the first where selectors want ports."""

    @classmethod
    def read(cls, payloads: Sequence[Payload]) -> Self:
        """Return what the peer says.

        Raises:
            PeerError: A notify is malformed.
        """
        modes = (mode for mode, type_ in _MODE_NOTIFIES.items() if find_notify(payloads, type_))
        return cls(
            mode=next(modes, Mode.TUNNEL),
            takes_padding=find_notify(payloads, NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED) is None,
            compressions=CompressionOffer.read_all(payloads),
            fragments=find_notify(payloads, NotifyType.NON_FIRST_FRAGMENTS_ALSO) is not None,
        )

    @property
    def payloads(self) -> tuple[NotifyPayload, ...]:
        """The notifies that say so."""
        types = [_MODE_NOTIFIES[self.mode]] if self.mode in _MODE_NOTIFIES else []
        if not self.takes_padding:
            types.append(NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED)
        if self.fragments:
            types.append(NotifyType.NON_FIRST_FRAGMENTS_ALSO)
        return (*(one.payload for one in self.compressions), *map(NotifyPayload, types))

    @classmethod
    def of_form(cls, form: ChildForm) -> Self:
        """Return what an initiator says for a child, but for compression."""
        return cls(mode=form.mode, fragments=form.fragments and form.mode is Mode.TUNNEL)

    def answering(self, theirs: FormNotifies) -> Self:
        """Return what a responder says, who would say this as an initiator, to what the peer says."""
        fragments = self.fragments and theirs.fragments
        return self if self.fragments is fragments else replace(self, fragments=fragments)

    def with_cpi(self, cpi: int | None) -> Self:
        """Return the same with DEFLATE under an index of ours; without compression where that is None."""
        return replace(self, compressions=() if cpi is None else (CompressionOffer(cpi),))


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedForm:
    """The form of a Child SA's packets, as both sides have it."""

    protocol: ProtocolId = ProtocolId.ESP
    """ESP or AH."""

    mode: Mode = Mode.TUNNEL
    may_pad: bool = True
    """Whether there can be padding, and the peer accepts it."""

    cpi_in: int | None = None
    """Compression Parameter Index of what we receive; None, both ways, without compression."""

    cpi_out: int | None = None
    """Index of what we send: the peer's choice."""

    fragments: bool = False
    """Whether fragments behind the first may travel where selectors want ports."""

    @classmethod
    def of(cls, choice: Choice, ours: FormNotifies, theirs: FormNotifies) -> Self:
        """Return what follows from what was chosen and what both sides said, whichever we are."""
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-1.3.1
        ##% If the
        ##% responder declines the request, the Child SA will be established in
        ##% tunnel mode.
        mode = ours.mode if ours.mode is theirs.mode else Mode.TUNNEL
        protocol = ProtocolId(choice.proposal.protocol)
        may_pad = theirs.takes_padding and protocol is ProtocolId.ESP
        cpis = deflate(ours.compressions), deflate(theirs.compressions)
        cpi_in, cpi_out = (None, None) if None in cpis else cpis
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-1.3.1
        ##% It is enabled only if NON_FIRST_FRAGMENTS_ALSO notification is
        ##% included in both the request proposing an SA and the response
        ##% accepting it.
        fragments = mode is Mode.TUNNEL and ours.fragments and theirs.fragments
        return cls(
            protocol=protocol,
            mode=mode,
            may_pad=may_pad,
            cpi_in=cpi_in,
            cpi_out=cpi_out,
            fragments=fragments,
        )

    @property
    def security_protocol(self) -> SecurityProtocol:
        """The protocol of its packets."""
        return SecurityProtocol.AH if self.protocol is ProtocolId.AH else SecurityProtocol.ESP

    def processing(
        self, form: ChildForm, direction: Direction, local: Selectors, remote: Selectors
    ) -> Processing:
        """Return what the data plane is to do with the packets of one direction.

        Args:
            form: What the configuration wants.
            direction: Which way they go.
            local: Agreed selectors of our end; in BEET mode they have one address.
            remote: Those of the other end.
        """
        is_outbound = direction is Direction.OUTBOUND
        pads = self.may_pad and is_outbound
        has_dummies = self.protocol is ProtocolId.ESP and is_outbound
        return Processing(
            mode=self.mode,
            inner=_inner(local, remote) if self.mode is Mode.BEET else None,
            tfc=form.tfc if pads else None,
            dummies=form.dummies if has_dummies else 0,
            compression=self.cpi_in if direction is Direction.INBOUND else self.cpi_out,
            df=form.df,
            dscp=form.dscp,
            flow_label=form.flow_label,
            path_mtu=form.path_mtu,
            path_mtu_age=form.path_mtu_age,
        )


def why_unfit(mode: Mode, local: Selectors, remote: Selectors, path: Path) -> str:
    """Return why selectors cannot be those of an SA in a mode; empty where they can.

    Args:
        mode: The SA's.
        local: Selectors of our end, as they are seen from here.
        remote: Those of the other end.
        path: The way between the ends of the IKE SA.
    """
    addresses = only_address(local), only_address(remote)
    ends = path.local.address, path.remote.address
    if mode is Mode.BEET and None in addresses:
        return "BEET mode is between one address and one other"
    if mode is Mode.TRANSPORT and addresses != ends:
        return f"transport mode is between {ends[0]} and {ends[1]} alone, the ends of the IKE SA"
    return ""


def require_mode(wanted: Mode, agreed: Mode, hint: str) -> None:
    """Check that the responder granted the mode that was asked for.

    Raises:
        Refusal: It makes a tunnel instead; the Child SA has to be deleted.
    """
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-1.3.1
    ##% If this is unacceptable to the initiator, the initiator
    ##% MUST delete the SA.
    if agreed is not wanted:
        raise Refusal(
            f"the peer makes an SA in {agreed.value} mode",
            NotifyType.NO_PROPOSAL_CHOSEN,
            ours=wanted.value,
            theirs=agreed.value,
            hint=f"{hint}.mode",
        )


def require_fit(mode: Mode, local: Selectors, remote: Selectors, path: Path, hint: str) -> None:
    """Check that selectors can be those of an SA in a mode.

    Raises:
        Refusal: They cannot; the notify is TS_UNACCEPTABLE.
    """
    why = why_unfit(mode, local, remote, path)
    if why:
        between = f"{text(local)} === {text(remote)}"
        key = f"{hint}.mode, local_ts and remote_ts"
        raise Refusal(why, NotifyType.TS_UNACCEPTABLE, theirs=between, hint=key)


def _inner(local: Selectors, remote: Selectors) -> InnerAddresses:
    return InnerAddresses(local[0].first_address, remote[0].first_address)
