"""What IKE_SA_INIT, and IKE_INTERMEDIATE behind it, hand on to IKE_AUTH, on either side."""

from __future__ import annotations

from dataclasses import dataclass

from perilune.databases.pad import ChildPolicy, Fragmentation, PadEntry
from perilune.dataplane.events import Flow
from perilune.ike.keyed import KeyedSa
from perilune.ike.nat import Nat
from perilune.ike.signature_hashes import AgreedHashes
from perilune.model.address import Path
from perilune.model.proposal import Proposal


@dataclass(frozen=True, slots=True)
class WantedChild:
    """A child to set up with the IKE SA."""

    policy: ChildPolicy
    flow: Flow | None = None


@dataclass(frozen=True, slots=True)
class InitDone:
    """What IKE_SA_INIT leads to."""

    keyed: KeyedSa
    nat: Nat
    fragmentation: bool
    """Whether both sides announced it."""

    local_message: bytes
    """Our message of IKE_SA_INIT, which our AUTH signs (section 2.15)."""

    remote_message: bytes
    path: Path
    chosen: Proposal
    """What the responder chose of the initiator's offer."""

    hashes: AgreedHashes
    """Of signatures."""

    liked: frozenset[bytes] = frozenset()
    """AlgorithmIdentifiers that the responder announced for our signature (RFC 9593)."""

    int_auth: bytes = b""
    """What our AUTH and the peer's sign of IKE_INTERMEDIATE (RFC 9242, section 3.3.2)."""


def may_fragment(entry: PadEntry) -> bool:
    """Whether we send fragments where the peer takes them; see `Fragmentation`."""
    return entry.fragmentation in {Fragmentation.YES, Fragmentation.FORCE}
