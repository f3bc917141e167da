"""A snapshot of what an endpoint has, for `status` and for control protocols."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from perilune.databases.processing import Mode
from perilune.databases.sad import Encapsulation
from perilune.databases.spd import PolicyId
from perilune.ike.names import ChildName, IkeName
from perilune.ike.nat import Nat
from perilune.model.address import Path
from perilune.model.iana import ProtocolId
from perilune.model.identity import Identity
from perilune.model.proposal import EspSuite, IkeSuite
from perilune.model.selector import TrafficSelector
from perilune.model.time import Instant


class IkeSaState(Enum):
    """Where an IKE SA is in its life."""

    CONNECTING = "connecting"
    """IKE_SA_INIT or IKE_AUTH is under way."""

    ESTABLISHED = "established"
    REKEYED = "rekeyed"
    """A successor has its children; it waits for its end."""

    DELETING = "deleting"


class ChildSaState(Enum):
    """Where a Child SA is in its life."""

    INSTALLED = "installed"
    REKEYED = "rekeyed"
    """A successor exists; it waits for its end."""

    DELETING = "deleting"
    """We asked the peer to delete it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSaStatus:
    """One Child SA."""

    name: ChildName
    state: ChildSaState
    policy: PolicyId
    suite: EspSuite
    protocol: ProtocolId
    mode: Mode
    cpi_in: int | None = None
    """Compression Parameter Index of what is received; None without compression."""

    cpi_out: int | None = None
    """That of what is sent."""

    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    encapsulation: Encapsulation
    installed_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class IkeSaStatus:
    """One IKE SA; what is not known before it is established is None."""

    name: IkeName
    state: IkeSaState
    original_initiator: bool
    """Whether we began it."""

    path: Path
    local_id: Identity | None = None
    local_auth: str | None = None
    """By what we proved who we are, such as `PSK` or `RSASSA-PSS with SHA-256`."""

    remote_id: Identity | None = None
    remote_auth: str | None = None
    """By what the peer did."""

    suite: IkeSuite | None = None
    nat: Nat = field(default_factory=Nat)
    established_at: Instant | None = None
    rekey_at: Instant | None = None
    """When it will be rekeyed; None never."""

    children: tuple[ChildSaStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStatus:
    """Everything, IKE SAs in order of their ids."""

    ike_sas: tuple[IkeSaStatus, ...]
    half_open: int
    """IKE SAs that a peer began and has not authenticated."""
