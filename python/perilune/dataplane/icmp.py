"""Which ICMP errors are accepted that nobody has authenticated (RFC 4301, section 6.1)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class IcmpKind:
    """A type of ICMP error, or one of its codes."""

    version: int
    """4 for ICMP, 6 for ICMPv6, whose types are others."""

    type: int
    code: int | None = None
    """None is all of them."""


TOO_BIG = (IcmpKind(4, 3, 4), IcmpKind(6, 2))
"""Fragmentation needed and DF set (RFC 792); Packet Too Big (RFC 4443, section 3.2)."""

ERRORS = {
    "too-big": TOO_BIG,
    "unreachable": (IcmpKind(4, 3), IcmpKind(6, 1)),
    "time-exceeded": (IcmpKind(4, 11), IcmpKind(6, 3)),
    "parameter-problem": (IcmpKind(4, 12), IcmpKind(6, 4)),
    "redirect": (IcmpKind(4, 5),),
    "source-quench": (IcmpKind(4, 4),),
}
"""By their names, in both versions."""

ALL_ERRORS = tuple(kind for kinds in ERRORS.values() for kind in kinds)
"""Every error (RFC 1122, section 3.2.2; RFC 4443, section 2.1)."""

HARMLESS = tuple(kind for kind in ALL_ERRORS if kind not in ERRORS["redirect"] + ERRORS["source-quench"])
"""Those that change no routes and slow nobody down (RFC 6633)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IcmpControls:
    """What unauthenticated ICMP errors about packets of SAs may do (RFC 4301, section 6.1.1)."""

    accepted: tuple[IcmpKind, ...] = TOO_BIG
    """What is accepted; all else is dropped, counted and audited. Too-big lowers path MTUs, other errors are
    audited and change nothing."""

    least_path_mtu: int = 576
    """Least path MTU over IPv4 that is believed, in octets; over IPv6 it is 1280."""
