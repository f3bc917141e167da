"""What the packets of a child's SAs look like, as the configuration wants it (RFC 4301, section 4.4.1.2)."""

from __future__ import annotations

from dataclasses import dataclass

from perilune.databases.processing import DontFragment, DscpMap, Mode, Processing, TfcToPathMtu
from perilune.model.time import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildForm:
    """The form of a child's packets, as far as it is known before a peer is asked."""

    mode: Mode = Mode.TUNNEL
    """Tunnel, transport or BEET; never any other than this one."""

    tfc: int | TfcToPathMtu | None = None
    """Pad the payload of ESP up to so many octets (RFC 4303, section 2.7), where the peer takes padding."""

    dummies: int = 0
    """Least packets of ESP that leave in a second (RFC 4303, section 2.6)."""

    compression: bool = False
    """Compress packets before they are protected, where the peer can do it too (RFC 3173)."""

    fragments: bool = False
    """Let fragments behind the first travel on SAs whose selectors want ports, where the peer does it too
    (RFC 4301, section 7.3); tunnel mode only."""

    df: DontFragment = DontFragment.COPY
    dscp: DscpMap | None = None
    """DSCP of the outer header; None copies the inner one."""

    flow_label: int = 0
    """Flow label of the outer header where it is IPv6's."""

    path_mtu: int | None = None
    """Path MTU in octets to begin with and to come back to; None when not known."""

    path_mtu_age: Duration = Processing().path_mtu_age
    """How long a path MTU that was learnt is believed."""
