"""Settings of an IKE endpoint as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from perilune.ike.timers import IkeTimers
from perilune.model.address import NAT_T_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSettings:
    """What all IKE SAs of an endpoint share."""

    timers: IkeTimers = field(default_factory=IkeTimers)

    cookie_threshold: int = 30
    """Half-open IKE SAs from which on a cookie is demanded (RFC 7296, section 2.6); 0 always demands one."""

    half_open_limit: int = 1000
    """Half-open IKE SAs, from which on further requests are dropped."""

    half_open_limit_per_address: int = 32
    """The same for those of one remote address."""

    ike_limit_per_peer: int = 100
    """IKE SAs that peers began between the same two identities, above which the oldest ends."""

    child_limit: int = 1000
    """Child SAs of one IKE SA, from which on a peer gets NO_ADDITIONAL_SAS (RFC 7296, section 1.3)."""

    policies_stand: bool = True
    """Whether the policy of every protected child is there as long as the child is configured, up or not;
    else only that of a trapped one."""

    fragment_octets: int = 1280
    """Longest IP datagram to send before IKE messages are fragmented (RFC 7383, section 2.5.1)."""

    nat_t_port: int = NAT_T_PORT
    """Our UDP port on which a non-ESP marker precedes IKE messages (RFC 3948, section 2.2)."""

    export_keys: bool = False
    """Tell keys in `IkeKeysDerived` and `ChildKeysDerived`, for a key log."""
