"""Lines that each carry the digest of the line before, so that none can be changed or left out unseen.

    {"n":1,"time":"2026-11-21T14:00:00.000000+00:00","event":"log_started",...,"previous":"000...0"}
    {"n":2,"time":"2026-11-21T14:00:00.104000+00:00","event":"ike_sa_up",...,"previous":"<SHA-256 of line 1>"}

A digest is of the octets of a line without its line feed. Who can write the file can also make up a new
chain, or leave out its end: both show only against a `Head` that was remembered elsewhere.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from perilune.agent.audit.record import AuditRecord, Value
from perilune.model.errors import LocalError

LONGEST_LINE_OCTETS: Final = 256 * 1024
_LONGEST_TEXT: Final = 4096
"""In characters: what a peer says may be long."""

_HEAD: Final = re.compile(r"([0-9]{1,19})[: ]([0-9a-f]{64})\s*")
_OWN_KEYS: Final = ("n", "time", "event", "previous")


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends: enough to know whether it is all there."""

    number: int
    """Of its last line, counted from 1; 0 is a chain without lines."""

    digest: str
    """SHA-256 of its last line, 64 hexadecimal digits."""

    @classmethod
    def parse(cls, text: str) -> Head:
        """Return the head that a text such as `17:ab12...` names.

        Raises:
            LocalError: It names none.
        """
        match = _HEAD.fullmatch(text)
        if match is None:
            raise LocalError(f"'{text[:100].strip()}' is no head of an audit log such as 17:ab12...")
        return cls(int(match[1]), match[2])

    def __str__(self) -> str:
        return f"{self.number}:{self.digest}"


GENESIS: Final = Head(0, "0" * 64)
"""What comes before the first line."""


def encode_line(record: AuditRecord, time: datetime, previous: Head) -> tuple[bytes, Head]:
    """Return the line for a record behind the line that is the head, and the new head.

    Args:
        record: What happened.
        time: When, with its time zone.
        previous: Where the chain ends.

    Returns:
        The line with its line feed, and the head that it makes.
    """
    fields = {key: _shortened(value) for key, value in record.fields.items() if key not in _OWN_KEYS}
    number = previous.number + 1
    document = {
        "n": number,
        "time": time.isoformat(timespec="microseconds"),
        "event": record.event,
        **fields,
        "previous": previous.digest,
    }
    line = json.dumps(document, separators=(",", ":")).encode("ascii")
    return line + b"\n", Head(number, digest_of(line))


def digest_of(line: bytes) -> str:
    """Return the digest of a line, with or without its line feed."""
    return sha256(line.removesuffix(b"\n")).hexdigest()


def decode_line(line: bytes) -> dict[str, Any]:
    """Return what a line says.

    Raises:
        LocalError: It is no line of an audit log; the text says why.
    """
    if len(line) > LONGEST_LINE_OCTETS:
        raise LocalError(f"it is longer than {LONGEST_LINE_OCTETS} octets")
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise LocalError("it is no JSON") from None
    if not isinstance(document, dict):
        raise LocalError("it is no JSON object")
    for key, kind in (("n", int), ("time", str), ("event", str), ("previous", str)):
        if type(document.get(key)) is not kind:
            raise LocalError(f"its field '{key}' is missing or of another type")
    return document


def _shortened(value: Value) -> Value:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else value
