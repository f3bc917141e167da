"""The Security Policy Database (RFC 4301, section 4.4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, NewType

from perilune.model.errors import LocalError
from perilune.model.selector import TrafficSelector

PolicyId = NewType("PolicyId", int)
"""Names one SPD entry of a data plane for as long as it is installed; 32 bits, not 0."""

LAST_ENTRY: Final = PolicyId(0xFFFF_FFFF)
"""The entry for packets that no other selects, where there is one; no child's."""

LAST_PRIORITY: Final = 0xFFFF_FFFF
"""Asked behind all others."""


class Action(Enum):
    """What an SPD entry does with the packets it selects."""

    BYPASS = "bypass"
    DISCARD = "discard"
    PROTECT = "protect"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpdEntry:
    """One entry of the SPD, for both directions.

    Raises:
        LocalError: There is no selector for one of the ends.
    """

    id: PolicyId
    name: str
    """The child's name in the configuration, `connection/child`."""

    priority: int
    """Entries with a smaller number are asked first; among equals, the smaller id."""

    action: Action
    local: tuple[TrafficSelector, ...]
    """Selectors of our side: the source of what goes out."""

    remote: tuple[TrafficSelector, ...]
    """Selectors of the other side: the destination of what goes out."""

    acquires: bool = True
    """Whether a packet that finds no SA asks for one and is held meanwhile; else it is dropped."""

    def __post_init__(self) -> None:
        if not self.local or not self.remote:
            raise LocalError(f"policy {self.name} needs a selector for each end")
