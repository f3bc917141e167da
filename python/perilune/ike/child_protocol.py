"""ESP or AH for a Child SA: what passes a NAT, and which key of the configuration has it (RFC 7296, 2.23)."""

from __future__ import annotations

from collections.abc import Sequence

from perilune.ike.nat import Nat
from perilune.ike.negotiation import Choice
from perilune.ike.refusal import Refusal
from perilune.model.iana import NotifyType, ProtocolId
from perilune.model.proposal import Proposal


def through(nat: Nat, proposals: tuple[Proposal, ...]) -> tuple[Proposal, ...]:
    """Return proposals without AH where a NAT is between; all of them where there is nothing but AH."""
    esp = tuple(one for one in proposals if one.protocol != ProtocolId.AH)
    return esp if nat.between and esp else proposals


def require_passage(choice: Choice, nat: Nat, hint: str) -> None:
    """Check that the packets of what was chosen can come through.

    Raises:
        Refusal: It is AH, and a NAT is between; the notify is NO_PROPOSAL_CHOSEN.
    """
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.23
    ##% NAT boxes, it is impossible for AH to work
    if choice.proposal.protocol == ProtocolId.AH and nat.between:
        raise Refusal(
            f"AH protects the addresses, which a NAT changes; there is {nat}",
            NotifyType.NO_PROPOSAL_CHOSEN,
            ours=str(choice.proposal),
            hint=hint_at_nat(hint),
        )


def hint_at_nat(hint: str) -> str:
    """Return what to look at in the configuration where a child of AH meets a NAT."""
    return f"{hint}.ah_proposals; esp_proposals pass a NAT"


def proposals_key(proposals: Sequence[Proposal]) -> str:
    """Return the name of the key of the configuration that has proposals."""
    names = {ProtocolId.AH: "ah_proposals", ProtocolId.ESP: "esp_proposals"}
    found = [name for protocol, name in names.items() if any(one.protocol == protocol for one in proposals)]
    return " and ".join(found)
