"""Finding the payloads that an exchange needs among those that came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from perilune.model.errors import PeerError
from perilune.model.iana import NotifyType, PayloadType
from perilune.wire.payloads import IdPayload, NotifyPayload, Payload, TsPayload

P = TypeVar("P", bound=Payload)


def find(payloads: Sequence[Payload], kind: type[P]) -> P | None:
    """Return the first payload of a kind."""
    for payload in payloads:
        if isinstance(payload, kind):
            return payload
    return None


def require(payloads: Sequence[Payload], kind: type[P]) -> P:
    """Return the first payload of a kind.

    Raises:
        PeerError: There is none; the notify is INVALID_SYNTAX.
    """
    payload = find(payloads, kind)
    if payload is None:
        raise _missing(kind.__name__.removesuffix("Payload"))
    return payload


def require_selectors(payloads: Sequence[Payload], type_: PayloadType) -> TsPayload:
    """Return TSi or TSr.

    Raises:
        PeerError: There is none; the notify is INVALID_SYNTAX.
    """
    for payload in payloads:
        if isinstance(payload, TsPayload) and payload.payload_type == type_:
            return payload
    raise _missing(type_.name)


def find_identity(payloads: Sequence[Payload], type_: PayloadType) -> IdPayload | None:
    """Return IDi or IDr, or None where it is not here."""
    for payload in payloads:
        if isinstance(payload, IdPayload) and payload.payload_type == type_:
            return payload
    return None


def require_identity(payloads: Sequence[Payload], type_: PayloadType) -> IdPayload:
    """Return IDi or IDr.

    Raises:
        PeerError: There is none; the notify is INVALID_SYNTAX.
    """
    identity = find_identity(payloads, type_)
    if identity is None:
        raise _missing(type_.name)
    return identity


def find_notify(payloads: Sequence[Payload], type_: NotifyType) -> NotifyPayload | None:
    """Return the first notify of a type."""
    for payload in payloads:
        if isinstance(payload, NotifyPayload) and payload.type == type_:
            return payload
    return None


def find_error(payloads: Sequence[Payload]) -> NotifyPayload | None:
    """Return the first notify that reports an error, of a type that we know or not."""
    for payload in payloads:
        if isinstance(payload, NotifyPayload) and payload.is_error:
            return payload
    return None


def _missing(name: str) -> PeerError:
    return PeerError(f"there is no {name} payload", notify=NotifyType.INVALID_SYNTAX)
