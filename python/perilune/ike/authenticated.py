"""Proof that a peer is who it says: made by IKE_AUTH alone, and needed to make an `IkeSa`."""

from __future__ import annotations

from dataclasses import dataclass

from perilune.databases.pad import PadEntry
from perilune.ike.nat import Nat
from perilune.ike.registry import Identities
from perilune.model.address import Path
from perilune.model.identity import NOBODY, Identity
from perilune.model.time import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticated:
    """Two sides that proved to each other who they are."""

    entry: PadEntry
    """The connection as it was configured then; a reload does not change it."""

    local_id: Identity
    local_auth: str
    """By what we proved that."""

    remote_id: Identity
    """NOBODY where the peer proved nothing, whatever it said: nothing may follow from that (RFC 7619, section
    2.2)."""

    remote_auth: str
    """By what the peer proved that."""

    init_path: Path
    """The way of IKE_SA_INIT: the peer has shown that it receives at that address, which no later message
    shows. `dynamic` selectors stand for its ends, wherever the peer moves."""

    nat: Nat
    fragmentation: bool
    """Whether we may send fragments."""

    began_at: Instant
    """When IKE_SA_INIT began."""

    @property
    def is_anonymous(self) -> bool:
        """Whether the peer proved nothing, so that others with the same identity are others."""
        return self.remote_id == NOBODY

    def is_proved_as(self, other: Authenticated) -> bool:
        """Whether the same was asked of two peers: by one connection, or by two that ask for the same."""
        ours, theirs = self.entry, other.entry
        return ours.name == theirs.name or ours.remote_proof == theirs.remote_proof

    @property
    def identities(self) -> Identities:
        """Who we are and who the peer is."""
        return self.local_id, self.remote_id
