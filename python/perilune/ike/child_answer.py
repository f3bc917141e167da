"""Granting a Child SA in IKE_AUTH or CREATE_CHILD_SA, as their responder (RFC 7296, sections 1.3, 2.9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from perilune.databases.conditions import NOT_POPULATED
from perilune.databases.pad import ChildPolicy
from perilune.databases.processing import Mode
from perilune.databases.spd import Action
from perilune.ike.authenticated import Authenticated
from perilune.ike.child_agreement import ChildTerms
from perilune.ike.child_authorization import claimed, may_have, not_authorized
from perilune.ike.child_form import AgreedForm, FormNotifies, why_unfit
from perilune.ike.child_offer import SPI_OCTETS, esp_spi
from perilune.ike.child_protocol import proposals_key, require_passage, through
from perilune.ike.child_selectors import allowed_selectors, seen_from_here
from perilune.ike.compression import deflate
from perilune.ike.narrowing import Selectors, covers, narrow, text
from perilune.ike.negotiation import Choice, choose, with_one_key_exchange
from perilune.ike.policies import PolicyTable
from perilune.ike.population import granted_selectors
from perilune.ike.received import require, require_selectors
from perilune.ike.refusal import Refusal
from perilune.ike.spis import SpiRegistry
from perilune.model.iana import NotifyType, PayloadType
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

    form: FormNotifies
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
        return cls(proposals, ts_r, ts_i, FormNotifies.read(payloads), in_ike_auth)

    def readings(self, peer: Authenticated) -> tuple[ChildRequest, ...]:
        """Return what may be granted of it, best first: the mode that is asked for, or a tunnel."""
        if self.form.mode is Mode.TUNNEL:
            return (self,)
        as_asked = self
        if self.form.mode is Mode.TRANSPORT:
            local, remote = seen_from_here(peer.nat, peer.init_path, self.local, self.remote)
            as_asked = replace(self, local=local, remote=remote)
        ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.23.1
        ##% - If no SPD entry was found, or (if found) the SPD entry does not
        ##% allow transport mode, undo the Traffic Selector substitutions.
        return as_asked, self.in_mode(Mode.TUNNEL)

    def in_mode(self, mode: Mode) -> ChildRequest:
        """Return the same request for another mode."""
        return replace(self, form=replace(self.form, mode=mode))


@dataclass(frozen=True, slots=True)
class ChildGrant:
    """A child that fits a request, before it has an SPI."""

    policy: ChildPolicy
    choice: Choice
    form: FormNotifies
    """What we answer."""

    theirs: FormNotifies
    """What the peer said."""

    local: Selectors
    remote: Selectors

    def under(self, entries: PolicyTable, connection: str, request: ChildRequest) -> ChildGrant:
        """Return the same for what the entry of `policies` that it is of wants, if that differs.

        Raises:
            Refusal: The entry wants an SA for each packet, and the request is not for one.
        """
        wish = entries.configured_for_request(connection, self.policy.name, self.local, self.remote)
        if wish is None or wish.populate == NOT_POPULATED:
            return self
        first = request.local[:1], request.remote[:1]
        local, remote = granted_selectors(wish, self.local, self.remote, first)
        return replace(
            self, policy=replace(self.policy, spd_entry=wish.spd_entry), local=local, remote=remote
        )

    def with_compression(self, spis: SpiRegistry, spi_in: Spi) -> ChildGrant:
        """Return the same with compression, where both sides want it."""
        if not self.policy.form.compression or deflate(self.theirs.compressions) is None:
            return self
        return replace(self, form=self.form.with_cpi(spis.take_cpi(spi_in)))

    def terms(self, spi_in: Spi) -> ChildTerms:
        """Return what is agreed on.

        Raises:
            PeerError: The peer's SPI is malformed.
        """
        return ChildTerms(
            policy=self.policy,
            suite=self.choice.esp_suite,
            form=AgreedForm.of(self.choice, self.form, self.theirs),
            spi_in=spi_in,
            spi_out=esp_spi(self.choice.proposal),
            local=self.local,
            remote=self.remote,
        )

    def answer(self, spi_in: Spi, fresh: Sequence[Payload] = ()) -> tuple[Payload, ...]:
        """Return the payloads that tell the peer.

        Args:
            spi_in: The SPI to send to us with.
            fresh: Nonce and KE payload of CREATE_CHILD_SA.
        """
        sa_payload = SaPayload((self.choice.proposal.with_spi(spi_in.to_bytes(SPI_OCTETS)),))
        return (*self.form.payloads, sa_payload, *fresh, *self.ts_payloads)

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
    entries: PolicyTable,
    preferred: int | None = None,
    only: str | None = None,
) -> ChildGrant:
    """Find the child that fits a request best, narrowed to what both sides allow.

    Args:
        peer: Who asks; its connection has the children.
        request: What the peer asks for.
        entries: The SPD, which may want an SA for each packet.
        preferred: Method of the KE payload, if there is one.
        only: The child whose SA is rekeyed; None allows any.

    Raises:
        Refusal: Nothing fits; the notify is TS_UNACCEPTABLE, SINGLE_PAIR_REQUIRED or NO_PROPOSAL_CHOSEN.
    """
    refusal: Refusal | None = None
    for reading in request.readings(peer):
        try:
            found = _grant_as_read(peer, reading, preferred, only)
            return found.under(entries, peer.entry.name, reading)
        except Refusal as error:
            refusal = refusal or error
    raise refusal or _selectors_refused(peer, request, only)


def _grant_as_read(
    peer: Authenticated, request: ChildRequest, preferred: int | None, only: str | None
) -> ChildGrant:
    entry = peer.entry
    remote = claimed(entry, request.remote)
    if not remote:
        raise not_authorized(entry, peer.remote_id, request.remote)
    if remote != request.remote:
        request = replace(request, remote=remote)
    candidates = _fitting(peer, request, only)
    refusal: Refusal | None = None
    for candidate in candidates:
        proposals = with_one_key_exchange(through(peer.nat, candidate.policy.proposals))
        if request.in_ike_auth:
            proposals = _without_key_exchange(proposals)
        hint = f"connections.{entry.name}.children.{candidate.policy.name}"
        key = f"{hint}.{proposals_key(proposals)}"
        try:
            choice = choose(proposals, request.proposals, preferred=preferred, hint=key)
            require_passage(choice, peer.nat, hint)
        except Refusal as error:
            refusal = refusal or error
            continue
        ours = FormNotifies.of_form(candidate.policy.form).answering(request.form)
        return ChildGrant(candidate.policy, choice, ours, request.form, candidate.local, candidate.remote)
    raise refusal or _nothing_fits(peer, request, only)


def _fitting(peer: Authenticated, request: ChildRequest, only: str | None) -> list[_Candidate]:
    found: list[_Candidate] = []
    path, mode = peer.init_path, request.form.mode
    for policy in _children(peer, only):
        ours = allowed_selectors(policy, path)
        local, remote = narrow(ours[0], request.local), narrow(ours[1], request.remote)
        fits = policy.form.mode is mode and not why_unfit(mode, local, remote, path)
        if local and remote and fits:
            found.append(_Candidate(policy, local, remote))
    return sorted(found, key=lambda candidate: candidate.rank(request))


def _children(peer: Authenticated, only: str | None) -> list[ChildPolicy]:
    named = [c for c in peer.entry.children if c.action is Action.PROTECT and only in {None, c.name}]
    return [child for child in named if may_have(child, peer.remote_id)]


def _nothing_fits(peer: Authenticated, request: ChildRequest, only: str | None) -> Refusal:
    """Return why no child is what is asked for: its mode, or its selectors."""
    for mode in _MODES:
        other = _fitting(peer, request.in_mode(mode), only)
        if other:
            name = other[0].policy.name
            return Refusal(
                f"child {name} is for {mode.value} mode",
                NotifyType.NO_PROPOSAL_CHOSEN,
                ours=mode.value,
                theirs=request.form.mode.value,
                hint=f"connections.{peer.entry.name}.children.{name}.mode",
            )
    return _selectors_refused(peer, request, only)


_MODES: Final = (Mode.TUNNEL, Mode.TRANSPORT, Mode.BEET)


def _selectors_refused(peer: Authenticated, request: ChildRequest, only: str | None) -> Refusal:
    allowed = [allowed_selectors(child, peer.init_path) for child in _children(peer, only)]
    ours = [f"{text(local)} === {text(remote)}" for local, remote in allowed]
    return Refusal(
        "no child allows these traffic selectors",
        NotifyType.TS_UNACCEPTABLE,
        ours=" | ".join(ours) or "no child",
        theirs=f"{text(request.local)} === {text(request.remote)}",
        hint=f"connections.{peer.entry.name}.children.*.local_ts and remote_ts",
    )


def _without_key_exchange(proposals: tuple[Proposal, ...]) -> tuple[Proposal, ...]:
    return tuple(proposal.without_key_exchanges() for proposal in proposals)
