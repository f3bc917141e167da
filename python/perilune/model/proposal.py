"""Offered algorithms (`Proposal`) and chosen ones (`IkeSuite`, `EspSuite`) (RFC 7296, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from perilune.model.algorithms import ENCRYPTION, INTEGRITY
from perilune.model.iana import (
    ADDITIONAL_KEY_EXCHANGES,
    EncrId,
    IntegId,
    KeId,
    PrfId,
    ProtocolId,
    SnId,
    TransformType,
)


@dataclass(frozen=True, slots=True)
class Transform:
    """One algorithm of a proposal (RFC 7296, section 3.3.2).

    A transform from the network may have a type, a number or an attribute that we do not know; such a
    transform can be written down and shown, and is never chosen.
    """

    type: TransformType | int
    """Transform type."""

    id: int
    """Transform ID, a number in the registry of its type."""

    key_bits: int | None = None
    """Key Length attribute (type 14), in bits; None where the attribute is absent."""

    other_attributes: tuple[tuple[int, bytes], ...] = ()
    """Attributes other than Key Length: (type, value)."""

    def __str__(self) -> str:
        names = _ID_NAMES.get(self.type)
        try:
            name = names(self.id).name if names else f"type {self.type} number {self.id}"
        except ValueError:
            return f"{TransformType(self.type).name} number {self.id}"
        if self.type in ADDITIONAL_KEY_EXCHANGES:
            name = f"{TransformType(self.type).name} {name}"
        return f"{name}({self.key_bits})" if self.key_bits is not None else name


_ID_NAMES: dict[int, type[EncrId | PrfId | IntegId | KeId | SnId]] = {
    TransformType.ENCR: EncrId,
    TransformType.PRF: PrfId,
    TransformType.INTEG: IntegId,
    TransformType.KE: KeId,
    TransformType.SN: SnId,
    **dict.fromkeys(ADDITIONAL_KEY_EXCHANGES, KeId),
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """Transforms for one protocol, in the order in which the sender prefers them (section 3.3.1)."""

    protocol: ProtocolId | int
    transforms: tuple[Transform, ...]
    spi: bytes = b""
    """The sender's SPI: 8 octets for a rekeyed IKE SA, 4 for ESP, empty in IKE_SA_INIT and in policy."""

    number: int = 1
    """Proposal Num; the first proposal of an SA payload is 1 and each next one more."""

    def of_type(self, type_: TransformType) -> tuple[Transform, ...]:
        """Return the transforms of one type, in order."""
        return tuple(transform for transform in self.transforms if transform.type == type_)

    def with_spi(self, spi: bytes, number: int | None = None) -> Proposal:
        """Return this proposal with another SPI and, if given, another number."""
        return Proposal(self.protocol, self.transforms, spi, self.number if number is None else number)

    def without_additional_key_exchanges(self) -> Proposal:
        """Return this proposal with the one key exchange alone."""
        return self._without(ADDITIONAL_KEY_EXCHANGES)

    def without_key_exchanges(self) -> Proposal:
        """Return this proposal without any key exchange.

        IKE_AUTH carries none, so the child it creates is offered without one (section 1.2).
        """
        return self._without((TransformType.KE, *ADDITIONAL_KEY_EXCHANGES))

    def _without(self, types: tuple[TransformType, ...]) -> Proposal:
        kept = tuple([t for t in self.transforms if t.type not in types])
        return self if len(kept) == len(self.transforms) else replace(self, transforms=kept)

    def __str__(self) -> str:
        protocol = self.protocol.name if isinstance(self.protocol, ProtocolId) else str(self.protocol)
        return f"{protocol}: " + ", ".join(map(str, self.transforms))


def all_different(
    choices: Sequence[Sequence[Transform]], used: frozenset[int] = frozenset()
) -> tuple[Transform, ...] | None:
    """Choose a method for each additional key exchange, none of them twice, or None where that cannot be.

    The responder's choice must not contain the same algorithm twice, but for NONE (RFC 9370, section 2.2.1).

    Args:
        choices: For each key exchange, in order, the methods for it, best first.
        used: Methods that were chosen already.
    """
    if not choices:
        return ()
    for transform in choices[0]:
        if transform.id in used:
            continue
        taken = used if transform.id == KeId.NONE else used | {transform.id}
        rest = all_different(choices[1:], taken)
        if rest is not None:
            return (transform, *rest)
    return None


@dataclass(frozen=True, slots=True)
class Encryption:
    """A chosen encryption algorithm with its key length."""

    id: EncrId
    key_bits: int
    """Length of the key proper in bits, without salt or nonce; also where the algorithm has only one
    length and so sends none, as 256 for ChaCha20-Poly1305 and 0 for NULL."""

    @property
    def is_aead(self) -> bool:
        """Whether it authenticates too."""
        return ENCRYPTION[self.id].is_combined

    @property
    def salt_octets(self) -> int:
        """Octets of salt or nonce that are derived behind the key (RFC 4106, section 8.1)."""
        return ENCRYPTION[self.id].salt_octets

    @property
    def keying_octets(self) -> int:
        """Octets to take from the key stream: key and salt."""
        return self.key_bits // 8 + self.salt_octets

    def __str__(self) -> str:
        name = _short(self.id)
        return f"{name}-{self.key_bits}" if self.key_bits else name


def chosen_encryption(transform: Transform) -> Encryption:
    """Return what a chosen transform of type ENCR means; one length of key need not be said."""
    id_ = EncrId(transform.id)
    bits = transform.key_bits
    return Encryption(id_, max(ENCRYPTION[id_].key_bits) if bits is None else bits)


NO_ENCRYPTION = Encryption(EncrId.ENCR_NULL, 0)
"""What an SA of AH has."""

INTEG_KEY_OCTETS = {id_: algorithm.key_octets for id_, algorithm in INTEGRITY.items()}
"""Key length of each integrity algorithm in octets."""

_PREFIXES = ("ENCR_", "AUTH_", "PRIVATE_")


def _short(id_: EncrId | IntegId) -> str:
    return next((id_.name.removeprefix(start) for start in _PREFIXES if id_.name.startswith(start)), id_.name)


def insecure_algorithms(transforms: Iterable[Transform]) -> tuple[str, ...]:
    """Return names of what among the transforms of a proposal is for old peers only, or protects nothing.

    Such algorithms are used only where the configuration says `allow_insecure` (RFC 8221, sections 4 to 6).
    """
    names = [_insecurity(transform) for transform in transforms]
    return tuple(dict.fromkeys(name for name in names if name))


def _insecurity(transform: Transform) -> str | None:
    match transform.type:
        case TransformType.ENCR:
            known = {int(id_): algorithm.is_insecure for id_, algorithm in ENCRYPTION.items()}
        case TransformType.INTEG if transform.id == IntegId.NONE:
            return "encryption without integrity"
        case TransformType.INTEG:
            known = {int(id_): algorithm.is_insecure for id_, algorithm in INTEGRITY.items()}
        case _:
            return None
    return str(transform) if known.get(transform.id) else None


@dataclass(frozen=True, slots=True)
class IkeSuite:
    """The algorithms of an IKE SA."""

    encryption: Encryption
    prf: PrfId
    integrity: IntegId
    """NONE exactly where the encryption is an AEAD."""

    key_exchange: KeId
    additional_key_exchanges: tuple[KeId, ...] = ()
    """Those behind the first one, in the order in which they run (RFC 9370)."""

    def __str__(self) -> str:
        parts = [str(self.encryption)]
        if self.integrity is not IntegId.NONE:
            parts.append(_short(self.integrity))
        additional = [f"KE{n}_{method.name}" for n, method in enumerate(self.additional_key_exchanges, 1)]
        return "/".join([*parts, self.prf.name, self.key_exchange.name, *additional])


@dataclass(frozen=True, slots=True)
class EspSuite:
    """The algorithms of an ESP SA; an AH SA has NULL for encryption."""

    encryption: Encryption
    integrity: IntegId
    """NONE where the encryption is an AEAD, and where the configuration allows ESP without integrity."""

    sequence_numbers: SnId
    key_exchange: KeId = KeId.NONE
    """The method of the exchange that CREATE_CHILD_SA ran for it; NONE for a child of IKE_AUTH."""

    @property
    def uses_counter(self) -> bool:
        """Whether it breaks where a sequence number comes twice with a key: the IV is a counter."""
        return self.encryption.salt_octets > 0 or not INTEGRITY[self.integrity].in_esp

    @property
    def has_integrity(self) -> bool:
        """Whether a receiver can tell its peer's packets from forged ones."""
        return self.encryption.is_aead or self.integrity is not IntegId.NONE

    @property
    def is_insecure(self) -> bool:
        """Whether it needs `allow_insecure`: an algorithm is for old peers only, or integrity is missing."""
        weak = ENCRYPTION[self.encryption.id].is_insecure or INTEGRITY[self.integrity].is_insecure
        return weak or not self.has_integrity

    @property
    def keying_octets(self) -> int:
        """Octets of KEYMAT for one direction: encryption key, salt, integrity key."""
        return self.encryption.keying_octets + INTEG_KEY_OCTETS[self.integrity]

    def __str__(self) -> str:
        parts = [str(self.encryption)]
        if self.integrity is not IntegId.NONE:
            parts.append(_short(self.integrity))
        if self.sequence_numbers is SnId.PARTIALLY_TRANSMITTED_64:
            parts.append("ESN")
        if self.key_exchange is not KeId.NONE:
            parts.append(self.key_exchange.name)
        return "/".join(parts)
