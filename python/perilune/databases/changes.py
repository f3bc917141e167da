"""What a data plane can be told, in transactions of one or more changes."""

from __future__ import annotations

from dataclasses import dataclass

from perilune.databases.sad import Direction, SadEntry
from perilune.databases.spd import PolicyId, SpdEntry
from perilune.model.address import Path
from perilune.model.spi import Spi


@dataclass(frozen=True, slots=True)
class AddSa:
    """Install an SA; it can be used at once."""

    entry: SadEntry


@dataclass(frozen=True, slots=True)
class RemoveSa:
    """Remove an SA and erase its keys."""

    direction: Direction
    spi: Spi
    path: Path
    """Its path; an outbound SPI is the peer's choice and unique only with the peer's address."""


@dataclass(frozen=True, slots=True)
class MoveSa:
    """Let an SA use another path from now on, for a peer whose NAT mapping changed (RFC 7296, 2.23)."""

    direction: Direction
    spi: Spi
    old: Path
    new: Path


@dataclass(frozen=True, slots=True)
class ReserveSequence:
    """Let an outbound SA use its sequence numbers up to and with one."""

    spi: Spi
    path: Path
    until: int


@dataclass(frozen=True, slots=True)
class AddPolicy:
    """Install an SPD entry."""

    entry: SpdEntry


@dataclass(frozen=True, slots=True)
class RemovePolicy:
    """Remove an SPD entry, the packets held for it and every SA that serves it."""

    id: PolicyId


Change = AddSa | RemoveSa | MoveSa | ReserveSequence | AddPolicy | RemovePolicy
"""One change of the SAD or the SPD."""
