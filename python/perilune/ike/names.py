"""How events and status name IKE SAs and Child SAs."""

from __future__ import annotations

from dataclasses import dataclass

from perilune.model.spi import IkeSpi, Spi, format_ike_spi, format_spi


@dataclass(frozen=True, slots=True)
class IkeName:
    """One IKE SA, established or not."""

    connection: str
    """The PAD entry's name; empty for a responder that does not know it yet."""

    id: int
    """Unique in this endpoint for as long as it lives."""

    spi_i: IkeSpi
    """The original initiator's SPI."""

    spi_r: IkeSpi
    """The original responder's; 0 while unknown."""

    def __str__(self) -> str:
        return (
            f"{self.connection or '(unknown)'}[{self.id}]"
            f" {format_ike_spi(self.spi_i)}/{format_ike_spi(self.spi_r)}"
        )


@dataclass(frozen=True, slots=True)
class ChildName:
    """One Child SA: a pair of ESP SAs."""

    name: str
    """The child's name in its connection."""

    id: int
    """Unique in this endpoint for as long as it lives."""

    spi_in: Spi
    """What we receive with."""

    spi_out: Spi
    """What we send with."""

    def __str__(self) -> str:
        return f"{self.name}{{{self.id}}} in {format_spi(self.spi_in)} out {format_spi(self.spi_out)}"
