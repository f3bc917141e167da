"""Asking for a Child SA: the initiator's part of IKE_AUTH and CREATE_CHILD_SA (RFC 7296, section 1.3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from perilune.databases.pad import ChildPolicy
from perilune.databases.processing import Mode
from perilune.ike.authenticated import Authenticated
from perilune.ike.child_agreement import ChildTerms
from perilune.ike.child_form import AgreedForm, FormNotifies, require_fit, require_mode
from perilune.ike.child_protocol import hint_at_nat, proposals_key, require_passage, through
from perilune.ike.child_selectors import seen_from_here
from perilune.ike.compression import require_accepted
from perilune.ike.narrowing import Selectors, require_subset
from perilune.ike.nat import Nat
from perilune.ike.negotiation import offer, require_chosen, with_one_key_exchange
from perilune.ike.received import require, require_selectors
from perilune.ike.refusal import Refusal
from perilune.ike.spis import SpiRegistry
from perilune.model.errors import PeerError
from perilune.model.iana import KeId, NotifyType, PayloadType, ProtocolId
from perilune.model.proposal import Proposal
from perilune.model.spi import Spi
from perilune.wire.payloads import NotifyPayload, Payload, SaPayload, TsPayload

SPI_OCTETS = 4
"""Length of an SPI of ESP or AH."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildOffer:
    """What we offer for one Child SA."""

    connection: str
    policy: ChildPolicy
    spi_in: Spi
    proposals: tuple[Proposal, ...]
    """Numbered, with our SPI."""

    form: FormNotifies
    local: Selectors
    remote: Selectors

    @classmethod
    def of_policy(
        cls,
        connection: str,
        policy: ChildPolicy,
        nat: Nat,
        spis: SpiRegistry,
        selectors: tuple[Selectors, Selectors],
    ) -> Self:
        """Return the offer for a child of a connection, with its key exchange methods.

        Args:
            connection: Its name.
            policy: The child.
            nat: Who is behind a NAT.
            spis: Where our SPI comes from; whoever drops the offer gives it back.
            selectors: Of our end and of the other.
        """
        spi_in = spis.take_inbound()
        spi = spi_in.to_bytes(SPI_OCTETS)
        cpi = spis.take_cpi(spi_in) if policy.form.compression else None
        return cls(
            connection=connection,
            policy=policy,
            spi_in=spi_in,
            proposals=offer(with_one_key_exchange(through(nat, policy.proposals)), spi),
            form=FormNotifies.of_form(policy.form).with_cpi(cpi),
            local=selectors[0],
            remote=selectors[1],
        )

    def without_key_exchange(self) -> ChildOffer:
        """Return the offer for IKE_AUTH, which carries no key exchange (section 1.2)."""
        return replace(self, proposals=tuple(p.without_key_exchanges() for p in self.proposals))

    @property
    def hint(self) -> str:
        """The child's key in the configuration."""
        return f"connections.{self.connection}.children.{self.policy.name}"

    @property
    def _proposals_hint(self) -> str:
        return f"{self.hint}.{proposals_key(self.proposals)}"

    @property
    def sa_payload(self) -> SaPayload:
        """The SA payload."""
        return SaPayload(self.proposals)

    @property
    def payloads(self) -> tuple[Payload, ...]:
        """What asks for the child in IKE_AUTH; CREATE_CHILD_SA has more in between."""
        return (*self.form.payloads, self.sa_payload, *self.ts_payloads)

    @property
    def ts_payloads(self) -> tuple[Payload, Payload]:
        """TSi and TSr: as the initiator of this exchange we are i."""
        return TsPayload(PayloadType.TS_I, self.local), TsPayload(PayloadType.TS_R, self.remote)

    def accept(self, payloads: Sequence[Payload], peer: Authenticated) -> ChildTerms:
        """Check the responder's answer against the offer.

        Args:
            payloads: The answer.
            peer: Whose it is.

        Raises:
            PeerError: Something is missing or was not offered.
        """
        sa = require(payloads, SaPayload)
        choice = require_chosen(self.proposals, sa.proposals, hint=self._proposals_hint)
        require_passage(choice, peer.nat, self.hint)
        local = require_selectors(payloads, PayloadType.TS_I).known
        remote = require_selectors(payloads, PayloadType.TS_R).known
        theirs = FormNotifies.read(payloads)
        require_accepted(self.form.compressions, theirs.compressions, self.hint)
        form = AgreedForm.of(choice, self.form, theirs)
        require_mode(self.form.mode, form.mode, self.hint)
        if form.mode is Mode.TRANSPORT:
            local, remote = seen_from_here(peer.nat, peer.init_path, local, remote)
        require_subset(self.local, local, f"{self.hint}.local_ts")
        require_subset(self.remote, remote, f"{self.hint}.remote_ts")
        require_fit(form.mode, local, remote, peer.init_path, self.hint)
        return ChildTerms(
            policy=self.policy,
            suite=choice.esp_suite,
            form=form,
            spi_in=self.spi_in,
            spi_out=esp_spi(choice.proposal),
            local=local,
            remote=remote,
        )

    def describe_refusal(self, notify: NotifyPayload, nat: Nat) -> tuple[str, str]:
        """Return what of ours a peer's error notify is about, and its key in the configuration."""
        match notify.type:
            case NotifyType.NO_PROPOSAL_CHOSEN | NotifyType.INVALID_KE_PAYLOAD:
                cannot_pass = nat.between and self.proposals[0].protocol == ProtocolId.AH
                hint = hint_at_nat(self.hint) if cannot_pass else self._proposals_hint
                return " | ".join(map(str, self.proposals)), hint
            case NotifyType.TS_UNACCEPTABLE | NotifyType.SINGLE_PAIR_REQUIRED:
                local, remote = (" ".join(map(str, side)) for side in (self.local, self.remote))
                return f"{local} === {remote}", f"{self.hint}.local_ts and remote_ts"
        return "", ""


def esp_spi(proposal: Proposal) -> Spi:
    """Return the peer's SPI in a proposal for ESP or AH.

    Raises:
        PeerError: It has not 4 octets; the notify is INVALID_SYNTAX.
    """
    if len(proposal.spi) != SPI_OCTETS:
        raise PeerError(f"an SPI of {len(proposal.spi)} octets", notify=NotifyType.INVALID_SYNTAX)
    return Spi(int.from_bytes(proposal.spi))


def asked_key_exchange(notify: NotifyPayload, allowed: Sequence[KeId]) -> KeId:
    """Return the method that INVALID_KE_PAYLOAD asks for (section 1.3).

    Raises:
        Refusal: It asks for none of ours.
    """
    number = int.from_bytes(notify.data)
    for method in allowed:
        if len(notify.data) == 2 and method == number:
            return method
    raise Refusal(
        f"the peer wants key exchange method {number}",
        NotifyType.INVALID_KE_PAYLOAD,
        ours=" ".join(method.name for method in allowed),
        theirs=str(number),
    )
