"""Events of IKE as log lines, with a severity, and as counts."""

from __future__ import annotations

import logging
from functools import cache

from perilune.daemon.log import IkeContext, about
from perilune.ike.events import (
    AuthenticationFailed,
    ChildKeysDerived,
    CookieDemanded,
    DownReason,
    Dropped,
    IkeEvent,
    IkeKeysDerived,
    IkeSaDown,
    MessageReceived,
    MessageSent,
    NotTrapped,
    PeerUnreachable,
    Refused,
    UnknownEspSpi,
)
from perilune.ike.names import IkeName
from perilune.model.spi import format_ike_spi

_LOG = logging.getLogger("perilune.ike")
_SHOWN_DIGITS = 8
_DEBUG = ChildKeysDerived | Dropped | IkeKeysDerived | MessageReceived | MessageSent
_WARNING = AuthenticationFailed | NotTrapped | PeerUnreachable | Refused | UnknownEspSpi
_ALARMING_ENDS = {DownReason.REFUSED, DownReason.UNREACHABLE, DownReason.EXPIRED}


def log_event(event: IkeEvent) -> None:
    """Log an event."""
    level = level_of(event)
    if _LOG.isEnabledFor(level):
        context = context_of(event)
        _LOG.log(level, "%s", message_of(event), extra=about(context))


def level_of(event: IkeEvent) -> int:
    """Return how severe an event is."""
    if isinstance(event, _DEBUG) or (isinstance(event, CookieDemanded) and not event.by_peer):
        return logging.DEBUG
    if isinstance(event, _WARNING):
        return logging.WARNING
    if isinstance(event, IkeSaDown) and event.reason in _ALARMING_ENDS:
        return logging.WARNING
    return logging.INFO


def context_of(event: IkeEvent) -> IkeContext | None:
    """Return which IKE SA or connection an event is about; None where it is about none."""
    ike = getattr(event, "ike", None)
    if isinstance(ike, IkeName):
        spis = "/".join(f"{format_ike_spi(spi)[:_SHOWN_DIGITS]}..." for spi in (ike.spi_i, ike.spi_r))
        return IkeContext(ike.connection or "(unknown)", ike.id, spis)
    connection = getattr(event, "connection", None)
    return IkeContext(connection) if isinstance(connection, str) else None


def message_of(event: IkeEvent) -> str:
    """Return an event's line without the names that its context has."""
    ike = getattr(event, "ike", None)
    prefix = str(ike) if ike is not None else str(getattr(event, "connection", ""))
    return str(event).removeprefix(f"{prefix}: ")


def counter_of(event: IkeEvent) -> str:
    """Return the name under which an event is counted: `ChildSaUp` is `child_sa_up`."""
    return _snake_case(type(event).__name__)


@cache
def _snake_case(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).removeprefix("_")
