"""An IKE SA behind IKE_SA_INIT: it has keys, and its peer may be anyone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from perilune.crypto.ike_keys import IkeKeys, derive_ike_keys, derive_updated_ike_keys
from perilune.crypto.sk import SkCipher
from perilune.ike.protection import Protection
from perilune.model.proposal import IkeSuite
from perilune.model.random import Rng
from perilune.model.secret import Secret
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

    @classmethod
    def of_first_exchange(
        cls,
        suite: IkeSuite,
        nonces: tuple[bytes, bytes],
        shared: Secret,
        spis: tuple[IkeSpi, IkeSpi],
        *,
        original_initiator: bool,
    ) -> Self:
        """Derive the keys of an IKE SA that IKE_SA_INIT created (section 2.14).

        Args:
            suite: What was chosen.
            nonces: Ni and Nr.
            shared: The secret of the key exchange.
            spis: The initiator's SPI and the responder's.
            original_initiator: Whether we are the initiator.
        """
        return cls(
            spi_i=spis[0],
            spi_r=spis[1],
            original_initiator=original_initiator,
            suite=suite,
            nonce_i=nonces[0],
            nonce_r=nonces[1],
            keys=derive_ike_keys(suite, *nonces, shared, *spis),
        )

    def updated(self, shared: Secret) -> Self:
        """Return the same with the keys that follow from one more key exchange (RFC 9370, section 2.2.2)."""
        keys = derive_updated_ike_keys(
            self.suite, self.keys.sk_d, self.nonce_i, self.nonce_r, shared, self.spi_i, self.spi_r
        )
        return replace(self, keys=keys)

    def protection(self, rng: Rng) -> Protection:
        """Return what seals our messages and opens the peer's; at most one may seal."""
        keys, suite = self.keys, self.suite
        initiator = SkCipher(suite.encryption, suite.integrity, keys.sk_ei, keys.sk_ai)
        responder = SkCipher(suite.encryption, suite.integrity, keys.sk_er, keys.sk_ar)
        if self.original_initiator:
            return Protection(initiator, responder, rng)
        return Protection(responder, initiator, rng)
