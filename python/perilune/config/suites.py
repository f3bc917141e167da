"""The algorithms of one SA, as a proposal that leaves nothing to choose: `aes256-sha256`, `sha256` for AH."""

from __future__ import annotations

import re

from perilune.config.ah_proposals import read_ah_transforms
from perilune.config.proposals import read_proposals
from perilune.config.values import Kind, quote
from perilune.databases.processing import SecurityProtocol
from perilune.model.errors import ConfigError
from perilune.model.iana import IntegId, ProtocolId, SnId, TransformType
from perilune.model.proposal import NO_ENCRYPTION, EspSuite, Transform, chosen_encryption

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
    transforms = read_ah_transforms(text) if protocol is SecurityProtocol.AH else _of_esp(text)
    chosen = {TransformType(one.type): one for one in transforms}
    if len(chosen) < len(transforms):
        raise ConfigError(
            f"{quote(text)}: there is nobody to choose with, so one algorithm of each kind only"
        )
    if TransformType.KE in chosen:
        raise ConfigError(f"{quote(text)}: no keys are exchanged for an SA with manual keys")
    encryption, integrity = chosen.get(TransformType.ENCR), chosen.get(TransformType.INTEG)
    return EspSuite(
        encryption=chosen_encryption(encryption) if encryption else NO_ENCRYPTION,
        integrity=IntegId(integrity.id) if integrity else IntegId.NONE,
        sequence_numbers=SnId(chosen[TransformType.SN].id),
    )


def _of_esp(text: str) -> tuple[Transform, ...]:
    proposals = read_proposals(text, ProtocolId.ESP)
    if len(proposals) > 1:
        raise ConfigError(f"{quote(text)}: there is nobody to choose with, so one proposal only")
    return proposals[0].transforms
