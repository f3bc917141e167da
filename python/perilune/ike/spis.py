"""Choosing SPIs that are unique here (RFC 7296, section 2.6; RFC 4303, section 2.1)."""

from __future__ import annotations

from typing import Final

from perilune.model.address import IpAddress
from perilune.model.errors import PeerError
from perilune.model.iana import NotifyType
from perilune.model.random import Rng
from perilune.model.spi import IkeSpi, Spi, format_spi

_SMALLEST: Final = 256
"""SPIs below are reserved by IANA."""


class SpiRegistry:
    """The SPIs of ESP in use: ours for inbound SAs, and the peers' for outbound ones.

    Args:
        rng: Where new ones come from.
    """

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._inbound: set[Spi] = set()
        self._outbound: set[tuple[Spi, IpAddress]] = set()
        self._foreign: frozenset[Spi] = frozenset()

    def leave_alone(self, inbound: frozenset[Spi]) -> None:
        """Never choose these from now on, which SAs have that are not IKE's; it replaces earlier ones."""
        self._foreign = inbound

    def new_ike_spi(self) -> IkeSpi:
        """Return a new SPI for our side of an IKE SA; 64 random bits never come twice."""
        while (spi := int.from_bytes(self._rng.octets(8))) == 0:
            pass
        return IkeSpi(spi)

    def take_inbound(self) -> Spi:
        """Return an SPI for an inbound SA that no other has until it is given back."""
        while True:
            spi = Spi(int.from_bytes(self._rng.octets(4)))
            if spi >= _SMALLEST and spi not in self._inbound and spi not in self._foreign:
                self._inbound.add(spi)
                return spi

    def give_back_inbound(self, spi: Spi) -> None:
        """Let another SA have an SPI."""
        self._inbound.discard(spi)

    def take_outbound(self, spi: Spi, remote: IpAddress) -> None:
        """Note a peer's choice.

        Raises:
            PeerError: It is reserved, or in use for another SA to that address.
        """
        if spi < _SMALLEST or (spi, remote) in self._outbound:
            raise PeerError(
                f"{format_spi(spi)} to {remote} is reserved or in use", notify=NotifyType.NO_PROPOSAL_CHOSEN
            )
        self._outbound.add((spi, remote))

    def give_back_outbound(self, spi: Spi, remote: IpAddress) -> None:
        """Forget a peer's choice."""
        self._outbound.discard((spi, remote))

    def move_outbound(self, spi: Spi, old: IpAddress, new: IpAddress) -> bool:
        """Note that an SA goes to another address now; False, and nothing is done, where that is taken."""
        if old == new:
            return True
        if (spi, new) in self._outbound:
            return False
        self._outbound.discard((spi, old))
        self._outbound.add((spi, new))
        return True
