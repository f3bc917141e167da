"""Chains of payloads, each named by the one before it (RFC 7296, section 3.2).

```
                     1                   2                   3
 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
| Next Payload  |C|  RESERVED   |         Payload Length        |
+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from struct import Struct
from typing import Final

from perilune.model.errors import DecodeError, LocalError
from perilune.model.iana import NotifyType, PayloadType
from perilune.wire.limits import MAX_PAYLOADS
from perilune.wire.payloads import (
    AuthPayload,
    CertPayload,
    CertReqPayload,
    CpPayload,
    DeletePayload,
    EapPayload,
    EncryptedFragment,
    EncryptedPayload,
    IdPayload,
    KePayload,
    NoncePayload,
    NotifyPayload,
    Payload,
    SaPayload,
    TsPayload,
    UnknownPayload,
    VendorPayload,
)

_Encrypted = EncryptedPayload | EncryptedFragment

_GENERIC: Final = Struct("!BBH")
_CRITICAL: Final = 0x80
_LONGEST: Final = 0xFFFF


def decode_chain(first_type: int, data: bytes, offset: int = 0) -> tuple[Payload, ...]:
    """Read the payloads that an encrypted payload held.

    Args:
        first_type: Type of the first payload; NONE where there is none.
        data: All of the chain and nothing else.
        offset: Where `data` lies, for errors.

    Returns:
        The payloads in order; those of unknown types too, to be ignored.

    Raises:
        DecodeError: The chain does not end where `data` ends, a payload is malformed, encrypted once more or
            the second of a type that comes once, or there are too many (INVALID_SYNTAX); or a payload of an
            unknown type is critical (UNSUPPORTED_CRITICAL_PAYLOAD with that type as its data).
    """
    return _decode(first_type, data, 0, offset, _decode_inner_end)


def decode_message_chain(first_type: int, data: bytes, start: int) -> tuple[Payload, ...]:
    """Read the payloads of a message, an encrypted one at their end included.

    Args:
        first_type: Next Payload of the message's header.
        data: The whole message.
        start: Where the first payload begins.

    Raises:
        DecodeError: As `decode_chain`; or octets follow an encrypted payload.
    """
    return _decode(first_type, data, start, 0, _decode_outer_end)


def encode_chain(payloads: Iterable[Payload]) -> tuple[int, bytes]:
    """Write payloads one after another.

    Returns:
        The type of the first (NONE where there is none) and the octets, generic headers included.

    Raises:
        LocalError: A payload is too long for its length field.
    """
    octets = b""
    next_type = int(PayloadType.NONE)
    for payload in reversed(tuple(payloads)):
        octets = _encode_payload(payload, next_type) + octets
        next_type = payload.payload_type
    return next_type, octets


def _encode_payload(payload: Payload, next_type: int) -> bytes:
    body = payload.encode()
    if isinstance(payload, _Encrypted):
        next_type = payload.inner_type
    critical = _CRITICAL if isinstance(payload, UnknownPayload) and payload.critical else 0
    return encode_generic_header(next_type, len(body), critical) + body


def encode_generic_header(next_type: int, body_octets: int, critical: int = 0) -> bytes:
    """Write the four octets before a payload's body.

    Raises:
        LocalError: The body is too long for Payload Length.
    """
    length = _GENERIC.size + body_octets
    if length > _LONGEST:
        raise LocalError(f"a payload of {length} octets is longer than {_LONGEST}")
    return _GENERIC.pack(next_type, critical, length)


def _decode(
    first_type: int, data: bytes, start: int, offset: int, decode_end: _EndDecoder
) -> tuple[Payload, ...]:
    """Walk a chain; `decode_end` reads a payload of type SK or SKF, behind which nothing may follow."""
    payloads: list[Payload] = []
    seen: set[int] = set()
    type_, position, end = first_type, start, len(data)
    while type_ != PayloadType.NONE:
        if len(payloads) == MAX_PAYLOADS:
            raise DecodeError(f"more than {MAX_PAYLOADS}", offset=offset + position, field="Payloads")
        next_type, flags, behind = _decode_generic(type_, data, position, offset)
        body = data[position + _GENERIC.size : behind]
        body_offset = offset + position + _GENERIC.size
        if type_ in _ENCRYPTED:
            payloads.append(decode_end(type_, body, body_offset, next_type))
            next_type = PayloadType.NONE
        elif decoder := _DECODERS.get(type_):
            if type_ in seen:
                raise DecodeError(f"a second {type_}", offset=offset + position, field="Next Payload")
            if type_ in _ONCE:
                seen.add(type_)
            payloads.append(decoder(body, body_offset))
        else:
            payloads.append(_unknown(type_, flags, body, offset + position))
        type_, position = next_type, behind
    if position != end:
        raise DecodeError(
            f"{end - position} octets behind the last payload", offset=offset + position, field="Next Payload"
        )
    return tuple(payloads)


def _decode_generic(type_: int, data: bytes, position: int, offset: int) -> tuple[int, int, int]:
    """Return a generic header's next type and flags, and where its payload ends in `data`."""
    room = len(data) - position
    if room < _GENERIC.size:
        raise DecodeError(
            f"payload type {type_} has no header", offset=offset + position, field="Generic Payload Header"
        )
    next_type, flags, length = _GENERIC.unpack_from(data, position)
    if not _GENERIC.size <= length <= room:
        raise DecodeError(
            f"payload type {type_} cannot have {length} octets of {room}",
            offset=offset + position + 2,
            field="Payload Length",
        )
    return next_type, flags, position + length


def _unknown(type_: int, flags: int, body: bytes, offset: int) -> UnknownPayload:
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-2.5
    ##% If the critical flag is set
    ##% and the payload type is unrecognized, the message MUST be rejected
    ##% and the response to the IKE request containing that payload MUST
    ##% include a Notify payload UNSUPPORTED_CRITICAL_PAYLOAD, indicating an
    ##% unsupported critical payload was included.  In that Notify payload,
    ##% the Notification Data contains the one-octet payload type.
    if flags & _CRITICAL:
        raise DecodeError(
            f"payload type {type_} is critical and unknown",
            offset=offset + 1,
            field="Critical",
            notify=NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD,
            notify_data=bytes((type_,)),
        )
    return UnknownPayload(type_, critical=False, body=body)


def _decode_outer_end(type_: int, body: bytes, offset: int, inner_type: int) -> Payload:
    if type_ == PayloadType.SK:
        return EncryptedPayload.decode(body, offset, inner_type)
    return EncryptedFragment.decode(body, offset, inner_type)


def _decode_inner_end(type_: int, _body: bytes, offset: int, _inner_type: int) -> Payload:
    ##= https://www.rfc-editor.org/rfc/rfc7296#section-3.1
    ##% an Encrypted payload MUST NOT contain another
    ##% Encrypted payload.
    raise DecodeError(f"payload type {type_} inside an encrypted one", offset=offset, field="Next Payload")


_EndDecoder = Callable[[int, bytes, int, int], Payload]
_Decoder = Callable[[bytes, int], Payload]

_DECODERS: Final[dict[int, _Decoder]] = {
    PayloadType.SA: SaPayload.decode,
    PayloadType.KE: KePayload.decode,
    PayloadType.ID_I: partial(IdPayload.decode, payload_type=PayloadType.ID_I),
    PayloadType.ID_R: partial(IdPayload.decode, payload_type=PayloadType.ID_R),
    PayloadType.CERT: CertPayload.decode,
    PayloadType.CERTREQ: CertReqPayload.decode,
    PayloadType.AUTH: AuthPayload.decode,
    PayloadType.NONCE: NoncePayload.decode,
    PayloadType.NOTIFY: NotifyPayload.decode,
    PayloadType.DELETE: DeletePayload.decode,
    PayloadType.VENDOR: VendorPayload.decode,
    PayloadType.TS_I: partial(TsPayload.decode, payload_type=PayloadType.TS_I),
    PayloadType.TS_R: partial(TsPayload.decode, payload_type=PayloadType.TS_R),
    PayloadType.CP: CpPayload.decode,
    PayloadType.EAP: EapPayload.decode,
}

_ONCE: Final = frozenset(
    {
        PayloadType.SA,
        PayloadType.KE,
        PayloadType.ID_I,
        PayloadType.ID_R,
        PayloadType.AUTH,
        PayloadType.NONCE,
        PayloadType.TS_I,
        PayloadType.TS_R,
        PayloadType.CP,
        PayloadType.EAP,
    }
)
"""Payloads that no exchange has twice in one message; of two, no one could say which is meant."""

_ENCRYPTED: Final = frozenset({PayloadType.SK, PayloadType.SKF})
