"""Proposals for AH: `sha256-esn, aes256gmac` (RFC 7296, section 3.3.3)."""

from __future__ import annotations

from perilune.config.algorithms import AH_KEYWORDS, KEYWORDS, refusal
from perilune.config.values import Kind, nearest, quote, words
from perilune.model.errors import ConfigError
from perilune.model.iana import ProtocolId, SnId, TransformType
from perilune.model.proposal import Proposal, Transform

DEFAULT_AH = "sha256-sha384-sha512-esn-noesn"
"""What `default` means for AH."""

_ORDER = (TransformType.INTEG, TransformType.KE, TransformType.SN)


def read_ah_proposals(text: str) -> tuple[Proposal, ...]:
    """Read a list of proposals for AH; they are numbered from 1 on.

    Raises:
        ConfigError: A word is no algorithm, or a proposal has not what AH needs, or more.
    """
    texts = [DEFAULT_AH if word.lower() == "default" else word for word in words(text)]
    read = dict.fromkeys(read_ah_transforms(one) for one in texts)
    return tuple(
        Proposal(ProtocolId.AH, transforms, number=number) for number, transforms in enumerate(read, start=1)
    )


def read_ah_transforms(text: str) -> tuple[Transform, ...]:
    """Read one proposal for AH, with `noesn` where nothing is said of sequence numbers.

    Raises:
        ConfigError: A word is no algorithm, or they are not what AH has.
    """
    transforms = list(dict.fromkeys(_of_word(word) for word in text.lower().split("-")))
    kinds = {one.type for one in transforms}
    if not kinds <= set(_ORDER):
        raise ConfigError(f"{quote(text)}: AH has an integrity algorithm and nothing else")
    if TransformType.INTEG not in kinds or KEYWORDS["noauth"] in transforms:
        raise ConfigError(f"{quote(text)}: AH needs an integrity algorithm, such as sha256")
    if TransformType.SN not in kinds:
        transforms.append(Transform(TransformType.SN, SnId.SEQUENTIAL_32))
    return tuple(sorted(transforms, key=lambda one: _ORDER.index(TransformType(one.type))))


def _of_word(word: str) -> Transform:
    if word in AH_KEYWORDS:
        return AH_KEYWORDS[word]
    if word not in KEYWORDS:
        why = refusal(word) or "is no algorithm that is known here"
        raise ConfigError(f"{quote(word)} {why}", nearest=nearest(word, KEYWORDS))
    return KEYWORDS[word]


AH_PROPOSALS: Kind[tuple[Proposal, ...]] = Kind("list of proposals", read_ah_proposals)
"""Proposals for a child that is protected by AH."""
