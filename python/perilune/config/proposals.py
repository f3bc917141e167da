"""Proposal strings: `aes256gcm16-prfsha384-x25519, aes256-sha256-ecp256` (RFC 7296, section 3.3).

A proposal is algorithms separated by dashes, of which each kind may come several times; a list of proposals
is separated by commas. `default` stands for proposals that are safe and that most peers share.
"""

from __future__ import annotations

from perilune.config.algorithms import KEYWORDS, PRF_OF_INTEGRITY, refusal
from perilune.config.values import Kind, nearest, quote, words
from perilune.model.algorithms import ENCRYPTION, INTEGRITY
from perilune.model.errors import ConfigError
from perilune.model.iana import (
    ADDITIONAL_KEY_EXCHANGES,
    EncrId,
    IntegId,
    ProtocolId,
    SnId,
    TransformType,
)
from perilune.model.proposal import Proposal, Transform, all_different, insecure_algorithms

DEFAULT_IKE = (
    "aes256gcm16-aes128gcm16-chacha20poly1305-prfsha384-prfsha256-prfsha512"
    "-x25519-ecp384-ecp256-ecp521-x448-ke1_mlkem768-ke1_mlkem1024",
    "aes256gcm16-aes128gcm16-chacha20poly1305-prfsha384-prfsha256-prfsha512"
    "-x25519-ecp384-ecp256-ecp521-x448-modp4096-modp3072-modp2048",
    "aes256-aes192-aes128-sha384-sha256-sha512-prfsha384-prfsha256-prfsha512"
    "-x25519-ecp384-ecp256-ecp521-x448-modp4096-modp3072-modp2048",
)
"""What `default` means for IKE: hybrid with a post-quantum key exchange, or without where a peer has none."""

DEFAULT_ESP = (
    "aes256gcm16-aes128gcm16-chacha20poly1305-esn-noesn",
    "aes256-aes192-aes128-sha256-sha384-sha512-esn-noesn",
)
"""What `default` means for ESP."""

_ORDER = (
    TransformType.ENCR,
    TransformType.INTEG,
    TransformType.PRF,
    TransformType.KE,
    TransformType.SN,
    *ADDITIONAL_KEY_EXCHANGES,
)
_NO_ESN = Transform(TransformType.SN, SnId.SEQUENTIAL_32)


def read_proposals(text: str, protocol: ProtocolId) -> tuple[Proposal, ...]:
    """Read a list of proposals; they are numbered from 1 on.

    Args:
        text: Proposals, separated by commas.
        protocol: IKE or ESP.

    Raises:
        ConfigError: A word is no algorithm, or a proposal has not what its protocol needs.
    """
    default = DEFAULT_IKE if protocol is ProtocolId.IKE else DEFAULT_ESP
    texts = [one for word in words(text) for one in (default if word.lower() == "default" else (word,))]
    read = [_read_transforms(one, protocol) for one in texts]
    return tuple(
        Proposal(protocol, transforms, number=number)
        for number, transforms in enumerate(dict.fromkeys(read), start=1)
    )


def _read_transforms(text: str, protocol: ProtocolId) -> tuple[Transform, ...]:
    given = dict.fromkeys(_transform(word) for word in text.lower().split("-"))
    transforms = (
        _completed_ike(list(given), text) if protocol is ProtocolId.IKE else _completed_esp(list(given), text)
    )
    return tuple(sorted(transforms, key=lambda transform: _ORDER.index(TransformType(transform.type))))


def _transform(word: str) -> Transform:
    if word not in KEYWORDS:
        why = refusal(word) or "is no algorithm that is known here"
        raise ConfigError(f"{quote(word)} {why}", nearest=nearest(word, KEYWORDS))
    return KEYWORDS[word]


def _completed_ike(transforms: list[Transform], text: str) -> list[Transform]:
    """Add the PRF that follows from the integrity algorithm, and drop what an AEAD has no use for."""
    if _of(transforms, TransformType.SN):
        raise ConfigError(f"{quote(text)}: esn and noesn are for ESP")
    if not _of(transforms, TransformType.KE):
        raise ConfigError(f"{quote(text)}: an IKE proposal needs a key exchange, such as x25519")
    integrity = _of(transforms, TransformType.INTEG)
    if not _of(transforms, TransformType.PRF):
        transforms = transforms + [
            Transform(TransformType.PRF, PRF_OF_INTEGRITY[IntegId(one.id)])
            for one in integrity
            if one.id in PRF_OF_INTEGRITY
        ]
    _check_use(transforms, text, ProtocolId.IKE)
    _check_additional(transforms, text)
    completed = _checked_encryption(transforms, text)
    if not _of(completed, TransformType.PRF):
        raise ConfigError(f"{quote(text)}: an IKE proposal needs a PRF, such as prfsha256")
    return completed


def _completed_esp(transforms: list[Transform], text: str) -> list[Transform]:
    """Add `noesn` where nothing is said of sequence numbers, and drop what an AEAD has no use for."""
    if _of(transforms, TransformType.PRF):
        raise ConfigError(f"{quote(text)}: a PRF is for IKE")
    if any(one.type in ADDITIONAL_KEY_EXCHANGES for one in transforms):
        raise ConfigError(f"{quote(text)}: additional key exchanges are for IKE only here")
    _check_use(transforms, text, ProtocolId.ESP)
    completed = _checked_encryption(transforms, text)
    return completed if _of(completed, TransformType.SN) else [*completed, _NO_ESN]


def _check_use(transforms: list[Transform], text: str, protocol: ProtocolId) -> None:
    """Refuse what the protocol has no use for."""
    in_ike = protocol is ProtocolId.IKE
    encryption = [EncrId(one.id) for one in _of(transforms, TransformType.ENCR)]
    integrity = [IntegId(one.id) for one in _of(transforms, TransformType.INTEG)]
    foreign = [id_ for id_ in encryption if in_ike and not ENCRYPTION[id_].in_ike]
    foreign_integrity = [id_ for id_ in integrity if in_ike and not INTEGRITY[id_].in_ike]
    if foreign or foreign_integrity:
        raise ConfigError(f"{quote(text)}: {(foreign + foreign_integrity)[0].name} is for ESP only")
    if IntegId.NONE not in integrity:
        return
    alone = [id_ for id_ in encryption if in_ike or ENCRYPTION[id_].needs_integrity]
    if alone:
        raise ConfigError(f"{quote(text)}: {alone[0].name} needs an integrity algorithm, such as sha256")


def _check_additional(transforms: list[Transform], text: str) -> None:
    """Refuse additional key exchanges that leave no choice but the same method twice."""
    choices = [_of(transforms, type_) for type_ in ADDITIONAL_KEY_EXCHANGES]
    if all_different([methods for methods in choices if methods]) is None:
        raise ConfigError(
            f"{quote(text)}: additional key exchanges have different methods (RFC 9370, section 2.2.1)"
        )


def _checked_encryption(transforms: list[Transform], text: str) -> list[Transform]:
    """Return a proposal's transforms without integrity where the encryption is an AEAD."""
    encryption = _of(transforms, TransformType.ENCR)
    if not encryption:
        raise ConfigError(f"{quote(text)}: a proposal needs encryption, such as aes256gcm16")
    aeads = [ENCRYPTION[EncrId(one.id)].is_combined for one in encryption]
    if any(aeads) and not all(aeads):
        raise ConfigError(
            f"{quote(text)}: combined-mode and other encryption cannot be in one proposal"
            " (RFC 7296, section 3.3); write two, with a comma between"
        )
    if all(aeads):
        return [one for one in transforms if one.type != TransformType.INTEG]
    if not _of(transforms, TransformType.INTEG):
        raise ConfigError(f"{quote(text)}: this encryption needs an integrity algorithm, such as sha256")
    return transforms


def _of(transforms: list[Transform], type_: TransformType) -> list[Transform]:
    return [transform for transform in transforms if transform.type == type_]


def insecure(proposals: tuple[Proposal, ...]) -> tuple[str, ...]:
    """Return names of what in proposals needs `allow_insecure`."""
    return tuple(dict.fromkeys(name for one in proposals for name in insecure_algorithms(one.transforms)))


_DESCRIPTION = "list of proposals"

IKE_PROPOSALS: Kind[tuple[Proposal, ...]] = Kind(
    _DESCRIPTION, lambda text: read_proposals(text, ProtocolId.IKE)
)
"""Proposals for an IKE SA."""

ESP_PROPOSALS: Kind[tuple[Proposal, ...]] = Kind(
    _DESCRIPTION, lambda text: read_proposals(text, ProtocolId.ESP)
)
"""Proposals for a child."""
