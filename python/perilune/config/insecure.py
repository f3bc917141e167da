"""Algorithms for old peers only are there for whoever asks for them by name, and nobody else."""

from __future__ import annotations

from perilune.config.proposals import insecure
from perilune.config.reader import Reader
from perilune.config.schema.section import Key, OptionalKey
from perilune.model.proposal import Proposal


def check_insecure(
    reader: Reader,
    key: Key[tuple[Proposal, ...]] | OptionalKey[tuple[Proposal, ...]],
    *,
    allowed: Key[bool],
) -> tuple[Proposal, ...]:
    """Return proposals; note what is insecure in them, as an error unless it is allowed, then as a warning.

    Args:
        reader: The section of both keys.
        key: The proposals.
        allowed: Whether they may have what is insecure.
    """
    proposals = reader.get(key) if isinstance(key, Key) else reader.find(key) or ()
    names = ", ".join(insecure(proposals))
    if names and reader.get(allowed):
        reader.warn(f"{names}: insecure, for old peers only (RFC 8221)", key)
    elif names:
        reader.error(f"{names}: insecure, and taken only with '{allowed.name} = yes' here (RFC 8221)", key)
    return proposals
