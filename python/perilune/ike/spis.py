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


_FIRST_CPI: Final = 256
_LAST_CPI: Final = 61439
"""CPIs between these are for negotiation (RFC 3173, section 3.3)."""

MOST_CPIS: Final = (_LAST_CPI - _FIRST_CPI + 1) // 2
"""As many as may be taken at once: then one of two random ones is still free."""


class SpiRegistry:
    """The SPIs of ESP and AH in use: ours for inbound SAs, and the peers' for outbound ones.

    Args:
        rng: Where new ones come from.
    """

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._inbound: set[Spi] = set()
        self._outbound: set[tuple[Spi, IpAddress]] = set()
        self._foreign: frozenset[Spi] = frozenset()
        self._cpis: dict[Spi, int] = {}
        self._taken_cpis: set[int] = set()

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
        self._taken_cpis.discard(self._cpis.pop(spi, 0))

    def take_cpi(self, spi: Spi) -> int | None:
        """Return a Compression Parameter Index for an inbound SA, which is given back with its SPI.

        No other SA has it, as a peer may look up by it alone. None is returned while all are taken.
        """
        if len(self._taken_cpis) >= MOST_CPIS:
            return None
        while True:
            cpi = int.from_bytes(self._rng.octets(2))
            if _FIRST_CPI <= cpi <= _LAST_CPI and cpi not in self._taken_cpis:
                self._taken_cpis.add(cpi)
                self._cpis[spi] = cpi
                return cpi

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
