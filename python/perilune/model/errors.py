"""What can go wrong, by whose fault it was."""

from __future__ import annotations

from pathlib import Path as FilePath

from perilune.model.iana import NotifyType


class IpsecError(Exception):
    """Root of every error that this package raises on purpose."""


class LocalError(IpsecError):
    """Our caller asked for something illegal; nothing was sent and nothing changed."""


class ConfigError(LocalError):
    """A configuration cannot be used as written.

    Args:
        message: What is wrong and what would be right.
        file: The file, or None for text that came from no file.
        line: Line, counted from 1, or None where no single line is to blame.
        key: The key or section as a dotted path, `connections.gw.children.net`.
        nearest: A known key that was probably meant.
    """

    def __init__(
        self,
        message: str,
        *,
        file: FilePath | None = None,
        line: int | None = None,
        key: str | None = None,
        nearest: str | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.key = key
        self.nearest = nearest
        super().__init__(str(self))

    def __str__(self) -> str:
        place = str(self.file) if self.file else ""
        if self.line is not None:
            place += f":{self.line}" if place else f"line {self.line}"
        parts = [part for part in (place, self.key) if part]
        hint = f" (did you mean '{self.nearest}'?)" if self.nearest else ""
        return ": ".join([*parts, self.message]) + hint


class PeerError(IpsecError):
    """The peer broke the protocol or asked for something we refuse.

    Args:
        message: What was wrong, in words for a log.
        notify: The notify that answers it, or None when silence is the answer.
        notify_data: Contents of that notify, in octets.
    """

    def __init__(self, message: str, *, notify: NotifyType | None = None, notify_data: bytes = b"") -> None:
        super().__init__(message)
        self.notify = notify
        self.notify_data = notify_data


class DecodeError(PeerError):
    """Octets from the network are not what the standard describes.

    Args:
        message: What was expected.
        offset: Where, in octets from the start of the datagram or payload that was being read.
        field: The field's name in the RFC.
        notify: The notify that answers it; most malformed messages get INVALID_SYNTAX.
        notify_data: Contents of that notify, in octets.
    """

    def __init__(
        self,
        message: str,
        *,
        offset: int,
        field: str,
        notify: NotifyType | None = NotifyType.INVALID_SYNTAX,
        notify_data: bytes = b"",
    ) -> None:
        super().__init__(f"{field} at octet {offset}: {message}", notify=notify, notify_data=notify_data)
        self.offset = offset
        self.field = field


class ResourceError(IpsecError):
    """A limit was reached: half-open IKE SAs, a full table, no entropy."""
