"""Granting a Child SA in IKE_AUTH or CREATE_CHILD_SA, as their responder (RFC 7296, sections 1.3, 2.9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from perilune.databases.pad import ChildPolicy
from perilune.databases.spd import Action
from perilune.ike.authenticated import Authenticated
from perilune.ike.child_agreement import ChildTerms
from perilune.ike.child_authorization import claimed, may_have, not_authorized
from perilune.ike.child_offer import SPI_OCTETS, esp_spi
from perilune.ike.narrowing import Selectors, covers, narrow, resolve, text
from perilune.ike.negotiation import Choice, choose
from perilune.ike.received import require, require_selectors
from perilune.ike.refusal import Refusal
from perilune.model.iana import NotifyType, PayloadType, TransformType
from perilune.model.proposal import Proposal
from perilune.model.spi import Spi
from perilune.wire.payloads import Payload, SaPayload, TsPayload


@dataclass(frozen=True, slots=True)
class ChildRequest:
    """What the peer asks for."""

    proposals: tuple[Proposal, ...]
    local: Selectors
    """TSr: in this exchange the peer is the initiator."""

    remote: Selectors
    """TSi."""

    in_ike_auth: bool
    """Whether it came in IKE_AUTH, which has no key exchange (section 1.2)."""

    @classmethod
    def read(cls, payloads: Sequence[Payload], *, in_ike_auth: bool = False) -> Self:
        """Read a request.

        Raises:
            PeerError: A payload is missing; the notify is INVALID_SYNTAX.
        """
        sa = require(payloads, SaPayload)
        ts_i = require_selectors(payloads, PayloadType.TS_I).known
        ts_r = require_selectors(payloads, PayloadType.TS_R).known
        proposals = _without_key_exchange(sa.proposals) if in_ike_auth else sa.proposals
        return cls(proposals, ts_r, ts_i, in_ike_auth)


@dataclass(frozen=True, slots=True)
class ChildGrant:
    """A child that fits a request, before it has an SPI."""

    policy: ChildPolicy
    choice: Choice
    local: Selectors
    remote: Selectors

    def terms(self, spi_in: Spi) -> ChildTerms:
        """Return what is agreed on.

        Raises:
            PeerError: The peer's SPI is malformed.
        """
        return ChildTerms(
            policy=self.policy,
            suite=self.choice.esp_suite,
            spi_in=spi_in,
            spi_out=esp_spi(self.choice.proposal),
            local=self.local,
            remote=self.remote,
        )

    def sa_payload(self, spi_in: Spi) -> SaPayload:
        """Return the SA payload that tells the peer."""
        return SaPayload((self.choice.proposal.with_spi(spi_in.to_bytes(SPI_OCTETS)),))

    @property
    def ts_payloads(self) -> tuple[Payload, Payload]:
        """TSi and TSr."""
        return TsPayload(PayloadType.TS_I, self.remote), TsPayload(PayloadType.TS_R, self.local)


@dataclass(frozen=True, slots=True)
class _Candidate:
    policy: ChildPolicy
    local: Selectors
    remote: Selectors

    def rank(self, request: ChildRequest) -> tuple[bool, bool]:
        """Return how well it fits; less is better."""
        whole = covers(self.local, request.local) and covers(self.remote, request.remote)
        first = covers(self.local, request.local[:1]) and covers(self.remote, request.remote[:1])
        return not whole, not first


def grant(
    peer: Authenticated,
    request: ChildRequest,
    *,
    preferred: int | None = None,
    only: str | None = None,
) -> ChildGrant:
    """Find the child that fits a request best, narrowed to what both sides allow.

    Args:
        peer: Who asks; its connection has the children.
        request: What the peer asks for.
        preferred: Method of the KE payload, if there is one.
        only: The child whose SA is rekeyed; None allows any.

    Raises:
        Refusal: Nothing fits; the notify is TS_UNACCEPTABLE or NO_PROPOSAL_CHOSEN.
    """
    entry = peer.entry
    remote = claimed(entry, request.remote)
    if not remote:
        raise not_authorized(entry, peer.remote_id, request.remote)
    request = replace(request, remote=remote)
    candidates = _fitting(peer, request, only)
    refusal: Refusal | None = None
    for candidate in candidates:
        proposals = candidate.policy.proposals
        if request.in_ike_auth:
            proposals = _without_key_exchange(proposals)
        hint = f"connections.{entry.name}.children.{candidate.policy.name}.esp_proposals"
        try:
            choice = choose(proposals, request.proposals, preferred=preferred, hint=hint)
        except Refusal as error:
            refusal = refusal or error
            continue
        return ChildGrant(candidate.policy, choice, candidate.local, candidate.remote)
    raise refusal or _selectors_refused(peer, request, only)


def _fitting(peer: Authenticated, request: ChildRequest, only: str | None) -> list[_Candidate]:
    found: list[_Candidate] = []
    path = peer.init_path
    for policy in _children(peer, only):
        local = narrow(resolve(policy.local_ts, path.local.address), request.local)
        remote = narrow(resolve(policy.remote_ts, path.remote.address), request.remote)
        if local and remote:
            found.append(_Candidate(policy, local, remote))
    return sorted(found, key=lambda candidate: candidate.rank(request))


def _children(peer: Authenticated, only: str | None) -> list[ChildPolicy]:
    named = [c for c in peer.entry.children if c.action is Action.PROTECT and only in {None, c.name}]
    return [child for child in named if may_have(child, peer.remote_id)]


def _selectors_refused(peer: Authenticated, request: ChildRequest, only: str | None) -> Refusal:
    local, remote = peer.init_path.local.address, peer.init_path.remote.address
    ours = [
        f"{text(resolve(child.local_ts, local))} === {text(resolve(child.remote_ts, remote))}"
        for child in _children(peer, only)
    ]
    return Refusal(
        "no child allows these traffic selectors",
        NotifyType.TS_UNACCEPTABLE,
        ours=" | ".join(ours) or "no child",
        theirs=f"{text(request.local)} === {text(request.remote)}",
        hint=f"connections.{peer.entry.name}.children.*.local_ts and remote_ts",
    )


def _without_key_exchange(proposals: tuple[Proposal, ...]) -> tuple[Proposal, ...]:
    return tuple(proposal.without(TransformType.KE) for proposal in proposals)
