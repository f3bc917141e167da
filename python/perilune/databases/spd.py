"""The Security Policy Database (RFC 4301, section 4.4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NewType

from perilune.databases.conditions import NOT_POPULATED, UNCONDITIONAL, Conditions, Populate
from perilune.model.errors import LocalError
from perilune.model.selector import TrafficSelector

PolicyId = NewType("PolicyId", int)
"""Names one SPD entry of a data plane for as long as it is installed; 32 bits, not 0."""

LAST_ENTRY: Final = PolicyId(0xFFFF_FFFF)
"""The entry for packets that no other selects, where there is one; no child's."""

LAST_TEMPLATE: Final = 99_999
"""The greatest order of an entry of `policies`; priorities that are worked out for children are greater."""

LAST_PRIORITY: Final = 0xFFFF_FFFF
"""Asked behind all others."""


class Action(Enum):
    """What an SPD entry does with the packets it selects."""

    BYPASS = "bypass"
    DISCARD = "discard"
    PROTECT = "protect"


class Way(Enum):
    """Which packets an SPD entry is about."""

    BOTH = "both"
    """SPD-S, or SPD-I and SPD-O alike."""

    IN = "in"
    """Those that arrive: SPD-I."""

    OUT = "out"
    """Those that leave: SPD-O."""


class IcmpErrors(Enum):
    """Which ICMP errors the SAs of an SPD entry carry (RFC 4301, section 6.2)."""

    CHECKED = "checked"
    """Those about packets of the SA: one that selectors select and that is about another is not let in."""

    RELATED = "related"
    """Those that the selectors select, and all others that are about packets of the SA."""

    SELECTED = "selected"
    """Those that the selectors select, whatever they are about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpdEntry:
    """One entry of the SPD.

    Raises:
        LocalError: There is no selector for one of the ends, or it would protect one direction only.
    """

    id: PolicyId
    name: str
    """`connection/child` of the configuration, or the name of an entry of its section `policies`."""

    priority: int
    """Entries with a smaller number are asked first; among equals, the smaller id."""

    action: Action
    local: tuple[TrafficSelector, ...]
    """Selectors of our side: the source of what goes out."""

    remote: tuple[TrafficSelector, ...]
    """Selectors of the other side: the destination of what goes out."""

    way: Way = Way.BOTH
    """Which way the packets go that it is about; protection is always about both."""

    conditions: Conditions = UNCONDITIONAL
    """What else has to hold for a packet."""

    populate: Populate = NOT_POPULATED
    """What of its selectors an SA takes from the packet that asks for it."""

    acquires: bool = True
    """Whether a packet that finds no SA asks for one and is held meanwhile; else it is dropped."""

    icmp_errors: IcmpErrors = IcmpErrors.RELATED
    """What its SAs carry besides what it selects."""

    def __post_init__(self) -> None:
        if not self.local or not self.remote:
            raise LocalError(f"policy {self.name} needs a selector for each end")
        if self.action is Action.PROTECT and self.way is not Way.BOTH:
            raise LocalError(f"policy {self.name} protects one direction only; SAs come in pairs")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpdTemplate:
    """An SPD entry as the configuration writes it, in its section `policies`."""

    name: str
    order: int
    """Entries with a smaller number are asked first; those of children come behind all of these."""

    action: Action
    way: Way = Way.BOTH
    local: tuple[TrafficSelector, ...]
    remote: tuple[TrafficSelector, ...]
    conditions: Conditions = UNCONDITIONAL
    populate: Populate = NOT_POPULATED
    icmp_errors: IcmpErrors = IcmpErrors.RELATED
    connection: str = ""
    """Of the child; empty where nothing is protected."""

    child: str = ""
    """Whose SAs protect the traffic."""
