"""Choosing algorithms from what the peer offers (RFC 7296, sections 2.7 and 3.3.6; RFC 9370)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from perilune.ike.refusal import Refusal
from perilune.model.iana import (
    ADDITIONAL_KEY_EXCHANGES,
    IntegId,
    KeId,
    NotifyType,
    PrfId,
    ProtocolId,
    SnId,
    TransformType,
)
from perilune.model.proposal import (
    NO_ENCRYPTION,
    Encryption,
    EspSuite,
    IkeSuite,
    Proposal,
    Transform,
    all_different,
    chosen_encryption,
)

_KNOWN: Final = 256
"""Choices that are remembered: peers of one configuration offer and get the same again and again."""

_MOST_KNOWN: Final = 32
"""Transforms of an offer that is worth remembering."""

_NONE: Final = 0
_OPTIONAL: Final[dict[int, frozenset[int]]] = {
    ProtocolId.AH: frozenset({TransformType.KE, *ADDITIONAL_KEY_EXCHANGES}),
    ProtocolId.IKE: frozenset({TransformType.INTEG, *ADDITIONAL_KEY_EXCHANGES}),
    ProtocolId.ESP: frozenset({TransformType.INTEG, TransformType.KE, *ADDITIONAL_KEY_EXCHANGES}),
}
"""Types whose number 0 is NONE, which is as good as leaving the type out (sections 3.3.2 and 3.3.3)."""

_MANDATORY: Final[dict[int, tuple[TransformType, ...]]] = {
    ProtocolId.AH: (TransformType.INTEG, TransformType.SN),
    ProtocolId.IKE: (TransformType.ENCR, TransformType.PRF, TransformType.KE),
    ProtocolId.ESP: (TransformType.ENCR, TransformType.SN),
}
"""Types that every proposal has (section 3.3.3)."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One proposal with one transform of each type."""

    proposal: Proposal
    """The peer's number and SPI, and the chosen transforms with the peer's attributes."""

    @property
    def key_exchange(self) -> KeId:
        """The chosen key exchange method; NONE where there is none."""
        return _key_exchange(self.proposal.transforms)

    @property
    def additional_key_exchanges(self) -> tuple[KeId, ...]:
        """The methods of the key exchanges behind that, in the order in which they run (RFC 9370)."""
        return _additional_key_exchanges(self.proposal.transforms)

    @property
    def ike_suite(self) -> IkeSuite:
        """The choice for an IKE SA."""
        return _ike_suite(self.proposal.transforms)

    @property
    def esp_suite(self) -> EspSuite:
        """The choice for a Child SA."""
        return _esp_suite(self.proposal.protocol, self.proposal.transforms)


Transforms = tuple[Transform, ...]


@lru_cache(maxsize=_KNOWN)
def _ike_suite(chosen: Transforms) -> IkeSuite:
    encryption = _chosen_encryption(ProtocolId.IKE, chosen)
    prf = PrfId(_chosen_id(chosen, TransformType.PRF))
    additional = _additional_key_exchanges(chosen)
    return IkeSuite(encryption, prf, _chosen_integrity(chosen), _key_exchange(chosen), additional)


@lru_cache(maxsize=_KNOWN)
def _esp_suite(protocol: int, chosen: Transforms) -> EspSuite:
    encryption = _chosen_encryption(protocol, chosen)
    numbers = SnId(_chosen_id(chosen, TransformType.SN))
    return EspSuite(encryption, _chosen_integrity(chosen), numbers, _key_exchange(chosen))


def _chosen_encryption(protocol: int, chosen: Transforms) -> Encryption:
    if protocol == ProtocolId.AH:
        return NO_ENCRYPTION
    return chosen_encryption(_chosen(chosen, TransformType.ENCR) or Transform(TransformType.ENCR, 0))


def _chosen_integrity(chosen: Transforms) -> IntegId:
    return IntegId(_chosen_id(chosen, TransformType.INTEG))


def _key_exchange(chosen: Transforms) -> KeId:
    return KeId(_chosen_id(chosen, TransformType.KE))


def _additional_key_exchanges(chosen: Transforms) -> tuple[KeId, ...]:
    methods = (_chosen_id(chosen, type_) for type_ in ADDITIONAL_KEY_EXCHANGES)
    return tuple(KeId(method) for method in methods if method != _NONE)


def _chosen_id(chosen: Transforms, type_: TransformType) -> int:
    transform = _chosen(chosen, type_)
    return transform.id if transform else _NONE


def _chosen(chosen: Transforms, type_: TransformType) -> Transform | None:
    for transform in chosen:
        if transform.type == type_:
            return transform
    return None


def choose(
    ours: Sequence[Proposal],
    theirs: Sequence[Proposal],
    *,
    preferred: int | None = None,
    hint: str = "",
) -> Choice:
    """Choose what we like best of what the peer offers.

    Args:
        ours: What we allow, in order of preference.
        theirs: What the peer offers.
        preferred: A key exchange method to choose where it is possible, because its KE payload is here.
        hint: The key of the configuration that has ours.

    Raises:
        Refusal: Nothing fits; the notify is NO_PROPOSAL_CHOSEN and the text tells how near it was.
    """
    for own in ours:
        for offer in theirs:
            chosen = _common(own, offer, preferred)
            if isinstance(chosen, Choice):
                return chosen
    raise Refusal(
        _nearest_miss(ours, theirs),
        NotifyType.NO_PROPOSAL_CHOSEN,
        ours=_text(ours),
        theirs=_text(theirs),
        hint=hint,
    )


def require_chosen(ours: Sequence[Proposal], answer: Sequence[Proposal], *, hint: str = "") -> Choice:
    """Check the peer's choice against our offer.

    Args:
        ours: What we offered.
        answer: The proposals of the peer's SA payload; one is right.
        hint: The key of the configuration that has ours.

    Raises:
        Refusal: It is not one of our proposals with one transform of each type.
    """
    if len(answer) != 1 or len({t.type for t in answer[0].transforms}) != len(answer[0].transforms):
        raise Refusal(
            "the peer did not choose exactly one", NotifyType.NO_PROPOSAL_CHOSEN, theirs=_text(answer)
        )
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-3.3.6
    ##% The initiator of an exchange MUST check that the
    ##% accepted offer is consistent with one of its proposals, and if not
    ##% MUST terminate the exchange.
    return choose([own for own in ours if own.number == answer[0].number], answer, hint=hint)


def offer(proposals: Iterable[Proposal], spi: bytes, first: KeId | None = None) -> tuple[Proposal, ...]:
    """Return our proposals numbered from 1 and with our SPI.

    Args:
        proposals: What we allow, in order of preference.
        spi: Our SPI; empty in IKE_SA_INIT.
        first: A key exchange method to name first, as the KE payload has it; the others are named too.
    """
    return tuple(
        _named_first(proposal, first).with_spi(spi, number) for number, proposal in enumerate(proposals, 1)
    )


def key_exchanges(proposals: Iterable[Proposal]) -> tuple[KeId, ...]:
    """Return all key exchange methods of our proposals, best first; NONE is not among them."""
    methods = (t.id for proposal in proposals for t in proposal.of_type(TransformType.KE))
    return tuple(KeId(method) for method in dict.fromkeys(methods) if method != KeId.NONE)


def wants_additional(proposals: Iterable[Proposal]) -> bool:
    """Whether there are additional key exchanges in some proposal."""
    return any(proposal.without_additional_key_exchanges() != proposal for proposal in proposals)


def with_one_key_exchange(proposals: Iterable[Proposal]) -> tuple[Proposal, ...]:
    """Return our proposals without their additional key exchanges, for where there is no way to run them."""
    single = [proposal.without_additional_key_exchanges() for proposal in proposals]
    return tuple({proposal.transforms: proposal for proposal in reversed(single)}.values())[::-1]


def with_prf(proposals: Iterable[Proposal], prf: PrfId) -> tuple[Proposal, ...]:
    """Return what is left of our proposals with one PRF alone."""
    kept = Transform(TransformType.PRF, prf)
    return tuple(
        replace(
            proposal,
            transforms=tuple(t for t in proposal.transforms if t.type != TransformType.PRF or t == kept),
        )
        for proposal in proposals
        if kept in proposal.transforms
    )


def that_need_no_additional(proposals: Iterable[Proposal]) -> tuple[Proposal, ...]:
    """Return what is left of our proposals with a peer that knows nothing of additional key exchanges.

    A proposal in which one is not optional is left out.
    """
    return with_one_key_exchange(
        proposal
        for proposal in proposals
        if all(
            any(one.id == _NONE for one in _of_type(proposal.protocol, proposal.transforms, type_))
            for type_ in ADDITIONAL_KEY_EXCHANGES
        )
    )


def _named_first(proposal: Proposal, method: KeId | None) -> Proposal:
    ordered = sorted(
        proposal.transforms, key=lambda t: (t.type, t.type == TransformType.KE and t.id != method)
    )
    return replace(proposal, transforms=tuple(ordered)) if method else proposal


def _common(ours: Proposal, theirs: Proposal, preferred: int | None) -> Choice | list[int]:
    """Return the choice from two proposals, or the transform types that have nothing in common."""
    if ours.protocol != theirs.protocol:
        return [*_types(ours), *_types(theirs)]
    offered = theirs.transforms
    is_usual = len(offered) <= _MOST_KNOWN and not any(t.other_attributes for t in offered)
    match = _known_match if is_usual else _match
    chosen, missing = match(ours.protocol, ours.transforms, offered, preferred)
    if missing:
        return list(missing)
    return Choice(Proposal(theirs.protocol, chosen, theirs.spi, theirs.number))


def _match(
    protocol: int, ours: Transforms, theirs: Transforms, preferred: int | None
) -> tuple[Transforms, tuple[int, ...]]:
    """Return the transforms to choose, and the types that have nothing in common."""
    chosen: list[Transform] = []
    missing: list[int] = []
    additional: list[list[Transform]] = []
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-3.3.6
    ##% If the responder receives a proposal that contains a Transform Type
    ##% it does not understand, or a proposal that is missing a mandatory
    ##% Transform Type, it MUST consider this proposal unacceptable; however,
    ##% other proposals in the same SA payload are processed as usual.
    mandatory = _MANDATORY.get(protocol, ())
    for type_ in dict.fromkeys([*mandatory, *(transform.type for transform in (*ours, *theirs))]):
        common = _common_transforms(
            _of_type(protocol, ours, type_), _of_type(protocol, theirs, type_), preferred
        )
        if not common:
            missing.append(type_)
        elif type_ in ADDITIONAL_KEY_EXCHANGES:
            additional.append(common)
        elif common[0].id != _NONE or not _is_optional(protocol, type_):
            chosen.append(common[0])
    different = all_different(sorted(additional, key=lambda common: common[0].type))
    if different is None:
        missing += [common[0].type for common in additional]
    else:
        chosen += [transform for transform in different if transform.id != _NONE or transform in theirs]
    return tuple(chosen), tuple(missing)


_known_match: Final = lru_cache(maxsize=_KNOWN)(_match)


def _common_transforms(
    ours: Sequence[Transform], theirs: Sequence[Transform], preferred: int | None
) -> list[Transform]:
    """Return what two proposals have in common of one type, best first."""
    common = [transform for transform in ours if transform in theirs]
    if preferred is None:
        return common
    return sorted(
        common, key=lambda transform: transform.type == TransformType.KE and transform.id != preferred
    )


def _of_type(protocol: int, transforms: Transforms, type_: int) -> list[Transform]:
    found = [transform for transform in transforms if transform.type == type_]
    return found or ([Transform(type_, _NONE)] if _is_optional(protocol, type_) else [])


def _is_optional(protocol: int, type_: int) -> bool:
    return type_ in _OPTIONAL.get(protocol, ())


def _types(proposal: Proposal) -> list[int]:
    return [transform.type for transform in proposal.transforms]


def _nearest_miss(ours: Sequence[Proposal], theirs: Sequence[Proposal]) -> str:
    misses = [
        (missing, own, offered)
        for own in ours
        for offered in theirs
        if isinstance(missing := _common(own, offered, None), list)
    ]
    if not misses:
        return "no proposal"
    missing, own, offered = min(misses, key=lambda miss: len(miss[0]))
    return "; ".join(_difference(type_, own, offered) for type_ in missing)


def _difference(type_: int, ours: Proposal, theirs: Proposal) -> str:
    name = next((member.name for member in TransformType if member == type_), f"transform type {type_}")
    own, offered = (
        " ".join(str(transform) for transform in proposal.transforms if transform.type == type_)
        for proposal in (ours, theirs)
    )
    return f"no common {name} (ours {own or 'none'}, theirs {offered or 'none'})"


def _text(proposals: Sequence[Proposal]) -> str:
    return " | ".join(map(str, proposals))
