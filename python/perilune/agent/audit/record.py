"""What one line of the audit log says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = str | int | bool | list[str]
"""What a field may be, so that JSON has it as it is."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """Something that is to be found again later."""

    event: str
    """What happened: one of the names in docs/user/auditing.md."""

    fields: Mapping[str, Value] = field(default_factory=dict)
    """To whom and how, by names of their own."""
