"""Log lines: time, severity, room, connection, message.

    2026-11-21 04:47:23.120 INFO ike: [ike=gw 5ad1c0de.../08c2fee1...] IKE SA is up

Every record goes to standard error and, as an event, to whoever follows over the control socket.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from perilune.agent.vici.codec import Node
from perilune.config.settings import LogLevel

ROOT_LOGGER = "perilune"
_CONTEXT = "ike_context"
_LONGEST_MESSAGE = 4096
"""In characters: what a peer says may be long, and go into a line more than once."""


@dataclass(frozen=True, slots=True)
class IkeContext:
    """What a line is about."""

    connection: str
    unique_id: int = 0
    spis: str = ""
    """Both, shortened: `5ad1c0de.../08c2fee1...`."""

    def __str__(self) -> str:
        return f"[ike={self.connection}{f' {self.spis}' if self.spis else ''}] "


def about(context: IkeContext | None) -> dict[str, object]:
    """Return the `extra` of a log call that is about an IKE SA or connection."""
    return {_CONTEXT: context}


class LineFormatter(logging.Formatter):
    """One record, one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; what could break it is escaped."""
        time = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        room = record.name.removeprefix(f"{ROOT_LOGGER}.")
        context = getattr(record, _CONTEXT, None)
        message = _one_line(record.getMessage())
        line = f"{time} {record.levelname} {room}: {context or ''}{message}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class EventHandler(logging.Handler):
    """Hands records on as VICI's `log` events.

    Args:
        publish: Takes the message of each event.
    """

    def __init__(self, publish: Callable[[Node], None]) -> None:
        super().__init__()
        self._publish = publish

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record on."""
        self._publish(log_message(record))


_VICI_LEVELS = {logging.DEBUG: "2", logging.INFO: "1", logging.WARNING: "0", logging.ERROR: "-1"}


def log_message(record: logging.LogRecord) -> dict[str, str | bytes]:
    """Return a record as VICI's `log` event has it, with our time, level and SPIs added."""
    context = getattr(record, _CONTEXT, None)
    message: dict[str, str | bytes] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "group": record.name.removeprefix(f"{ROOT_LOGGER}."),
        "level": _VICI_LEVELS.get(record.levelno, "1"),
        "severity": record.levelname.lower(),
        "thread": "0",
    }
    if isinstance(context, IkeContext):
        message |= {"ikesa-name": context.connection, "ikesa-uniqueid": str(context.unique_id)}
        if context.spis:
            message["spis"] = context.spis
    return message | {"msg": _one_line(record.getMessage())}


def set_up_logging(level: LogLevel) -> None:
    """Send this package's log to standard error from a level on."""
    logger = logging.getLogger(ROOT_LOGGER)
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    logger.handlers = [handler]
    logger.propagate = False
    set_level(level)


def set_level(level: LogLevel) -> None:
    """Log from a level on."""
    logging.getLogger(ROOT_LOGGER).setLevel(level.value.upper())


def _one_line(message: str) -> str:
    shown = message[:_LONGEST_MESSAGE]
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)
    return line if shown == message else f"{line}... ({len(message)} characters)"
