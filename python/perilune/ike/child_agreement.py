"""What two sides agree on for a Child SA: suite, SPIs, selectors, keys (RFC 7296, sections 1.3, 2.17)."""

from __future__ import annotations

from dataclasses import dataclass, field

from perilune.crypto.ike_keys import DirectionKeys, derive_child_keys
from perilune.databases.pad import ChildPolicy
from perilune.databases.sad import EspKeys
from perilune.ike.child_form import AgreedForm
from perilune.ike.keyed import KeyedSa
from perilune.ike.narrowing import Selectors
from perilune.model.proposal import EspSuite
from perilune.model.secret import Secret
from perilune.model.spi import Spi


@dataclass(frozen=True, slots=True)
class Nonces:
    """The nonces of the exchange that makes a Child SA, and the secret of its key exchange if it has one."""

    nonce_i: bytes = field(repr=False)
    nonce_r: bytes = field(repr=False)
    shared: Secret | None = None

    @property
    def lowest(self) -> bytes:
        """The lesser nonce, by which simultaneous rekeyings are told apart (section 2.8.1)."""
        return min(self.nonce_i, self.nonce_r)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildAgreement:
    """A Child SA that is agreed on and not yet installed."""

    policy: ChildPolicy
    suite: EspSuite
    form: AgreedForm
    spi_in: Spi
    spi_out: Spi
    local: Selectors
    remote: Selectors
    inbound: EspKeys = field(repr=False)
    outbound: EspKeys = field(repr=False)
    lowest_nonce: bytes = field(repr=False)

    began_here: bool
    """Whether we were the initiator of the exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildTerms:
    """Everything that an agreement needs besides keys."""

    policy: ChildPolicy
    suite: EspSuite
    form: AgreedForm
    spi_in: Spi
    spi_out: Spi
    local: Selectors
    remote: Selectors


def agree(keyed: KeyedSa, nonces: Nonces, terms: ChildTerms, *, began_here: bool) -> ChildAgreement:
    """Derive the keys of a Child SA.

    Args:
        keyed: The IKE SA.
        nonces: Of the exchange.
        terms: What was negotiated.
        began_here: Whether we were the initiator of the exchange.
    """
    keys = derive_child_keys(
        keyed.suite.prf, keyed.keys.sk_d, nonces.nonce_i, nonces.nonce_r, terms.suite, nonces.shared
    )
    ours, theirs = keys.initiator, keys.responder
    if not began_here:
        ours, theirs = theirs, ours
    return ChildAgreement(
        policy=terms.policy,
        suite=terms.suite,
        form=terms.form,
        spi_in=terms.spi_in,
        spi_out=terms.spi_out,
        local=terms.local,
        remote=terms.remote,
        inbound=_esp_keys(theirs),
        outbound=_esp_keys(ours),
        lowest_nonce=nonces.lowest,
        began_here=began_here,
    )


def _esp_keys(keys: DirectionKeys) -> EspKeys:
    return EspKeys(keys.encryption, keys.integrity)
