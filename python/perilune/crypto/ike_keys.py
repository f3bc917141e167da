"""Keys of IKE SAs and Child SAs (RFC 7296, sections 2.14, 2.17 and 2.18)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perilune.crypto.prf import PRF_KEY_OCTETS, prf, prf_plus
from perilune.model.iana import PrfId
from perilune.model.proposal import INTEG_KEY_OCTETS, EspSuite, IkeSuite
from perilune.model.secret import Secret
from perilune.model.spi import IkeSpi


@dataclass(frozen=True, slots=True)
class IkeKeys:
    """The seven secrets of an IKE SA; `i` is the original initiator's and `r` the responder's."""

    sk_d: Secret
    """Makes keys of Child SAs and of the next IKE SA."""

    sk_ai: Secret
    """Integrity key; empty where the encryption is an AEAD."""

    sk_ar: Secret
    sk_ei: Secret
    """Encryption key; an AEAD's salt is its last octets."""

    sk_er: Secret
    sk_pi: Secret
    """Goes into AUTH."""

    sk_pr: Secret


@dataclass(frozen=True, slots=True)
class DirectionKeys:
    """The keys of one SA, which protects one direction."""

    encryption: Secret
    """Key and, behind it, the salt of an AEAD: `Encryption.keying_octets` in all."""

    integrity: Secret
    """Empty where the encryption is an AEAD."""


@dataclass(frozen=True, slots=True)
class ChildKeys:
    """The keys of a Child SA by who began the exchange that created it."""

    initiator: DirectionKeys
    """For traffic from the exchange's initiator to its responder."""

    responder: DirectionKeys
    """For traffic the other way."""


def derive_ike_keys(  # noqa: PLR0913, PLR0917 - the quantities that section 2.14 names
    suite: IkeSuite, nonce_i: bytes, nonce_r: bytes, shared: Secret, spi_i: IkeSpi, spi_r: IkeSpi
) -> IkeKeys:
    """Derive the keys of an IKE SA that IKE_SA_INIT created (section 2.14).

    Args:
        suite: The negotiated algorithms.
        nonce_i: Ni without its payload header.
        nonce_r: Nr, same shape.
        shared: g^ir as long as the modulus or, for curves, the coordinate.
        spi_i: The initiator's SPI.
        spi_r: The responder's SPI.
    """
    skeyseed = initial_skeyseed(suite.prf, nonce_i, nonce_r, shared)
    return _expand(suite, skeyseed, nonce_i, nonce_r, spi_i, spi_r)


def derive_updated_ike_keys(  # noqa: PLR0913, PLR0917 - the quantities that the section names
    suite: IkeSuite,
    sk_d: Secret,
    nonce_i: bytes,
    nonce_r: bytes,
    shared: Secret,
    spi_i: IkeSpi,
    spi_r: IkeSpi,
) -> IkeKeys:
    """Derive the keys that an IKE SA has behind an additional key exchange (RFC 9370, section 2.2.2).

    Args:
        suite: The negotiated algorithms.
        sk_d: SK_d(n - 1).
        nonce_i: Ni of IKE_SA_INIT without its payload header.
        nonce_r: Nr, same shape.
        shared: SK(n), the secret of the exchange.
        spi_i: The initiator's SPI.
        spi_r: The responder's SPI.
    """
    # SKEYSEED(n) = prf(SK_d(n - 1), SK(n) | Ni | Nr) has the form of a rekeyed IKE SA's SKEYSEED.
    skeyseed = rekeyed_skeyseed(suite.prf, sk_d, nonce_i, nonce_r, (shared,))
    return _expand(suite, skeyseed, nonce_i, nonce_r, spi_i, spi_r)


def derive_rekeyed_ike_keys(  # noqa: PLR0913, PLR0917 - the quantities that section 2.18 names
    suite: IkeSuite,
    old_prf: PrfId,
    old_sk_d: Secret,
    nonce_i: bytes,
    nonce_r: bytes,
    secrets: Sequence[Secret],
    spi_i: IkeSpi,
    spi_r: IkeSpi,
) -> IkeKeys:
    """Derive the keys of an IKE SA that replaces another (section 2.18; RFC 9370, section 2.2.4).

    Args:
        suite: The algorithms negotiated for the new IKE SA.
        old_prf: The old IKE SA's PRF, which makes SKEYSEED; the new one's expands it.
        old_sk_d: SK_d of the old IKE SA.
        nonce_i: Ni of the CREATE_CHILD_SA exchange without its payload header.
        nonce_r: Nr, same shape.
        secrets: g^ir of that exchange, and behind it those of the additional key exchanges, in order.
        spi_i: The new SPI of that exchange's initiator, who is the new IKE SA's original initiator.
        spi_r: The new SPI of that exchange's responder.
    """
    skeyseed = rekeyed_skeyseed(old_prf, old_sk_d, nonce_i, nonce_r, secrets)
    return _expand(suite, skeyseed, nonce_i, nonce_r, spi_i, spi_r)


def derive_child_keys(  # noqa: PLR0913, PLR0917 - the quantities that section 2.17 names
    prf_id: PrfId, sk_d: Secret, nonce_i: bytes, nonce_r: bytes, suite: EspSuite, shared: Secret | None = None
) -> ChildKeys:
    """Derive the keys of a Child SA (section 2.17).

    Args:
        prf_id: The IKE SA's PRF.
        sk_d: The IKE SA's SK_d.
        nonce_i: Ni without its payload header: of IKE_SA_INIT for the child of IKE_AUTH, else of the
            CREATE_CHILD_SA exchange.
        nonce_r: Nr, same shape.
        suite: The child's algorithms.
        shared: g^ir of the CREATE_CHILD_SA exchange, or None where it had no key exchange.
    """
    seed = (shared.reveal() if shared else b"") + nonce_i + nonce_r
    octets = suite.keying_octets
    keymat = prf_plus(prf_id, sk_d, seed, 2 * octets)
    return ChildKeys(_direction(suite, keymat[:octets]), _direction(suite, keymat[octets:]))


def initial_skeyseed(prf_id: PrfId, nonce_i: bytes, nonce_r: bytes, shared: Secret) -> Secret:
    """Return SKEYSEED of IKE_SA_INIT: prf(Ni | Nr, g^ir) (section 2.14)."""
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.14
    ##% If the negotiated PRF is
    ##% AES-XCBC-PRF-128 [AESXCBCPRF128] or AES-CMAC-PRF-128 [AESCMACPRF128],
    ##% only the first 64 bits of Ni and the first 64 bits of Nr are used in
    ##% calculating SKEYSEED
    if prf_id in {PrfId.PRF_AES128_XCBC, PrfId.PRF_AES128_CMAC}:
        nonce_i, nonce_r = nonce_i[:8], nonce_r[:8]
    return Secret(prf(prf_id, nonce_i + nonce_r, shared.reveal()))


def rekeyed_skeyseed(
    old_prf: PrfId, old_sk_d: Secret, nonce_i: bytes, nonce_r: bytes, secrets: Sequence[Secret]
) -> Secret:
    """Return SKEYSEED of a rekeyed IKE SA (section 2.18; RFC 9370, section 2.2.4).

    It is prf(SK_d (old), SK(0) | Ni | Nr | SK(1) | ... SK(n)), where SK(0) is g^ir (new).
    """
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.18
    ##% Because
    ##% the rekeying exchange belongs to the old IKE SA, it is the old IKE
    ##% SA's PRF that is used to generate SKEYSEED.
    first, *additional = (secret.reveal() for secret in secrets)
    return Secret(prf(old_prf, old_sk_d, b"".join((first, nonce_i, nonce_r, *additional))))


def _expand(  # noqa: PLR0913, PLR0917 - the quantities that section 2.14 names
    suite: IkeSuite, skeyseed: Secret, nonce_i: bytes, nonce_r: bytes, spi_i: IkeSpi, spi_r: IkeSpi
) -> IkeKeys:
    seed = nonce_i + nonce_r + spi_i.to_bytes(8) + spi_r.to_bytes(8)
    derive = PRF_KEY_OCTETS[suite.prf]
    integrity = INTEG_KEY_OCTETS[suite.integrity]
    encryption = suite.encryption.keying_octets
    lengths = (derive, integrity, integrity, encryption, encryption, derive, derive)
    stream = prf_plus(suite.prf, skeyseed, seed, sum(lengths))
    keys: list[Secret] = []
    position = 0
    for length in lengths:
        keys.append(Secret(stream[position : position + length]))
        position += length
    return IkeKeys(*keys)


def _direction(suite: EspSuite, keymat: bytes) -> DirectionKeys:
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.17
    ##% the encryption key (if any) MUST be
    ##% taken from the first bits and the integrity key (if any) MUST be
    ##% taken from the remaining bits.
    octets = suite.encryption.keying_octets
    return DirectionKeys(Secret(keymat[:octets]), Secret(keymat[octets:]))
