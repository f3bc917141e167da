"""The algorithms of one SA, as a proposal that leaves nothing to choose: `aes256-sha256`, `sha256` for AH."""

from __future__ import annotations

import re

from perilune.config.algorithms import AH_KEYWORDS, KEYWORDS
from perilune.config.proposals import read_proposals
from perilune.config.values import Kind, nearest, quote
from perilune.databases.processing import SecurityProtocol
from perilune.model.errors import ConfigError
from perilune.model.iana import EncrId, IntegId, ProtocolId, SnId, TransformType
from perilune.model.proposal import Encryption, EspSuite, Transform, chosen_encryption

_WORDS = re.compile(r"[a-z0-9_]+(-[a-z0-9_]+)*")


def _read_words(text: str) -> str:
    if not _WORDS.fullmatch(text.lower()):
        raise ConfigError(f"{quote(text)} is no proposal such as aes256-sha256")
    return text.lower()


WORDS: Kind[str] = Kind("proposal", _read_words)
"""The words of a proposal, which `read_suite` understands once it is known for which protocol."""


def read_suite(text: str, protocol: SecurityProtocol) -> EspSuite:
    """Read the algorithms of an SA.

    Args:
        text: Keywords, separated by dashes.
        protocol: ESP or AH; AH has an integrity algorithm only.

    Raises:
        ConfigError: A word is no algorithm, or they are not exactly what one SA has.
    """
    transforms = _of_ah(text) if protocol is SecurityProtocol.AH else _of_esp(text)
    chosen = {TransformType(one.type): one for one in transforms}
    if len(chosen) < len(transforms):
        raise ConfigError(
            f"{quote(text)}: there is nobody to choose with, so one algorithm of each kind only"
        )
    if TransformType.KE in chosen:
        raise ConfigError(f"{quote(text)}: no keys are exchanged for an SA with manual keys")
    encryption, integrity = chosen.get(TransformType.ENCR), chosen.get(TransformType.INTEG)
    return EspSuite(
        encryption=chosen_encryption(encryption) if encryption else _NO_ENCRYPTION,
        integrity=IntegId(integrity.id) if integrity else IntegId.NONE,
        sequence_numbers=SnId(chosen[TransformType.SN].id),
    )


def _of_esp(text: str) -> tuple[Transform, ...]:
    proposals = read_proposals(text, ProtocolId.ESP)
    if len(proposals) > 1:
        raise ConfigError(f"{quote(text)}: there is nobody to choose with, so one proposal only")
    return proposals[0].transforms


def _of_ah(text: str) -> tuple[Transform, ...]:
    transforms = [_of_word(word) for word in text.split("-")]
    kinds = {one.type for one in transforms}
    if not kinds <= {TransformType.INTEG, TransformType.SN, TransformType.KE}:
        raise ConfigError(f"{quote(text)}: AH has an integrity algorithm and nothing else")
    if TransformType.INTEG not in kinds or any(one == KEYWORDS["noauth"] for one in transforms):
        raise ConfigError(f"{quote(text)}: AH needs an integrity algorithm, such as sha256")
    if TransformType.SN not in kinds:
        transforms.append(Transform(TransformType.SN, SnId.SEQUENTIAL_32))
    return tuple(transforms)


def _of_word(word: str) -> Transform:
    if word in AH_KEYWORDS:
        return AH_KEYWORDS[word]
    if word not in KEYWORDS:
        raise ConfigError(
            f"{quote(word)} is no algorithm that is known here", nearest=nearest(word, KEYWORDS)
        )
    return KEYWORDS[word]


_NO_ENCRYPTION = Encryption(EncrId.ENCR_NULL, 0)
