"""Which IKE SA has the Child SA that an event of the data plane is about."""

from __future__ import annotations

from perilune.ike.child_sa import ChildSa
from perilune.model.spi import IkeSpi, Spi


class ChildIndex:
    """Our SPIs of IKE SAs by the inbound SPIs of their children.

    Outbound SPIs would not do: two peers may have chosen the same, one of them on purpose.
    """

    def __init__(self) -> None:
        self._owners: dict[Spi, IkeSpi] = {}

    def add(self, child: ChildSa, owner: IkeSpi) -> None:
        """Note that an IKE SA has a child."""
        self._owners[child.spi_in] = owner

    def remove(self, child: ChildSa) -> None:
        """Note that the child is no more."""
        self._owners.pop(child.spi_in, None)

    def owner(self, spi_in: Spi) -> IkeSpi | None:
        """Return the IKE SA whose child receives with an SPI."""
        return self._owners.get(spi_in)
