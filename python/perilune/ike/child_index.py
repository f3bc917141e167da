"""Which IKE SA has the Child SA that an event of the data plane is about."""

from __future__ import annotations

from perilune.databases.sad import Direction
from perilune.ike.child_sa import ChildSa
from perilune.model.spi import IkeSpi, Spi

_Key = tuple[Direction, Spi]


class ChildIndex:
    """Our SPIs of IKE SAs by the SPIs of their children; an outbound one may be the choice of two peers."""

    def __init__(self) -> None:
        self._owners: dict[_Key, set[IkeSpi]] = {}

    def add(self, child: ChildSa, owner: IkeSpi) -> None:
        """Note that an IKE SA has a child."""
        for key in _keys(child):
            self._owners.setdefault(key, set()).add(owner)

    def remove(self, child: ChildSa, owner: IkeSpi) -> None:
        """Note that it has the child no more."""
        for key in _keys(child):
            owners = self._owners.get(key, set())
            owners.discard(owner)
            if not owners:
                self._owners.pop(key, None)

    def owners(self, direction: Direction, spi: Spi) -> list[IkeSpi]:
        """Return the IKE SAs that may be meant."""
        return sorted(self._owners.get((direction, spi), ()))


def _keys(child: ChildSa) -> tuple[_Key, _Key]:
    return (Direction.INBOUND, child.spi_in), (Direction.OUTBOUND, child.spi_out)
