"""An IKE SA behind IKE_SA_INIT: it has keys, and its peer may be anyone."""

from __future__ import annotations

from dataclasses import dataclass, field

from perilune.crypto.ike_keys import IkeKeys
from perilune.crypto.sk import SkCipher
from perilune.ike.protection import Protection
from perilune.model.proposal import IkeSuite
from perilune.model.random import Rng
from perilune.model.spi import IkeSpi


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedSa:
    """SPIs, algorithms, nonces and keys of an IKE SA."""

    spi_i: IkeSpi
    """The original initiator's SPI."""

    spi_r: IkeSpi
    """The original responder's SPI."""

    original_initiator: bool
    """Whether that initiator is us."""

    suite: IkeSuite
    nonce_i: bytes = field(repr=False)
    """Ni of the exchange that created it."""

    nonce_r: bytes = field(repr=False)
    keys: IkeKeys = field(repr=False)

    @property
    def local_spi(self) -> IkeSpi:
        """The SPI that we chose."""
        return self.spi_i if self.original_initiator else self.spi_r

    @property
    def lowest_nonce(self) -> bytes:
        """The lesser of the two nonces, by which simultaneous exchanges are told apart (section 2.8.1)."""
        return min(self.nonce_i, self.nonce_r)

    def protection(self, rng: Rng) -> Protection:
        """Return what seals our messages and opens the peer's; at most one may seal."""
        keys, suite = self.keys, self.suite
        initiator = SkCipher(suite.encryption, suite.integrity, keys.sk_ei, keys.sk_ai)
        responder = SkCipher(suite.encryption, suite.integrity, keys.sk_er, keys.sk_ar)
        if self.original_initiator:
            return Protection(initiator, responder, rng)
        return Protection(responder, initiator, rng)
